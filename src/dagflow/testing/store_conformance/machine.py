"""A stateful test of a store against a model: Hypothesis makes up calls, right and wrong, and shrinks what fails.

**Theory of operation.** A machine runs its event loop in a thread of its own, through a blocking portal, for as long
as the machine lives: the rules are plain functions, as Hypothesis wants them, and sessions, leases and whatever a
store keeps in its sessions live from one step to the next. (One `anyio.run` for each step would close every session
after each call, and so never see two of them interleaved.) A session is entered and left in one task of the portal.

The model is a dictionary. What the protocol leaves open, whether a lease outlives the session that took it and for
how long, the model leaves open too: such a thread is `unsettled` until somebody gets its lease.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from typing import Any, ClassVar, TypeVar, get_args

import anyio
import attrs
import hypothesis.strategies as st
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule

from dagflow.core.storage import Head, Lease, Record, Session, Status, Store
from dagflow.errors import CheckpointError, RunLocked
from dagflow.testing.faults import Outcome, cancel_at
from dagflow.testing.store_conformance.case import all_pages
from dagflow.testing.store_conformance.model import Holding, Model

__all__ = ["StoreRules", "store_machine"]

T = TypeVar("T")

slots: st.SearchStrategy[str] = st.sampled_from(["A", "B"])
thread_ids: st.SearchStrategy[str] = st.sampled_from(["t", "u", "ü:*"])
digests: st.SearchStrategy[set[str]] = st.sets(st.sampled_from(["d1", "d2", "d3"]))
statuses: st.SearchStrategy[Status] = st.sampled_from(get_args(Status))
counts: st.SearchStrategy[int] = st.sampled_from([1, 2, 3, 40])
steps: st.SearchStrategy[int] = st.integers(1, 8)
holdings: Bundle[Holding] = Bundle("holdings")


def store_machine(
    make_store: Callable[[], Store], reopen: Callable[[Store], Store] | None = None, *, backend: str = "asyncio"
) -> type[RuleBasedStateMachine]:
    """Make a Hypothesis state machine that compares a store with a model, on one event loop.

    `make_store()` is called for each example and gives a store with nothing in it. `reopen(store)` gives another
    object on the same data, as a new process would make it; without it, the same object goes on after a crash.
    Run it with `hypothesis.stateful.run_state_machine_as_test`, or as a test case: `TestStore = machine.TestCase`.
    A failing example prints the shortest series of calls that Hypothesis found.
    """
    attributes = {"stores": Stores(make_store, reopen or same), "backend": backend}
    return type("StoreMachine", (StoreRules,), attributes)


def same(store: Store) -> Store:
    return store


@attrs.frozen
class Stores:
    """How a machine comes by its stores; see `store_machine`."""

    make: Callable[[], Store]
    reopen: Callable[[Store], Store]


class StoreRules(RuleBasedStateMachine):
    """The rules: each calls a store as a run, a reader or a mistaken program would; see `store_machine`."""

    stores: ClassVar[Stores]
    backend: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self.model: Model = Model()
        self.store: Store = self.stores.make()
        self.sessions: dict[str, tuple[Session, ExitStack]] = {}
        self.loop: ExitStack[bool | None] = ExitStack()
        self.portal: BlockingPortal = self.loop.enter_context(start_blocking_portal(self.backend))

    def teardown(self) -> None:
        """Close the sessions, and end the event loop."""
        with self.loop:
            self.close_all()

    def call(self, function: Callable[..., Coroutine[Any, Any, T]], *args: Any, **options: Any) -> T:
        """Call an async function on the machine's event loop."""
        result: T = self.portal.call(functools.partial(function, *args, **options))
        return result

    def session(self, slot: str) -> Session:
        """Give the session of a slot, opened if it is not."""
        if slot not in self.sessions:
            with ExitStack() as stack:
                session = stack.enter_context(self.portal.wrap_async_context_manager(self.store.open()))
                self.sessions[slot] = session, stack.pop_all()
        return self.sessions[slot][0]

    def close_all(self) -> None:
        """Close every session, with the leases that it holds."""
        while self.sessions:
            _, (_, stack) = self.sessions.popitem()
            stack.close()

    def session_for(self, holding: Holding, slot: str) -> Session:
        """Give the session that took a lease, or for a stale lease any."""
        return holding.session if holding.live else self.session(slot)

    def cancelled_at(
        self, step: int, function: Callable[..., Coroutine[Any, Any, T]], *args: Any, **options: Any
    ) -> Outcome[T]:
        """Call a method that is cancelled at one of its steps."""
        outcome = self.call(cancel_at, step, functools.partial(function, *args, **options))
        error = outcome.exception
        if error is not None and not isinstance(error, RunLocked):
            raise error
        return outcome

    # Leases

    @rule(target=holdings, slot=slots, thread_id=thread_ids)
    def acquire(self, slot: str, thread_id: str) -> Any:
        """Take a lease, which nobody else has."""
        session = self.session(slot)
        try:
            lease = self.call(session.acquire, thread_id)
        except RunLocked:
            assert self.model.may_be_taken(thread_id), f"nobody holds the lease of {thread_id!r}"
            return multiple()
        return self.took(lease, session, thread_id)

    @rule(target=holdings, slot=slots, other=slots, thread_id=thread_ids)
    def acquire_at_once(self, slot: str, other: str, thread_id: str) -> Any:
        """Race for a lease: one wins at most, and one does where it is free."""
        winners: list[tuple[Lease, Session]] = []

        async def take(session: Session) -> None:
            try:
                winners.append((await session.acquire(thread_id), session))
            except RunLocked:
                return

        async def race(*sessions: Session) -> None:
            async with anyio.create_task_group() as tasks:
                for session in sessions:
                    tasks.start_soon(take, session)

        self.call(race, self.session(slot), self.session(other))
        assert len(winners) <= 1, f"two have the lease of {thread_id!r}"
        if not winners:
            assert self.model.may_be_taken(thread_id), f"nobody holds the lease of {thread_id!r}"
            return multiple()
        return self.took(*winners[0], thread_id)

    def took(self, lease: Lease, session: Session, thread_id: str) -> Holding:
        """Note who has a lease now, which nobody had."""
        assert thread_id not in self.model.holders, f"the lease of {thread_id!r} was taken twice"
        assert thread_id == lease.thread_id
        assert not self.call(session.renew, lease), "a request to cancel the run before was not forgotten"
        holding = Holding(lease, session)
        self.model.take(holding)
        return holding

    @rule(slot=slots, thread_id=thread_ids, step=steps)
    def acquire_and_be_cancelled(self, slot: str, thread_id: str, step: int) -> None:
        """Be cancelled while taking a lease: it is not taken, whatever it was before."""
        session = self.session(slot)
        outcome = self.cancelled_at(step, session.acquire, thread_id)
        if outcome.value is not None:
            self.model.give_back(self.took(outcome.value, session, thread_id))
            self.call(session.release, outcome.value)
        elif outcome.exception is not None:
            assert self.model.may_be_taken(thread_id), f"nobody holds the lease of {thread_id!r}"
        elif not self.model.may_be_taken(thread_id):
            self.call(session.release, self.call(session.acquire, thread_id))

    @rule(holding=holdings, slot=slots)
    def renew(self, holding: Holding, slot: str) -> None:
        """Renew a lease, and be told of a request to cancel."""
        if holding.unknown:
            return
        try:
            asked = self.call(self.session_for(holding, slot).renew, holding.lease)
        except RunLocked:
            assert not holding.live, "a lease that holds was told to be lost"
        else:
            assert holding.live, "a lease that was given back was renewed"
            assert (holding.thread_id in self.model.asked) == asked

    @rule(holding=holdings, slot=slots)
    def release(self, holding: Holding, slot: str) -> None:
        """Give a lease back, for the first time or again."""
        if not holding.unknown:
            self.call(self.session_for(holding, slot).release, holding.lease)
            self.model.give_back(holding)

    @rule(slot=slots, thread_id=thread_ids)
    def request(self, slot: str, thread_id: str) -> None:
        """Ask whoever holds a lease to cancel."""
        reached = self.call(self.session(slot).cancel, thread_id)
        if thread_id not in self.model.unsettled:
            assert (thread_id in self.model.holders) == reached
        if thread_id in self.model.holders:
            self.model.asked.add(thread_id)

    # Appends

    @rule(holding=holdings, slot=slots, count=counts, names=digests, status=st.none() | statuses)
    def append(self, holding: Holding, slot: str, count: int, names: set[str], status: Status | None) -> None:
        """Append what follows, which is done with a lease that holds and refused with any other."""
        if holding.unknown:
            return
        batch, values, head = self.make_batch(holding, count, names, status)
        try:
            self.call(self.session_for(holding, slot).append, holding.lease, batch, values=values, head=head)
        except RunLocked:
            assert not holding.live, "a lease that holds was told to be lost"
        else:
            assert holding.live, "a lease that was given back was used"
            self.model.append(holding, batch, values, head)

    @rule(holding=holdings, slot=slots)
    def append_again(self, holding: Holding, slot: str) -> None:
        """Append again what was appended last, which changes nothing."""
        batch = holding.batch
        if holding.unknown or not batch:
            return
        try:
            self.call(self.session_for(holding, slot).append, holding.lease, batch, values={}, head=None)
        except RunLocked:
            assert not holding.live, "a lease that holds was told to be lost"
        else:
            assert holding.live, "a lease that was given back was used"

    @rule(holding=holdings, slot=slots, count=counts, shift=st.sampled_from([-3, -2, -1, 1, 2]), gap=st.booleans())
    def append_out_of_place(self, holding: Holding, slot: str, count: int, shift: int, gap: bool) -> None:
        """Append what leaves a gap before it or in it, or overlaps: it is refused."""
        first = self.model.newest(holding.thread_id) + 1
        batch = self.model.make_records(first if gap else first + shift, count)
        if gap:
            batch.append(Record(first + count + 1, "after a gap"))
        self.refused(holding, slot, batch)

    @rule(holding=holdings, slot=slots)
    def append_something_else(self, holding: Holding, slot: str) -> None:
        """Append another batch where the last one went: it is refused."""
        if holding.batch:
            self.refused(holding, slot, self.model.make_records(holding.batch[0].seq, len(holding.batch)))

    def refused(self, holding: Holding, slot: str, batch: list[Record]) -> None:
        """Append what must not be taken."""
        if holding.unknown:
            return
        session, head = self.session_for(holding, slot), Head("refused", "failed")
        try:
            self.call(session.append, holding.lease, batch, values={"refused": "text"}, head=head)
        except CheckpointError as error:
            locked = isinstance(error, RunLocked)
            assert not (locked and holding.live), "a lease that holds was told to be lost"
        else:
            raise AssertionError(f"records from number {batch[0].seq} on were taken")

    @rule(slot=slots, thread_id=thread_ids, count=counts)
    def append_as_a_stranger(self, slot: str, thread_id: str, count: int) -> None:
        """Append without having taken the lease."""
        batch = self.model.make_records(self.model.newest(thread_id) + 1, count)
        try:
            self.call(self.session(slot).append, Lease(thread_id, "nobody"), batch, values={}, head=Head("x", "failed"))
        except RunLocked:
            return
        raise AssertionError("a stranger wrote")

    @rule(holding=holdings, count=counts, names=digests, status=st.none() | statuses, step=steps)
    def append_and_be_cancelled(
        self, holding: Holding, count: int, names: set[str], status: Status | None, step: int
    ) -> None:
        """Be cancelled while appending: the batch is there with all that belongs to it, or nothing of it."""
        if not holding.live:
            return
        batch, values, head = self.make_batch(holding, count, names, status)
        append = holding.session.append
        outcome = self.cancelled_at(step, append, holding.lease, batch, values=values, head=head)
        assert outcome.exception is None, "a lease that holds was told to be lost"
        before = self.model.newest(holding.thread_id)
        found = len(self.call(holding.session.read, holding.thread_id))
        assert found in ([before + count] if outcome.completed else [before, before + count])
        if found > before:
            self.model.append(holding, batch, values, head)
        self.check_thread(holding.session, holding.thread_id)

    def make_batch(
        self, holding: Holding, count: int, names: set[str], status: Status | None
    ) -> tuple[list[Record], dict[str, str], Head | None]:
        """Make a batch that follows, new values, and a head for a thread's first records."""
        first = self.model.newest(holding.thread_id) + 1
        batch = self.model.make_records(first, count)
        values = {name: f"{name} of batch {self.model.texts}" for name in names}
        head = Head(f"graph {self.model.texts}", status or "running") if status or first == 1 else None
        return batch, values, head

    # Looks

    @rule(slot=slots, thread_id=thread_ids, after=st.integers(0, 45), limit=st.none() | st.integers(1, 45))
    def read(self, slot: str, thread_id: str, after: int, limit: int | None) -> None:
        """Read a part of a journal."""
        found = self.call(self.session(slot).read, thread_id, after=after, limit=limit)
        assert self.model.records(thread_id)[after:][:limit] == list(found)

    @rule(slot=slots, thread_id=thread_ids)
    def look(self, slot: str, thread_id: str) -> None:
        """Read all that there is of a thread."""
        self.check_thread(self.session(slot), thread_id)

    @rule(slot=slots, limit=st.integers(1, 4), status=st.none() | statuses)
    def page_through(self, slot: str, limit: int, status: Status | None) -> None:
        """List the threads, page by page."""
        self.model.check_listing(self.call(all_pages, self.session(slot), limit=limit, status=status), status)

    @invariant()
    def every_open_session_sees_the_same(self) -> None:
        """After each step, each session that is open lists what the model has."""
        for session, _ in self.sessions.values():
            self.model.check_listing(self.call(session.list).threads)

    def check_thread(self, session: Session, thread_id: str) -> None:
        """Compare all that there is of a thread with the model."""
        names = ["d1", "d2", "d3", "refused"]
        assert self.model.records(thread_id) == [*self.call(session.read, thread_id)]
        assert self.model.values(thread_id) == dict(self.call(session.read_values, thread_id, names))
        summary = self.call(session.find, thread_id)
        assert (thread_id in self.model.threads) == (summary is not None)
        if summary is not None:
            self.model.check_summary(summary)

    # Ends

    @rule(slot=slots, thread_id=thread_ids)
    def delete(self, slot: str, thread_id: str) -> None:
        """Remove a thread, which nobody works on."""
        try:
            removed = self.call(self.session(slot).delete, thread_id)
        except RunLocked:
            assert self.model.may_be_taken(thread_id), f"nobody holds the lease of {thread_id!r}"
        else:
            assert thread_id not in self.model.holders, f"thread {thread_id!r} was removed under its holder"
            assert (self.model.threads.pop(thread_id, None) is not None) == removed

    @rule(slot=slots, thread_id=thread_ids, step=steps)
    def delete_and_be_cancelled(self, slot: str, thread_id: str, step: int) -> None:
        """Be cancelled while removing a thread: it is whole or gone."""
        session = self.session(slot)
        outcome = self.cancelled_at(step, session.delete, thread_id)
        if self.call(session.find, thread_id) is None:
            gone = self.model.threads.pop(thread_id, None) is not None
            assert not gone or thread_id not in self.model.holders, f"thread {thread_id!r} was removed under its holder"
        else:
            assert not outcome.completed
        self.check_thread(session, thread_id)

    @rule(slot=slots)
    def close(self, slot: str) -> None:
        """Close a session as a run does that ends: its leases are given back first."""
        if slot not in self.sessions:
            return
        session, stack = self.sessions.pop(slot)
        for holding in [*self.model.holders.values()]:
            if holding.session is session:
                self.call(session.release, holding.lease)
                self.model.give_back(holding)
        stack.close()

    @rule()
    def crash_and_reopen(self) -> None:
        """Leave every session with the leases that it holds, and go on with another object on the same data."""
        self.close_all()
        self.model.abandon_all()
        self.store = self.stores.reopen(self.store)
        session = self.session("A")
        for thread_id in ("t", "u", "ü:*"):
            self.check_thread(session, thread_id)
