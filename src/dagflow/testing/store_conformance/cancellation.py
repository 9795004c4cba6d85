"""Cancellation: a method that is cancelled, at whichever of its steps, has had its whole effect or none."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
import pytest

from dagflow.core.storage import Head, Session, Store
from dagflow.testing.faults import Outcome, cancel_at
from dagflow.testing.leaks import assert_no_leaks
from dagflow.testing.store_conformance.case import (
    StoreCase,
    acquire_within,
    add,
    held,
    newest,
    numbered,
    texts_of,
    write,
)

__all__ = ["Cancellation"]

T = TypeVar("T")

MOST_STEPS = 300

LOOKS: dict[str, Callable[[Session], Awaitable[object]]] = {
    "read": lambda session: session.read("t"),
    "read_values": lambda session: session.read_values("t", ["d"]),
    "find": lambda session: session.find("t"),
    "list": lambda session: session.list(),
}


class Cancellation(StoreCase):
    """Cases that cancel each method at its first step, at its second, and so on, until it has no more."""

    @pytest.mark.parametrize("before", [0, 2])
    async def test_a_cancelled_append_is_whole_or_nothing(self, store: Store, before: int) -> None:
        """Of a cancelled append all records, values and the head are there, or none of them."""
        async with store.open() as session:

            async def append(step: int) -> bool:
                async with held(session, f"t{step}") as lease:
                    if before:
                        await add(session, lease, numbered(1, before), head=Head("old", "running"))
                    batch, values = numbered(before + 1, 3), {"d1": "text", "d2": "text"}
                    outcome = await cancelled_at(
                        step, lambda: session.append(lease, batch, values=values, head=Head("new", "complete"))
                    )
                    count = len(await texts_of(session, lease.thread_id))
                    assert count in ([before + 3] if outcome.completed else [before, before + 3])
                    written = count == before + 3
                    assert (values if written else {}) == dict(await session.read_values(lease.thread_id, values))
                    summary = await session.find(lease.thread_id)
                    expected = ("new", count) if written else ("old", count) if before else None
                    assert expected == (summary and (summary.graph, summary.records))
                    return outcome.reached

            await sweep(append)

    async def test_a_cancelled_append_can_be_repeated(self, store: Store) -> None:
        """Whether a cancelled append was written or not, with the same lease it can be made again, and gone on from."""
        async with store.open() as session:

            async def append(step: int) -> bool:
                async with held(session, f"t{step}") as lease:
                    await add(session, lease, numbered(1, 2))
                    outcome = await cancelled_at(step, lambda: add(session, lease, numbered(3, 2)))
                    await add(session, lease, numbered(3, 2))
                    await add(session, lease, numbered(5))
                    assert numbered(1, 5) == list(await session.read(lease.thread_id))
                    return outcome.reached

            await sweep(append)

    async def test_a_cancelled_acquire_leaves_no_lease(self, store: Store) -> None:
        """Who is cancelled while taking a lease cannot give it back: the next one can take it at once."""
        async with store.open() as session, store.open() as other:

            async def acquire(step: int) -> bool:
                outcome = await cancelled_at(step, lambda: session.acquire(f"t{step}"))
                if outcome.value is not None:
                    await session.release(outcome.value)
                await other.release(await acquire_within(other, f"t{step}", 0))
                return outcome.reached

            await sweep(acquire)

    async def test_a_cancelled_release_can_be_repeated(self, store: Store) -> None:
        """A lease whose release was cancelled is given back, or is still held and can be given back again."""
        async with store.open() as session:

            async def release(step: int) -> bool:
                lease = await session.acquire(f"t{step}")
                outcome = await cancelled_at(step, lambda: session.release(lease))
                if not outcome.completed:
                    await session.release(lease)
                await session.release(await acquire_within(session, f"t{step}", 0))
                return outcome.reached

            await sweep(release)

    async def test_a_cancelled_renewal_keeps_the_lease(self, store: Store) -> None:
        """A lease whose renewal was cancelled holds as before."""
        async with store.open() as session, held(session, "t") as lease:

            async def renew(step: int) -> bool:
                outcome = await cancelled_at(step, lambda: session.renew(lease))
                assert not await session.renew(lease)
                await add(session, lease, numbered(step))
                return outcome.reached

            await sweep(renew)

    async def test_a_cancelled_request_can_be_repeated(self, store: Store) -> None:
        """A request to cancel that was cancelled itself was made or not; made again it reaches the holder."""
        async with store.open() as session:

            async def request(step: int) -> bool:
                async with held(session, f"t{step}") as lease:
                    outcome = await cancelled_at(step, lambda: session.cancel(f"t{step}"))
                    assert outcome.completed <= await session.renew(lease)
                    assert await session.cancel(f"t{step}")
                    assert await session.renew(lease)
                    return outcome.reached

            await sweep(request)

    async def test_a_cancelled_deletion_is_whole_or_nothing(self, store: Store) -> None:
        """A thread whose deletion was cancelled is there with all that belongs to it, or gone."""
        async with store.open() as session:

            async def delete(step: int) -> bool:
                thread_id = f"t{step}"
                await write(session, thread_id, 3, values={"d": "text"})
                outcome = await cancelled_at(step, lambda: session.delete(thread_id))
                count = await newest(session, thread_id)
                assert count in ([0] if outcome.completed else [0, 3])
                assert numbered(1, count) == list(await session.read(thread_id))
                assert ({"d": "text"} if count else {}) == dict(await session.read_values(thread_id, ["d"]))
                await write(session, thread_id)
                assert numbered(1, count + 1) == list(await session.read(thread_id))
                return outcome.reached

            await sweep(delete)

    @pytest.mark.parametrize("look", LOOKS)
    async def test_a_session_goes_on_after_a_cancelled_look(self, store: Store, look: str) -> None:
        """A session answers after one of its reads was cancelled, and answers what was asked."""
        async with store.open() as session:
            await write(session, "t", 3, values={"d": "text"})

            async def read(step: int) -> bool:
                outcome = await cancelled_at(step, lambda: LOOKS[look](session))
                assert 3 == len(await texts_of(session, "t"))
                assert {"d": "text"} == dict(await session.read_values("t", ["d"]))
                assert 3 == await newest(session, "t")
                assert 1 == len((await session.list()).threads)
                return outcome.reached

            await sweep(read)

    async def test_a_cancelled_opening_leaves_nothing(self, store: Store) -> None:
        """Who is cancelled while opening or closing a store leaves nothing open, and it can be opened again."""
        async with store.open() as session:
            await write(session, "t")

        async def open_and_close() -> None:
            async with store.open():
                pass

        async def cycle(step: int) -> bool:
            outcome = await cancelled_at(step, open_and_close)
            async with store.open() as session:
                assert ["record 1"] == await texts_of(session, "t")
            return outcome.reached

        async with assert_no_leaks():
            await sweep(cycle)

    async def test_a_cancelled_run_leaves_a_thread_to_go_on_with(self, store: Store) -> None:
        """Of a run that is cancelled at any step whole appends are left, and the next run gets its lease."""

        async def run(thread_id: str) -> None:
            async with store.open() as session, held(session, thread_id) as lease:
                for turn in range(2):
                    await add(session, lease, numbered(2 * turn + 1, 2), values={f"d{turn}": "text"})

        async def cycle(step: int) -> bool:
            thread_id = f"t{step}"
            outcome = await cancelled_at(step, lambda: run(thread_id))
            async with store.open() as session:
                lease = await acquire_within(session, thread_id, self.lease_timeout)
                count = len(await texts_of(session, thread_id))
                assert count in ([4] if outcome.completed else [0, 2, 4])
                expected = {f"d{turn}": "text" for turn in range(count // 2)}
                assert expected == dict(await session.read_values(thread_id, ["d0", "d1"]))
                await add(session, lease, numbered(count + 1))
                await session.release(lease)
            return outcome.reached

        await sweep(cycle)

    async def test_cancelling_one_task_disturbs_no_other(self, store: Store) -> None:
        """Tasks that use the session of a task that is cancelled go on as if nothing had happened."""
        async with store.open() as session:

            async def run(thread_id: str) -> None:
                async with held(session, thread_id) as lease:
                    for seq in range(1, 6):
                        await add(session, lease, numbered(seq), values={f"d{seq}": "text"})

            async def cycle(step: int) -> bool:
                outcomes: list[Outcome[None]] = []
                async with anyio.create_task_group() as tasks:
                    for n in range(3):
                        tasks.start_soon(run, f"{step}.{n}")
                    outcomes.append(await cancelled_at(step, lambda: run(f"{step} is cancelled")))
                for n in range(3):
                    assert 5 == len(await texts_of(session, f"{step}.{n}"))
                return outcomes[0].reached and step < 10

            await sweep(cycle)


async def sweep(cycle: Callable[[int], Awaitable[bool]]) -> None:
    """Call `cycle` with the steps 1, 2, 3 and so on, until it returns that it has no such step."""
    for step in range(1, MOST_STEPS + 1):
        if not await cycle(step):
            return
    raise AssertionError(f"a method of the store still goes on after {MOST_STEPS} steps")


async def cancelled_at(step: int, function: Callable[[], Awaitable[T]]) -> Outcome[T]:
    """Cancel a method at a step of it; fails where it raises something else because of that."""

    async def call() -> T:
        return await function()

    outcome = await cancel_at(step, call)
    assert outcome.exception is None, f"cancelled at step {step}, it raised {outcome.exception!r}"
    return outcome
