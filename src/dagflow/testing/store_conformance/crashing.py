"""Crashes: processes that are killed while they append, and what the next one finds."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from dagflow.core.storage import Session, Store
from dagflow.errors import RunLocked
from dagflow.kernel.process import run_process
from dagflow.testing.store_conformance.case import StoreCase, acquire_within, add, numbered, restrict, texts_of
from dagflow.testing.store_conformance.crash_child import FIRST, SECOND, Orders, value_names

__all__ = ["Crashing"]

MOMENTS = ("before", "in the transaction", "step 1", "step 2", "step 3", "1 ms later", "5 ms later")
"""When a process is killed that holds a lease, has appended one batch, and appends another."""


class Crashing(StoreCase):
    """Cases that kill real processes, which make their store with `factory`; not collected without one."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        restrict(cls, Crashing, wanted=cls.factory is not None and cls.survives_reopen)

    @pytest.mark.parametrize("moment", MOMENTS)
    async def test_a_killed_append_is_whole_or_nothing(self, store: Store, anyio_backend: str, moment: str) -> None:
        """Of an append whose process was killed all is there or nothing; what was before it stays; the lease ends."""
        await self.killed(store, anyio_backend, moment)
        async with store.open() as session:
            lease = await acquire_within(session, "t", self.lease_timeout)
            count = len(await texts_of(session, "t"))
            assert count in ([FIRST] if moment == "before" else [FIRST, FIRST + SECOND])
            assert numbered(1, count) == list(await session.read("t"))
            await check_values_and_head(session, second=count > FIRST)
            assert not await session.renew(lease)
            await add(session, lease, numbered(count + 1))
            await session.release(lease)

    async def test_an_append_that_returned_survives(self, store: Store, anyio_backend: str) -> None:
        """What was appended before the process was killed is there, the last batch with its values and head too."""
        await self.killed(store, anyio_backend, "after")
        async with store.open() as session:
            assert numbered(1, FIRST + SECOND) == list(await session.read("t"))
            await check_values_and_head(session, second=True)
            lease = await acquire_within(session, "t", self.lease_timeout)
            await session.release(lease)
            summary = await session.find("t")
            assert summary is not None
            assert not summary.leased

    async def test_a_lease_given_back_before_a_crash_is_free(self, store: Store, anyio_backend: str) -> None:
        """A process that released its lease and was killed then leaves the thread free at once."""
        await self.killed(store, anyio_backend, "released")
        async with store.open() as session:
            await session.release(await acquire_within(session, "t", 0))
            assert numbered(1, FIRST + SECOND) == list(await session.read("t"))

    async def test_crash_after_crash(self, store: Store, anyio_backend: str) -> None:
        """Processes that append record after record, each killed at some moment, lose none that was reported."""
        confirmed = 0
        for milliseconds in (3, 10, 25):
            output = await self.killed(store, anyio_backend, f"{milliseconds} ms in")
            confirmed = max([confirmed, *map(int, output.split())])
            async with store.open() as session:
                count = len(await texts_of(session, "t"))
                assert count in (confirmed, confirmed + 1), f"{confirmed} appends returned, {count} records are there"
                assert numbered(1, count) == list(await session.read("t"))
            confirmed = count
        async with store.open() as session:
            lease = await acquire_within(session, "t", self.lease_timeout)
            await add(session, lease, numbered(confirmed + 1))
            await session.release(lease)

    async def test_another_process_holds_the_lease(self, store: Store, anyio_backend: str) -> None:
        """A lease excludes other processes as long as its own lives, and a request to cancel reaches it there."""
        seen: list[bytes] = []

        async def while_it_lives(output: bytes) -> None:
            seen.append(output)
            async with store.open() as session:
                with pytest.raises(RunLocked):
                    await session.acquire("t")
                with pytest.raises(RunLocked):
                    await session.delete("t")
                summary = await session.find("t")
                assert summary is not None
                assert summary.leased
                assert await session.cancel("t")

        await self.killed(store, anyio_backend, "asked to cancel", on_stdout=while_it_lives)
        assert b"held\n" == b"".join(seen)
        async with store.open() as session:
            lease = await acquire_within(session, "t", self.lease_timeout)
            assert not await session.renew(lease), "the request was for the process that was killed"
            await session.release(lease)
            assert await session.delete("t")

    async def killed(
        self,
        store: Store,
        backend: str,
        moment: str,
        *,
        on_stdout: Callable[[bytes], Awaitable[object]] | None = None,
    ) -> str:
        """Run a process that kills itself at a moment, and return what it wrote until then."""
        assert self.factory is not None
        orders = Orders(self.factory, dict(self.factory_arguments(store)), backend, moment, self.lease_timeout)
        path = Path(__file__).with_name("crash_child.py")
        ended = await run_process(
            [sys.executable, "-P", str(path), json.dumps(attrs.asdict(orders))],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            timeout=60 + self.lease_timeout,
            check=False,
            on_stdout=on_stdout,
        )
        told = ended.stderr.decode(errors="replace")
        assert -signal.SIGKILL == ended.returncode, f"the process was to be killed, and ended otherwise:\n{told}"
        return ended.stdout.decode()


async def check_values_and_head(session: Session, *, second: bool) -> None:
    """Check that the values and the head are those of the batches that are there."""
    names = value_names(1) + (value_names(2) if second else [])
    expected = {name: f"text of {name}" for name in names}
    assert expected == dict(await session.read_values("t", value_names(1) + value_names(2)))
    summary = await session.find("t")
    assert summary is not None
    assert ("complete" if second else "running") == summary.status
