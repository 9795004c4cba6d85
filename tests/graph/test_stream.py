"""Event streams: order, results, errors, and that a consumer who stops ends the run."""

from typing import Annotated, Any

import anyio
import anyio.lowlevel
import pytest

from dagflow import Dep, Graph, Node, NodeError, dep, progress
from dagflow.events import Event, NodeCancelled, NodeStarted, Progress, RunEnded, RunStarted
from dagflow.testing import assert_no_leaks


class Counting(Node):
    number: int

    async def __call__(self) -> "Counting | None":
        await anyio.lowlevel.checkpoint()
        return Counting(number=self.number + 1) if self.number < 3 else None


class Slow:
    """Work that tells when it began and when it was cleaned up."""

    def __init__(self) -> None:
        self.running = 0

    async def __call__(self) -> int:
        self.running += 1
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.lowlevel.checkpoint()
            self.running -= 1
        return 1


async def test_a_stream_gives_the_events_in_order_and_then_the_result() -> None:
    """Events come in the order of their sequence numbers, and the result is there after the last."""
    async with Graph(start=Counting).stream(Counting(number=1)) as events:
        with pytest.raises(RuntimeError, match="read its events to the end"):
            _ = events.result
        seen = [event async for event in events]
    assert list(range(1, len(seen) + 1)) == [event.seq for event in seen]
    assert isinstance(seen[0], RunStarted)
    assert isinstance(seen[-1], RunEnded)
    assert 3 == events.result.node.number
    assert tuple(seen) == events.result.events


async def test_a_failing_run_raises_from_the_iteration_after_its_last_event() -> None:
    """The consumer sees every event of a run that fails, and then its error."""

    class Fails(Node):
        async def __call__(self) -> None:
            raise ValueError("no")

    seen: list[Event] = []
    with pytest.raises(NodeError, match="ValueError: no"):
        async with Graph(start=Fails).stream(Fails()) as events:
            async for event in events:
                seen.append(event)  # what came before the error is the point
    assert isinstance(seen[-1], RunEnded)
    assert "failed" == seen[-1].outcome


async def test_a_failure_that_nobody_read_is_raised_on_leaving() -> None:
    """A run that failed while its consumer looked away is not silently lost."""

    class Fails(Node):
        async def __call__(self) -> None:
            raise ValueError("unread")

    with pytest.raises(NodeError, match="unread"):
        async with Graph(start=Fails).stream(Fails()):
            await anyio.wait_all_tasks_blocked()


slow = Slow()


async def waits_below(value: Annotated[int, Dep(slow)]) -> int:
    return value


class Inner(Node):
    value: int = dep(waits_below)

    async def __call__(self) -> None: ...


inner = Graph(start=Inner)


class Outer(Node):
    async def __call__(self) -> "Outer | None":
        await progress("going in", 0.5)
        await inner.run(Inner())
        return None


@pytest.mark.parametrize("how", ["break", "raise", "cancel"])
@pytest.mark.parametrize("stop_at", range(1, 7))
async def test_a_consumer_that_stops_ends_the_run(how: str, stop_at: int) -> None:
    """Whatever ends the consumer, at whatever event, the run and its nested run end, with their clean-up done."""
    seen: list[Event] = []

    async def consume() -> None:
        async with Graph(start=Outer).stream(Outer()) as events:
            async for event in events:
                seen.append(event)
                if len(seen) == stop_at:
                    if how == "raise":
                        raise LookupError("stop")
                    if how == "cancel":
                        scope.cancel()
                        await anyio.lowlevel.checkpoint()
                    break

    async with assert_no_leaks():
        with anyio.CancelScope() as scope:
            if how == "raise":
                with pytest.raises(LookupError):
                    await consume()
            else:
                await consume()
    assert stop_at == len(seen)
    assert 0 == slow.running


async def test_progress_is_streamed_live_and_not_kept() -> None:
    """A progress note reaches who follows, and does not stand in the journal."""

    class Tells(Node):
        async def __call__(self) -> None:
            await progress("half", 0.5)

    async with Graph(start=Tells).stream(Tells()) as events:
        seen = [event async for event in events]
    notes = [event for event in seen if isinstance(event, Progress)]
    assert [("half", 0.5, "Tells#1")] == [(note.message, note.fraction, note.activation) for note in notes]
    assert not any(isinstance(event, Progress) for event in events.result.events)


async def test_the_run_waits_for_a_slow_consumer() -> None:
    """A run does not get further ahead of its consumer than the buffer allows."""
    async with Graph(start=Counting).stream(Counting(number=1), buffer=2) as events:
        await anyio.wait_all_tasks_blocked()
        first = await events.__anext__()
        assert isinstance(first, RunStarted)
        await anyio.wait_all_tasks_blocked()
        rest = [event async for event in events]
    assert isinstance(rest[-1], RunEnded)


async def test_a_stream_of_a_cancelled_consumer_records_the_cancellation() -> None:
    """The journal of a run that its consumer left says that it was cancelled, and which node was."""
    kept: list[Any] = []
    async with Graph(start=Outer).stream(Outer()) as events:
        kept.append(events)
        async for event in events:
            if isinstance(event, NodeStarted) and event.node == "Inner":
                break
    journal = kept[0].journal
    assert ["cancelled", "cancelled"] == [event.outcome for event in journal.events if isinstance(event, RunEnded)]
    assert {"Inner", "Outer"} == {event.node for event in journal.events if isinstance(event, NodeCancelled)}


async def test_a_stream_outside_a_block_says_what_to_write() -> None:
    """A stream that is iterated without its block, or entered twice, is refused."""
    stream = Graph(start=Counting).stream(Counting(number=1))
    with pytest.raises(RuntimeError, match="async with graph.stream"):
        async for _ in stream:
            pass
    async with stream:
        pass
    with pytest.raises(RuntimeError, match="again for another"):
        async with stream:
            pass
