"""Orders: whatever the graph and the schedule, a dependency is over before anything that reads it begins."""

import random
from collections.abc import Callable
from typing import Annotated, Any

import anyio
import anyio.lowlevel
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dagflow import Dep, resolve_dep

Edges = dict[int, tuple[int, ...]]


@st.composite
def dependency_graphs(draw: st.DrawFn, largest: int = 12) -> Edges:
    """Random acyclic graphs: each node reads some of those before it."""
    size = draw(st.integers(1, largest))
    return {
        node: tuple(sorted(draw(st.sets(st.integers(0, node - 1), max_size=4)))) if node else () for node in range(size)
    }


def build(edges: Edges, work: Callable[[int], Any]) -> Callable[..., Any]:
    """Make a function for each node, and one that reads them all."""
    functions: list[Any] = []

    def add(node: int | None, sources: tuple[int, ...]) -> None:
        async def call(**inputs: int) -> int:
            assert len(sources) == len(inputs)
            if node is not None:
                await work(node)
            return len(functions)

        import inspect

        parameters = [
            inspect.Parameter(
                f"a{source}", inspect.Parameter.KEYWORD_ONLY, annotation=Annotated[int, Dep(functions[source])]
            )
            for source in sources
        ]
        call.__signature__ = inspect.Signature(parameters, return_annotation=int)  # type: ignore[attr-defined]  # read by inspect
        functions.append(call)

    for node, sources in edges.items():
        add(node, sources)
    add(None, tuple(edges))
    return functions[-1]  # type: ignore[no-any-return]  # the last one reads all


async def run_and_log(edges: Edges, schedule: Any, suspensions: dict[int, int]) -> list[tuple[str, int]]:
    log: list[tuple[str, int]] = []

    async def work(node: int) -> None:
        log.append(("begin", node))
        for _ in range(suspensions.get(node, 0)):
            await anyio.lowlevel.checkpoint()
        log.append(("end", node))

    await resolve_dep(build(edges, work), schedule=schedule)
    return log


def levels_of(edges: Edges) -> dict[int, int]:
    found: dict[int, int] = {}
    for node, sources in edges.items():
        found[node] = 1 + max((found[source] for source in sources), default=-1)
    return found


@pytest.mark.parametrize("schedule", ["levels", "eager"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edges=dependency_graphs(), data=st.data(), seed=st.random_module())
async def test_a_dependency_is_over_before_what_reads_it_begins(
    schedule: Any, edges: Edges, data: st.DataObject, seed: object
) -> None:
    """Over random graphs and schedules: each node once, after all that it reads; levels one after the other."""
    suspensions = data.draw(st.dictionaries(st.integers(0, len(edges)), st.integers(0, 3)))
    log = await run_and_log(edges, schedule, suspensions)
    assert 2 * len(edges) == len(log) == len(set(log))
    place = {entry: index for index, entry in enumerate(log)}
    for node, sources in edges.items():
        for source in sources:
            assert place["end", source] < place["begin", node]
    if schedule == "levels":
        level = levels_of(edges)
        begun = [level[node] for kind, node in log if kind == "begin"]
        assert sorted(begun) == begun


@pytest.mark.parametrize("schedule", ["levels", "eager"])
async def test_more_than_one_ordering_is_seen(schedule: Any, anyio_backend_name: str) -> None:
    """The tests above explore orders: four independent nodes end in more than one order."""
    seen = set()
    for seed in range(30):
        random.seed(seed)
        suspensions = {node: random.randrange(4) for node in range(4)}
        log = await run_and_log({0: (), 1: (), 2: (), 3: ()}, schedule, suspensions)
        seen.add(tuple(node for kind, node in log if kind == "end"))
    assert len(seen) > 6


@pytest.mark.slow
async def test_a_thousand_schedules_give_one_result() -> None:
    """The value of a graph does not depend on the order in which its dependencies happen to run."""
    edges: Edges = {0: (), 1: (), 2: (0, 1), 3: (0,), 4: (2, 3), 5: (1, 3)}
    for seed in range(1000):
        generator = random.Random(seed)
        total: list[int] = []

        async def work(node: int, generator: random.Random = generator) -> None:
            for _ in range(generator.randrange(3)):
                await anyio.lowlevel.checkpoint()

        schedule: Any = ("levels", "eager")[seed % 2]
        total.append(await resolve_dep(build(edges, work), schedule=schedule))
        assert [7] == total
