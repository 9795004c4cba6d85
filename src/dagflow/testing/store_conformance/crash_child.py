"""The process that is killed: opens a store, takes a lease, appends, and ends by SIGKILL at the moment it was told.

Run by its path, so that it imports no more than the store needs.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, NoReturn

import anyio
import attrs

from dagflow.core.storage import Head, Lease, Record, Session, Status, Store
from dagflow.errors import RunLocked
from dagflow.kernel import fault_points

__all__ = ["FIRST", "SECOND", "Orders", "value_names"]

FIRST = 3
"""Records of the batch that is appended before anything happens."""

SECOND = 500
"""Records of the batch during which it happens."""


@attrs.frozen
class Orders:
    """What the process is to do: make the store with `factory(**arguments)`, and kill itself at `moment`."""

    factory: str
    arguments: dict[str, Any]
    backend: str
    moment: str
    lease_timeout: float

    def make_store(self) -> Store:
        """Call the factory."""
        module, _, name = self.factory.partition(":")
        make: Any = importlib.import_module(module)
        for part in name.split("."):
            make = getattr(make, part)
        store: Store = make(**self.arguments)
        return store

    def number(self) -> int:
        """Read the number that the moment has."""
        return next(int(word) for word in self.moment.split() if word.isdecimal())


def value_names(batch: int) -> list[str]:
    """Name the values that come with a batch."""
    return [f"value {n} of batch {batch}" for n in range(20)]


async def main(orders: Orders) -> None:
    async with orders.make_store().open() as session:
        lease = await acquire(session, orders.lease_timeout)
        if orders.moment.endswith(" ms in"):
            kill_later(orders.number() / 1000)
            await append_on_and_on(session, lease)
        await append(session, lease, 1, FIRST, "running")
        await append_and_die(session, lease, orders)


async def append_and_die(session: Session, lease: Lease, orders: Orders) -> None:
    """Append the second batch; where it comes to its end before the moment does, the end is the moment."""
    second = functools.partial(append, session, lease, FIRST + 1, SECOND, "complete")
    match orders.moment.split()[0]:
        case "before":
            kill()
        case "asked":
            await until_asked(session, lease)
        case "in":
            with fault_points.armed(kill):
                await second()
        case "step":
            await KilledAt(second(), orders.number())
        case "after":
            await second()
        case "released":
            await second()
            await session.release(lease)
        case _:
            kill_later(orders.number() / 1000)
            await second()
    kill()


async def acquire(session: Session, seconds: float) -> Lease:
    """Take the lease, which one that was killed may have for some seconds yet."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return await session.acquire("t")
        except RunLocked:
            if time.monotonic() > deadline:
                raise
            await anyio.sleep(0.05)


async def append(session: Session, lease: Lease, first: int, count: int, status: Status) -> None:
    records = [Record(seq, f"record {seq}") for seq in range(first, first + count)]
    values = {name: f"text of {name}" for name in value_names(1 if first == 1 else 2)}
    await session.append(lease, records, values=values, head=Head("a graph", status))


async def append_on_and_on(session: Session, lease: Lease) -> NoReturn:
    """Append record after record, and report each that is safe."""
    summary = await session.find("t")
    seq = summary.records if summary else 0
    while True:
        seq += 1
        await session.append(lease, [Record(seq, f"record {seq}")], values={}, head=Head("a graph", "running"))
        os.write(1, b"%d\n" % seq)


async def until_asked(session: Session, lease: Lease) -> None:
    """Hold the lease until somebody asks to cancel."""
    await append(session, lease, FIRST + 1, 1, "running")
    os.write(1, b"held\n")
    while not await session.renew(lease):  # noqa: ASYNC110 (the other process has no event of ours)
        await anyio.sleep(0.02)


def kill(*_: object) -> NoReturn:
    """Die at once: no clean-up of any kind runs."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise SystemExit("SIGKILL does not return")


def kill_later(seconds: float) -> None:
    """Die from another thread, whatever this one does then."""

    def wait() -> None:
        time.sleep(seconds)
        kill()

    threading.Thread(target=wait, daemon=True).start()


class KilledAt(Awaitable[None]):
    """Drives a coroutine as `await` does, and dies when it has been suspended a number of times."""

    def __init__(self, coroutine: Coroutine[Any, Any, None], steps: int) -> None:
        self._coroutine = coroutine
        self._left = steps

    def __await__(self) -> Generator[Any, Any, None]:
        resume: Callable[[], Any] = functools.partial(self._coroutine.send, None)
        while True:
            try:
                request = resume()
            except StopIteration:
                return
            self._left -= 1
            if self._left == 0:
                kill()
            try:
                answer = yield request
            except BaseException as error:
                resume = functools.partial(self._coroutine.throw, error)
            else:
                resume = functools.partial(self._coroutine.send, answer)


if __name__ == "__main__":
    told: Orders = Orders(**json.loads(sys.argv[1]))
    anyio.run(main, told, backend=told.backend)
