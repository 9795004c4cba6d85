"""Maps over very many items: memory that does not grow with them, and a story that is not lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dagflow import Map, NodeError, Parallel, Pipeline, PythonTask, Retry, SQLiteStore, Stub, read_run_log
from dagflow.events import NodeStarted, RunEnded
from dagflow.kernel.context import current_activation
from dagflow.kernel.forgetting import MANY

COUNT = MANY + 200


class Observed:
    """Tasks that look at how much the run around them has in memory."""

    def __init__(self, *broken: int) -> None:
        self.broken = set(broken)
        self.calls: list[int] = []
        self.most = 0

    async def source(self) -> list[int]:
        return list(range(COUNT))

    async def double(self, item: int) -> int:
        self.calls.append(item)
        activation = current_activation()
        assert activation is not None
        if not len(self.calls) % 50:
            self.most = max(self.most, len(list(activation.run.journal.events)))
        if item in self.broken:
            raise ValueError(f"no {item}")
        return 2 * item

    def pipeline(self, *, retry: Retry | None = None, limit: int = 16) -> Pipeline:
        task = PythonTask(self.double, returns=["doubled"], retry=retry)
        return Pipeline([PythonTask(self.source, returns=["items"]), Map("items", task, max_concurrency=limit)])


@pytest.mark.parametrize("with_store", [False, True])
async def test_memory_does_not_grow_with_the_items(with_store: bool, tmp_path: Path) -> None:
    """A map over very many items has in memory what is under way, its result and what went wrong; nothing else."""
    observed = Observed()
    options: dict[str, Any] = {"store": SQLiteStore(tmp_path / "runs.db"), "run_id": "r"} if with_store else {}
    result = await observed.pipeline().execute(**options)
    assert [2 * item for item in range(COUNT)] == result.parameters["doubled"]
    assert observed.most < 1_000
    assert 0 < len(result.events) < 20
    mapped = result.log.steps[1]
    assert ("succeeded", 0, COUNT) == (mapped.status, len(mapped.parts), mapped.left_out)
    assert COUNT == mapped.to_dict()["left_out"]
    if with_store:
        (_, mapped) = (await read_run_log(SQLiteStore(tmp_path / "runs.db"), "r")).steps
        assert ([f"[{item}]" for item in range(COUNT)], 0) == ([part.name for part in mapped.parts], mapped.left_out)
        assert {"item": 7} == mapped.parts[7].steps[0].inputs


async def test_a_map_of_a_thousand_is_told_whole() -> None:
    """Up to a thousand items the log tells of each, with or without a store."""
    steps = [Map("items", PythonTask(lambda item: item, name="same", returns=["x"], offload="inline"))]
    result = await Pipeline(steps).execute(parameters={"items": list(range(MANY))})
    assert (MANY, 0) == (len(result.log.steps[0].parts), result.log.steps[0].left_out)


async def test_what_was_retried_is_in_the_log() -> None:
    """Items of a large map in which something happened are told of with all their attempts."""
    tried: set[int] = set()

    async def check(item: int) -> int:
        if item % 100 == 3 and item not in tried:
            tried.add(item)
            raise ValueError("not yet")
        return item

    task = PythonTask(check, returns=["checked"], retry=Retry(attempts=2, delay=0))
    result = await Pipeline([Map("items", task)]).execute(parameters={"items": list(range(COUNT))})
    mapped = result.log.steps[0]
    assert [f"[{item}]" for item in range(3, COUNT, 100)] == [part.name for part in mapped.parts]
    assert {("failed", "succeeded")} == {
        tuple(attempt.status for attempt in part.steps[0].attempts) for part in mapped.parts
    }
    assert COUNT - len(mapped.parts) == mapped.left_out


async def test_a_consumer_sees_every_event_of_every_item() -> None:
    """A stream tells of all items, in the order in which things happened, whatever the journal forgets behind it."""
    observed = Observed()
    seen: list[int] = []
    started = ended = 0
    async with observed.pipeline().stream() as events:
        async for event in events:
            seen.append(event.seq)
            started += isinstance(event, NodeStarted)
            ended += isinstance(event, RunEnded)
    assert (COUNT + 2, COUNT + 1) == (started, ended)
    assert seen == sorted(seen)
    assert observed.most < 2_000


async def test_a_retry_runs_only_what_is_missing_of_a_large_map(tmp_path: Path) -> None:
    """What was forgotten in memory is in the store: finished items of a map that failed are not run again."""
    store = SQLiteStore(tmp_path / "runs.db")
    observed = Observed(1_100)
    with pytest.raises(NodeError, match=r"map\[1100\]: node Observed.double#1 failed: ValueError: no 1100$"):
        await observed.pipeline(limit=1).execute(store=store, run_id="r")
    log = await read_run_log(store, "r")
    assert (1_101, 0) == (len(log.steps[1].parts), log.steps[1].left_out)
    again = Observed()
    result = await again.pipeline().retry("r", store=store)
    assert list(range(1_100, COUNT)) == sorted(again.calls)
    assert [2 * item for item in range(COUNT)] == result.parameters["doubled"]
    assert COUNT == len((await read_run_log(store, "r")).steps[1].parts)


async def test_composites_inside_of_the_items_are_forgotten_too() -> None:
    """What runs inside of an item, at whatever depth, goes with it; what is beside the map is kept."""
    both = Parallel(
        {
            "half": PythonTask(lambda item: item / 2, name="half", returns=["half"], offload="inline"),
            "more": Pipeline([Stub(name="before"), PythonTask(lambda item: item, name="same", returns=["same"])]),
        }
    )
    steps = [Stub(name="begin"), Map("items", Pipeline([both]), max_concurrency=4)]
    result = await Pipeline(steps).execute(parameters={"items": list(range(COUNT))})
    assert [item / 2 for item in range(COUNT)] == result.parameters["half"]
    assert {result.run} == {event.run for event in result.events}
