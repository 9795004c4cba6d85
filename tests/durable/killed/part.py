"""What a process does of a run: its part, with a ledger, and a kill at the point that it is told."""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import anyio

from dagflow.errors import DagflowError
from dagflow.events import NodeSucceeded
from dagflow.kernel.durable import Durable, execute_durably
from dagflow.kernel.fault_points import Point, armed
from dagflow.kernel.journal import Subscription
from dagflow.kernel.run import Run
from dagflow.kernel.thread import Thread
from durable.killed.fifty import fifty_nodes
from durable.killed.ledger import Ledger
from durable.killed.orders import GraphName, Orders
from durable.killed.questions import questions
from durable.killed.stores import Altered, Watch, Watched, open_address, sabotages
from durable.plain_graph import Ended, PlainGraph

__all__ = ["Channel", "perform"]

Note = Callable[[str], Awaitable[None]]
GRAPHS: dict[GraphName, Callable[[Note], PlainGraph]] = {"fifty": fifty_nodes, "questions": questions}


class Channel(Protocol):
    """How a process speaks with who began it."""

    def say(self, **what: Any) -> None:
        """Say something."""
        ...

    async def wait(self) -> None:
        """Wait until something is said."""
        ...


class Killer:
    """Writes what may be told to the ledger, and kills the process where the orders say so."""

    def __init__(self, orders: Orders, ledger: Ledger) -> None:
        self._orders = orders
        self._ledger = ledger
        self._reached = 0
        self.watch = Watch(lambda: ledger.write("writing", "-"), lambda: ledger.write("written", "-"))

    def __call__(self, point: Point, what: str) -> None:
        """Pass a fault point."""
        self._reached += 1
        if point == "committed":
            self._ledger.write("told", what)
        if self._is_due(point, what):
            self._ledger.write("killed", point)
            os.kill(os.getpid(), signal.SIGKILL)

    def _is_due(self, point: Point, what: str) -> bool:
        orders = self._orders
        if orders.kill_after:
            return self._reached == orders.kill_after
        if point != orders.kill_point:
            return False
        return orders.kill_at in self.watch.writing if point == "intxn" else what == orders.kill_at


def perform(orders: Orders, channel: Channel) -> dict[str, Any]:
    """Do what the orders say, on an event loop of its own; gives what is to be answered."""
    answer: dict[str, Any] = anyio.run(_perform, orders, channel, backend=orders.backend)
    return answer


async def _perform(orders: Orders, channel: Channel) -> dict[str, Any]:
    store = Altered(open_address(orders.address, lease=orders.lease), sabotages(orders.sabotage))
    try:
        if orders.do == "cancel":
            return {"outcome": str(await Thread(orders.thread, store).cancel())}
        return await _execute(orders, channel, store)
    except DagflowError as error:
        return {"outcome": type(error).__name__, "message": str(error)}


async def _execute(orders: Orders, channel: Channel, store: Altered) -> dict[str, Any]:
    ledger = Ledger(orders.ledger)
    killer = Killer(orders, ledger)

    async def note(activation: str) -> None:
        ledger.write("body", activation)
        await anyio.sleep(orders.pause)
        if activation == orders.hold_at:
            channel.say(holding=activation, pid=os.getpid())
            await channel.wait()

    if orders.wait:
        channel.say(ready=True)
        await channel.wait()
    run = GRAPHS[orders.graph](note).prepare({})
    durable = Durable(
        store=Altered(store, lambda session: Watched(session, killer.watch)),
        thread_id=orders.thread,
        durability=orders.durability,
        lease_wait=orders.lease_wait,
        resume=orders.do == "resume",
        answers=orders.answers,
    )
    # By default the signal ends the process at once, as SIGKILL does. It comes by the time that the process worked, so
    # that one on a busy machine, or one that waits for a lease, comes as far as any other.
    signal.setitimer(signal.ITIMER_PROF, orders.kill_in)
    with armed(killer):
        ended = Ended(await (_followed if orders.follow else _executed)(run, durable, ledger), run)
    return {"outcome": ended.outcome, "state": ended.state, "asked": [interrupt.id for interrupt in ended.interrupts]}


async def _executed(run: Run, durable: Durable, ledger: Ledger) -> Any:
    return await execute_durably(run, durable)


async def _followed(run: Run, durable: Durable, ledger: Ledger) -> Any:
    """Execute a run while another task reads its stream."""
    failure: DagflowError | None = None
    outcome = None
    with run.journal.follow() as events:
        async with anyio.create_task_group() as group:
            group.start_soon(_read, events, ledger)
            try:
                outcome = await execute_durably(run, durable)
            except DagflowError as error:
                failure = error
            events.finish()
    if failure is not None:
        raise failure
    return outcome


async def _read(events: Subscription, ledger: Ledger) -> None:
    async for event in events:
        if isinstance(event, NodeSucceeded):
            ledger.write("streamed", event.activation)
