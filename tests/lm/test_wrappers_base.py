"""What all wrappers have in common: what they wrap, what they pass on, and that they may be nested at random."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagflow import BaseLM, Graph, Node, Retry, Usage
from dagflow.core.secrets import Secret
from dagflow.lm.billing import losses
from dagflow.lm.wrappers import (
    Budgeted,
    Cached,
    RateLimited,
    budgeted,
    cached,
    fallback,
    hedged,
    rate_limited,
    retrying,
)
from dagflow.testing import ScriptedLM, assert_no_leaks, run_virtual, sweep_cancellations
from lm.planned_lm import PlannedLM, Step, ask, passing

WRAPPERS: dict[str, Callable[..., BaseLM]] = {
    "retrying": retrying,
    "rate_limited": functools.partial(rate_limited, requests_per_minute=60, tokens_per_minute=100_000),
    "cached": functools.partial(cached, folder=tempfile.gettempdir()),
    "fallback": fallback,
    "hedged": functools.partial(hedged, delay=1),
    "budgeted": functools.partial(budgeted, seconds=10_000, tokens=1_000_000, cost=10_000),
}


class OnlyTheProtocol:
    """A language model by its methods, which are no requests."""

    async def make(self, node: Any, target: Any) -> Any: ...
    async def decide(self, node: Any) -> Any: ...
    async def choose_type(self, types: Any, context: Any) -> Any: ...
    async def fill(self, target: Any, resolved: Any, instruction: Any, source: Any = None) -> Any: ...


@pytest.mark.parametrize("name", WRAPPERS)
def test_what_has_no_requests_cannot_be_wrapped(name: str) -> None:
    """An object with the methods of the protocol alone is refused when the wrapper is made."""
    with pytest.raises(TypeError, match=f"^{name} wraps .*, and a OnlyTheProtocol is none: .*extend dagflow.BaseLM"):
        WRAPPERS[name](OnlyTheProtocol())
    with pytest.raises(TypeError, match="the class PlannedLM is none"):
        WRAPPERS[name](PlannedLM)


@pytest.mark.parametrize("name", WRAPPERS)
def test_a_wrapper_passes_on_what_it_wraps(name: str) -> None:
    """Repairs, identity and secrets are those of the language model, and the repr shows no more than its name."""
    lm = PlannedLM(name="gpt", secrets=(Secret("canary"),), repairs=7)
    wrapped = WRAPPERS[name](lm)
    assert (7, {"model": "gpt"}, (Secret("canary"),)) == (wrapped.repairs, wrapped.identity, wrapped.secrets)
    assert f"{name}(PlannedLM(gpt))" == repr(wrapped)


@pytest.mark.parametrize("combine", [fallback, lambda lm, other: hedged(lm, delay=1, other=other)])
def test_several_are_combined(combine: Callable[[BaseLM, BaseLM], BaseLM]) -> None:
    """Two have the secrets of both, each once, the identities of both if both have one, and the most repairs."""
    both, other = Secret("both"), Secret("other")
    wrapped = combine(PlannedLM(name="a", secrets=(both,)), PlannedLM(name="b", secrets=(both, other), repairs=5))
    assert (both, other) == wrapped.secrets
    assert [{"model": "a"}, {"model": "b"}] == next(iter((wrapped.identity or {}).values()))
    assert 5 == wrapped.repairs
    assert combine(PlannedLM(), ScriptedLM([])).identity is None


class Start(Node):
    async def __call__(self) -> Middle: ...


class Middle(Node):
    word: str

    async def __call__(self) -> End: ...


class End(Node):
    word: str

    async def __call__(self) -> None: ...


def nestings(names: list[str]) -> st.SearchStrategy[Any]:
    """Any nesting of wrappers around leaves; a leaf is how often it fails, and how many seconds it takes."""
    leaf = st.tuples(st.just("leaf"), st.integers(0, 3), st.sampled_from([0, 1, 5]))
    return st.recursive(
        leaf,
        lambda inner: st.one_of(
            st.tuples(st.sampled_from(names), inner),
            st.tuples(st.sampled_from(["fallback", "hedged"]), inner, inner),
        ),
        max_leaves=4,
    )


class Nest:
    """A nesting that has been built, with all that is in it."""

    def __init__(self, nesting: Any, folder: Path, *, in_time: bool = True) -> None:
        self.leaves: list[PlannedLM] = []
        self.wrappers: list[tuple[BaseLM, list[PlannedLM]]] = []
        self._folder = folder
        self._in_time = in_time
        self.lm = self._build(nesting)

    def _build(self, nesting: Any) -> BaseLM:
        name, *inner = nesting
        first = len(self.leaves)
        if name == "leaf":
            return self._leaf(*inner)
        lms = [self._build(part) for part in inner]
        if name == "cached":
            self._folder.joinpath(str(len(self.wrappers))).mkdir(exist_ok=True)
            built: BaseLM = cached(lms[0], self._folder / str(len(self.wrappers)))
        elif name == "hedged":
            built = hedged(lms[0], delay=2 if self._in_time else 0, other=lms[1] if len(lms) > 1 else None)
        else:
            built = WRAPPERS[name](*lms)
        self.wrappers.append((built, self.leaves[first:]))
        return built

    def _leaf(self, failures: int, seconds: float) -> BaseLM:
        """A language model that fails, and one around it that asks often enough."""
        seconds = seconds if self._in_time else 0
        failing = [Step(seconds, error=passing())] * failures
        text = '{"word": "yes"}'
        leaf = PlannedLM(*failing, Step(seconds, text=text, cost=0.25, clean_up=seconds), name=str(len(self.leaves)))
        self.leaves.append(leaf)
        return retrying(leaf, Retry(attempts=20, delay=0.5 if self._in_time else 0))

    @property
    def bill(self) -> Usage:
        return bill_of(self.leaves)

    def check(self) -> None:
        """Nothing is under way, waited for or reserved, and each budget has counted what is below it."""
        assert [] == [leaf.name for leaf in self.leaves if leaf.under_way]
        for wrapper, leaves in self.wrappers:
            match wrapper:
                case Budgeted():
                    assert 0 == wrapper.in_flight
                    assert tokens(bill_of(leaves)) == tokens(wrapper.spent)
                case RateLimited():
                    assert 0 == wrapper.waiting
                    assert bill_of(leaves).requests <= wrapper._window._used_requests or self._in_time
                case Cached():
                    assert {} == wrapper._flights


def bill_of(leaves: list[PlannedLM]) -> Usage:
    return sum((leaf.bill for leaf in leaves), Usage())


def tokens(usage: Usage) -> tuple[int, int, int]:
    return usage.requests, usage.input_tokens, usage.output_tokens


async def answers_twice(nest: Nest) -> None:
    """Ask twice at once, in runs and without; the answers come, and what they used adds up."""
    results: list[Usage] = []

    async def run() -> None:
        result = await GRAPH.run(Start(), lm=nest.lm)
        assert End(word="yes") == result.trace[-1]
        results.append(result.usage)

    async with assert_no_leaks():
        async with anyio.create_task_group() as group:
            group.start_soon(run)
            group.start_soon(run)
        nest.check()
        assert nest.bill == sum(results, Usage())


async def swept(make: Callable[[], Nest]) -> None:
    """Ask, cancelled at every step: each time what was used adds up and nothing is left."""

    async def once() -> None:
        nest = make()
        answered = Usage()
        with losses() as lost:
            try:
                answered = (await nest.lm.complete(ask())).usage
            finally:
                nest.check()
        assert tokens(nest.bill) == tokens(answered + lost.usage)

    async with assert_no_leaks():
        outcomes = await sweep_cancellations(once)
    assert [] == [outcome.exception for outcome in outcomes if outcome.exception is not None]
    assert outcomes[-1].completed


IN_TIME = [name for name in WRAPPERS if name != "cached"]  # worker threads and virtual time do not mix
GRAPH = Graph(start=Start)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@settings(max_examples=25)
@given(nesting=nestings(IN_TIME))
def test_any_nesting_answers_and_adds_up(backend: str, nesting: Any) -> None:
    """Slow and failing language models, wrapped in whatever order, give the answer and count all that was used."""
    run_virtual(answers_twice, Nest(nesting, Path()), backend=backend)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@settings(max_examples=15)
@given(nesting=nestings(list(WRAPPERS)))
def test_any_nesting_with_caches_answers_and_adds_up(backend: str, nesting: Any) -> None:
    """The same with answers kept on disk."""
    with tempfile.TemporaryDirectory() as folder:
        anyio.run(answers_twice, Nest(nesting, Path(folder), in_time=False), backend=backend)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@settings(max_examples=8)
@given(nesting=nestings(IN_TIME))
def test_any_nesting_may_be_cancelled_anywhere(backend: str, nesting: Any) -> None:
    """Cancelled at every step, no nesting leaves anything under way, reserved or uncounted."""
    run_virtual(swept, lambda: Nest(nesting, Path()), backend=backend)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@settings(max_examples=5)
@given(nesting=nestings(list(WRAPPERS)))
def test_any_nesting_with_caches_may_be_cancelled_anywhere(backend: str, nesting: Any) -> None:
    """The same with answers kept on disk."""
    with tempfile.TemporaryDirectory() as root:
        anyio.run(swept, lambda: Nest(nesting, Path(tempfile.mkdtemp(dir=root)), in_time=False), backend=backend)
