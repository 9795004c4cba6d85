"""Map and race nodes: many at once, each item recorded on its own, losers cancelled."""

from pathlib import Path
from typing import Any

import anyio
import pytest

from dagflow import MemoryStore, NodeError
from dagflow.events import NodeStarted, NodeSucceeded
from dagflow.kernel.forgetting import MANY
from declarative.yaml_files import compiled, faults_in

MAP = """
    state: {parts: list[int], factor: {type: int, default: 10}}
    nodes:
      fan: {type: map, over: "{state.parts}", as: part, index: place, collect: made, MORE
            node: {type: python, function: work, arguments: {x: "{part * factor}", i: "{place}"}, state_key: y}}
    edges: [{from: START, to: fan}, {from: fan, to: END}]
"""


async def test_results_are_in_the_order_of_the_items(tmp_path: Path) -> None:
    """Whatever finishes first, the collected list has the order of the list that was mapped."""

    async def work(x: int, i: int) -> int:
        for _ in range(5 - i):
            await anyio.lowlevel.checkpoint()
        return x

    graph = compiled(tmp_path, MAP.replace("MORE", ""), work=work)
    assert [50, 40, 30, 20, 10] == (await graph.run({"parts": [5, 4, 3, 2, 1]})).state["made"]
    assert [] == (await graph.run({"parts": []})).state["made"]


async def test_no_more_items_than_allowed_are_under_way(tmp_path: Path) -> None:
    """`max_concurrency` bounds the items that work at once, and as many as that do."""
    under_way, most = 0, 0

    async def work(x: int, i: int) -> int:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await anyio.sleep(0.001)
        under_way -= 1
        return x

    graph = compiled(tmp_path, MAP.replace("MORE", "max_concurrency: 3,"), work=work)
    await graph.run({"parts": list(range(20))})
    assert 3 == most


async def test_a_resume_runs_only_the_items_that_are_missing(tmp_path: Path) -> None:
    """Items that were recorded as complete before a failure are not run again."""
    ran: list[int] = []
    broken = {3}

    async def work(x: int, i: int) -> int:
        ran.append(i)
        if i in broken:
            await anyio.sleep(0.01)
            raise ValueError("not today")
        return x

    graph = compiled(tmp_path, MAP.replace("MORE", "max_concurrency: 1,"), work=work)
    store = MemoryStore()
    with pytest.raises(NodeError, match="not today"):
        await graph.run({"parts": [0, 1, 2, 3, 4]}, store=store, thread_id="t")
    broken.clear()
    done = await graph.resume("t", store=store)
    assert [0, 10, 20, 30, 40] == done.state["made"]
    assert [0, 1, 2, 3, 3, 4] == ran


async def test_equal_items_are_recorded_each(tmp_path: Path) -> None:
    """Items that cannot be told apart by their value are told apart by their place."""
    ran: list[int] = []
    broken = {2}

    async def work(x: int, i: int) -> int:
        ran.append(i)
        if i in broken:
            raise ValueError("not today")
        return i

    graph = compiled(tmp_path, MAP.replace("MORE", "max_concurrency: 1,"), work=work)
    store = MemoryStore()
    with pytest.raises(NodeError):
        await graph.run({"parts": [7, 7, 7]}, store=store, thread_id="t")
    broken.clear()
    assert [0, 1, 2] == (await graph.resume("t", store=store)).state["made"]
    assert [0, 1, 2, 2] == ran


async def test_items_ask_while_others_finish(tmp_path: Path) -> None:
    """An item that asks a person does not stop its siblings, and each question is answered by its id."""
    graph = compiled(
        tmp_path,
        """
        state: {names: list[str], age: int}
        nodes:
          fan: {type: map, over: "{names}", as: name, collect: ages,
                node: {type: interrupt, message: "How old is {name}?", resume_key: age}}
        edges: [{from: START, to: fan}, {from: fan, to: END}]
        """,
    )
    store = MemoryStore()
    asked = await graph.run({"names": ["Ada", "Bob"]}, store=store, thread_id="t")
    questions = {one.question: one.id for one in asked.interrupts}
    assert ["How old is Ada?", "How old is Bob?"] == list(questions)
    half = await graph.resume("t", {questions["How old is Bob?"]: 40}, store=store)
    assert ["How old is Ada?"] == [one.question for one in half.interrupts]
    done = await graph.resume("t", {"age": 36}, store=store)
    assert [36, 40] == done.state["ages"]


