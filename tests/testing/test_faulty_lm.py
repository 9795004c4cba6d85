"""`FaultyLM`: faults of a plan in front of a language model."""

import anyio
import pytest

from dagflow import DagflowError, Graph, LMError, LMRequest, Message, Node
from dagflow.testing import Fault, FaultPlan, ScriptedLM
from dagflow.testing.clock import run_virtual
from dagflow.testing.faulty_lm import FaultyLM


class Start(Node):
    message: str

    async def __call__(self) -> "Outfit | None": ...


class Outfit(Node):
    top: str

    async def __call__(self) -> None: ...


SCRIPT = {"choose": Outfit, "Outfit": {"top": "shirt"}}
REQUEST = LMRequest(system="", messages=(Message("user", "x"),), target="Outfit")
BUSY = LMError("busy", status=529, retriable=True)


async def test_a_fault_comes_at_its_request() -> None:
    """The n-th request for a type fails as planned, the others are answered, and a fault costs no request."""
    scripted = ScriptedLM(SCRIPT)
    lm = FaultyLM(scripted, FaultPlan([Fault("Outfit", 2, BUSY)]))
    await lm.complete(REQUEST)
    with pytest.raises(LMError, match="busy") as caught:
        await lm.complete(REQUEST)
    assert caught.value.retriable
    await lm.complete(REQUEST)
    assert 2 == len(scripted.requests)


async def test_choices_are_named_choose() -> None:
    """A choice can fail, and each name counts its own requests."""
    lm = FaultyLM(ScriptedLM(SCRIPT), FaultPlan([Fault("choose", 2, BUSY)]))
    graph = Graph(start=Start)
    assert Outfit(top="shirt") == (await graph.run(Start(message="x"), lm=lm)).node
    with pytest.raises(DagflowError, match="busy"):
        await graph.run(Start(message="x"), lm=lm)


async def test_without_a_plan_it_is_the_model() -> None:
    """Nothing but what is asked for goes wrong, and the model's own values are told."""
    scripted = ScriptedLM(SCRIPT, repairs=7)
    lm = FaultyLM(scripted)
    assert '{"top": "shirt"}' == (await lm.complete(REQUEST)).text
    assert (7, None, ()) == (lm.repairs, lm.identity, lm.secrets)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_latency_and_delay_take_their_time(backend: str) -> None:
    """Every request takes the latency, and a planned one its delay as well."""
    lm = FaultyLM(ScriptedLM(SCRIPT), FaultPlan([Fault("Outfit", 2, delay=10)]), latency=3)

    async def times() -> list[int]:
        began = anyio.current_time()
        ends = []
        for _ in range(2):
            await lm.complete(REQUEST)
            ends.append(round(anyio.current_time() - began))
        return ends

    assert [3, 16] == run_virtual(times, backend=backend)