async def test_an_item_that_fails_ends_the_map(tmp_path: Path) -> None:
    """The failure is told with its node, the siblings are cancelled and have cleaned up, and the map writes nothing."""
    cleaned: list[int] = []

    async def work(x: int, i: int) -> int:
        if i == 1:
            raise ValueError("no")
        try:
            await anyio.sleep_forever()
        finally:
            cleaned.append(i)
        return x

    graph = compiled(tmp_path, MAP.replace("MORE", ""), work=work)
    with pytest.raises(NodeError, match="ValueError: no") as caught:
        await graph.run({"parts": [0, 1, 2]})
    assert "fan" == caught.value.node
    assert [0, 2] == sorted(cleaned)


async def test_an_item_may_be_skipped(tmp_path: Path) -> None:
    """With `on_error: skip` inside, an item that fails leaves null in its place."""

    async def work(x: int, i: int) -> int:
        if i == 1:
            raise ValueError("no")
        return x

    text = MAP.replace("MORE", "").replace("state_key: y}}", "state_key: y, on_error: skip}}")
    assert [0, None, 20] == (await compiled(tmp_path, text, work=work).run({"parts": [0, 1, 2]})).state["made"]


async def test_maps_nest(tmp_path: Path) -> None:
    """A map may be inside a map, and sees the names of both."""
    graph = compiled(
        tmp_path,
        """
        state: {rows: "list[list[int]]"}
        nodes:
          outer:
            type: map
            over: "{rows}"
            as: row
            collect: sums
            node:
              type: map
              over: "{row}"
              as: cell
              collect: cells
              node: {type: passthrough, output: {x: "{cell + len(row)}"}}
        edges: [{from: START, to: outer}, {from: outer, to: END}]
        """,
    )
    assert [[3, 4], [6]] == (await graph.run({"rows": [[1, 2], [5]]})).state["sums"]


async def never(x: int, i: int) -> None:
    raise AssertionError("it ran")


async def test_only_lists_are_mapped(tmp_path: Path) -> None:
    """A map over what is no list is an error that says what it was."""
    graph = compiled(tmp_path, MAP.replace("MORE", "").replace("parts: list[int]", "parts: any"), work=never)
    with pytest.raises(NodeError, match=r"map fan is over \{state.parts\}, which is a str and no list"):
        await graph.run({"parts": "abc"})


RACE = """
    nodes:
      race:
        type: race
        state_key: found
        winner_key: winner
        nodes:
          fast: {type: python, function: fast, state_key: x}
          slow: {type: python, function: slow, state_key: x}
    edges: [{from: START, to: race}, {from: race, to: END}]
"""


async def test_the_first_success_wins_and_the_losers_are_cancelled(tmp_path: Path) -> None:
    """A loser has finished its clean-up before the run goes on."""
    cleaned: list[str] = []

    async def fast() -> str:
        await anyio.sleep(0.01)
        return "f"

    async def slow() -> str:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.01)
            cleaned.append("slow")
        return "s"

    result = await compiled(tmp_path, RACE, fast=fast, slow=slow).run()
    assert {"found": "f", "winner": "fast"} == result.state
    assert ["slow"] == cleaned


async def test_a_failure_does_not_win(tmp_path: Path) -> None:
    """A racer that fails leaves the others running; only when all fail does the race, with every failure."""

    async def fast() -> str:
        raise ValueError("fast is broken")

    async def slow() -> str:
        await anyio.sleep(0.01)
        return "s"

    async def also() -> str:
        await anyio.sleep(0.01)
        raise OSError("slow is broken")

    assert "slow" == (await compiled(tmp_path, RACE, fast=fast, slow=slow).run()).state["winner"]
    with pytest.raises(NodeError) as caught:
        await compiled(tmp_path, RACE, fast=fast, slow=also).run()
    assert "ValueError: fast is broken" in str(caught.value)
    assert "OSError: slow is broken" in str(caught.value)
    assert [ValueError, OSError] == [type(failure.exception) for failure in caught.value.failures]


async def test_a_race_that_was_recorded_is_not_run_again(tmp_path: Path) -> None:
    """What won before a later failure stays what it is."""
    ran: list[str] = []
    broken = [True]

    async def fast() -> str:
        ran.append("fast")
        return "f"

    async def slow() -> str:
        await anyio.sleep_forever()
        return "s"

    async def after() -> str:
        if broken:
            raise ValueError("not today")
        return "done"

    text = RACE.replace("edges: [{from: START, to: race}, {from: race, to: END}]", "") + (
        "      after: {type: python, function: after, state_key: z}\n"
        "    edges: [{from: START, to: race}, {from: race, to: after}, {from: after, to: END}]\n"
    )
    graph = compiled(tmp_path, text, fast=fast, slow=slow, after=after)
    store = MemoryStore()
    with pytest.raises(NodeError):
        await graph.run(store=store, thread_id="t")
    broken.clear()
    assert {"found": "f", "winner": "fast", "z": "done"} == (await graph.resume("t", store=store)).state
    assert ["fast"] == ran


def test_what_cannot_be_inside_is_refused(tmp_path: Path) -> None:
    """A question in a race and a router in a map are faults at their lines."""
    asks = RACE.replace(
        "{type: python, function: slow, state_key: x}", '{type: interrupt, message: "?", resume_key: x}'
    )
    (fault,) = faults_in(tmp_path, asks, fast=never)
    assert "nodes.race.nodes.slow: asks a person" in fault
    routes = MAP.replace("MORE", "").replace(
        '{type: python, function: work, arguments: {x: "{part * factor}", i: "{place}"}, state_key: y}',
        "{type: router, prompt: {user: x}, routes: {a: END}}",
    )
    (fault,) = faults_in(tmp_path, routes)
    assert "nodes.fan.node: a router leads to other nodes" in fault


async def test_every_item_is_an_event(tmp_path: Path) -> None:
    """Each item's activation stands in the journal under a run of its own, inside that of the map."""

    async def work(x: int, i: int) -> int:
        return x

    result = await compiled(tmp_path, MAP.replace("MORE", ""), work=work).run({"parts": [1, 2]})
    started = [event for event in result.events if isinstance(event, NodeStarted)]
    assert ["fan", "y", "y"] == [event.node for event in started]
    runs = sorted({event.run for event in started[1:]})
    assert [f"{result.run}/fan#1/fan[{place}]" for place in (0, 1)] == [run.rpartition(".")[0] for run in runs]
    written: list[Any] = [event.writes for event in result.events if isinstance(event, NodeSucceeded)]
    assert [{"y": 10}, {"y": 20}, {"made": [10, 20]}] == written


async def test_of_very_many_items_those_that_went_well_are_forgotten(tmp_path: Path) -> None:
    """A map over more than a thousand items keeps no events of them; its result and its stream are whole."""

    async def work(x: int, i: int) -> int:
        return x

    graph = compiled(tmp_path, MAP.replace("MORE", ""), work=work)
    parts = list(range(MANY + 1))
    result = await graph.run({"parts": parts})
    assert [10 * part for part in parts] == result.state["made"]
    assert {result.run} == {event.run for event in result.events}
    async with graph.stream({"parts": parts}) as events:
        started = [event.node async for event in events if isinstance(event, NodeStarted)]
    assert ["fan", *["y"] * len(parts)] == started
