"""Clients that hang up at any moment: nothing of their runs goes on, in the server or at the language model."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.to_thread
import pytest

from dagflow.testing.lm_server import LMServer, Reply
from web.served import KINDS, Client, Kind, ask, environment

pytestmark = [pytest.mark.slow, pytest.mark.chaos, pytest.mark.one_backend("each server has its own event loop")]

SCALE: Final = int(os.environ.get("DAGFLOW_CAMPAIGN", "1"))
REPETITIONS: Final = 10
"""In each of as many parts as a campaign asks for."""

PROGRAM: Final = Path(__file__).with_name("hangup.py")

LATEST: Final = 0.1
"""Seconds after a client has hung up within which a node may still start."""

LONGEST: Final = 0.6
"""Seconds after which a client has hung up: longer than a round takes."""

PATIENCE: Final = 10.0


@pytest.fixture(params=KINDS, ids=str)
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    return found


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@contextmanager
def server_process(kind: Kind, url: str) -> Iterator[subprocess.Popen[str]]:
    """The program, which says nothing but its URL, and leaves in order when it is asked to."""
    command = [sys.executable, "-W", "error", str(PROGRAM), kind.server, kind.backend, url]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())
    with process:
        try:
            yield process
        finally:
            process.kill()


class Judge:
    """Asks a server what goes on in it."""

    def __init__(self, port: int, lm: LMServer) -> None:
        self._port = port
        self._lm = lm
        self._tasks: list[str] = []
        self.latest = 0.0
        """The seconds after which the last of all nodes started that started after its client had left."""
        self.begun = 0

    async def report(self) -> Any:
        return (await ask(self._port, "/report", headers={"Connection": "close"})).json

    async def begin(self) -> None:
        """Take note of what there is when nothing runs."""
        await self.report()  # what is made once is made by now
        await anyio.sleep(0.05)
        self._tasks = (await self.report())["tasks"]

    async def quiet(self) -> list[tuple[str, int]]:
        """Wait until nothing goes on but what was there at the beginning; gives what has started meanwhile."""
        starts = []
        with anyio.fail_after(PATIENCE):
            await self._lm.until(lambda: not self._lm.open_connections)
            while True:
                report = await self.report()
                starts += report["starts"]
                if not report["running"] and report["tasks"] == self._tasks:
                    break
                await anyio.sleep(0.01)
        assert [] == report["complaints"]
        return starts

    async def judge(self, left: int) -> None:
        """Check that nothing goes on of the run whose client left at a moment of the monotonic clock."""
        starts = await self.quiet()
        await anyio.sleep(max(0, LATEST + 0.05 - (time.monotonic_ns() - left) / 1e9))
        starts += await self.quiet()
        late = [(name, (moment - left) / 1e9) for name, moment in starts if moment > left]
        self.latest = max([self.latest, *(seconds for _, seconds in late)])
        self.begun += len(starts)
        assert [] == [(name, seconds) for name, seconds in late if seconds > LATEST]


async def hang_up(port: int, path: str, generator: random.Random) -> int:
    """Begin a run and leave it after a while; tells when, on the monotonic clock."""
    async with Client(port) as client:
        await client.ask(path)
        if path == "/stream" and generator.random() < 0.8:
            with anyio.move_on_after(generator.uniform(0, LONGEST)):
                while True:
                    await client.event()
        else:
            await anyio.sleep(generator.uniform(0, LONGEST))
        way = generator.choice(["close", "reset", "half_close"])
        left = time.monotonic_ns()
        getattr(client, way)()
        if way == "half_close":
            await anyio.sleep(LATEST)
        return left


@pytest.mark.parametrize("part", range(SCALE))
@pytest.mark.parametrize("path", ["/stream", "/json"])
async def test_nothing_goes_on_after_a_client_has_left(
    kind: Kind, path: str, part: int, record_property: Callable[[str, object], None]
) -> None:
    """At any moment and in any way: no node starts later than 100 ms after, no task and no connection is left."""
    generator = random.Random(f"{kind} {path} {part}")
    reply = Reply(f'{{"words": "{"rain and wind, " * 25}"}}', latency=0.02, pace=0.004)
    async with LMServer(lambda request: reply, record=False) as lm:
        with server_process(kind, lm.url) as process:
            assert process.stdout is not None
            url = await anyio.to_thread.run_sync(process.stdout.readline)
            assert url, process.communicate()[1]
            judge = Judge(int(url.rpartition(":")[2]), lm)
            await judge.begin()
            for _ in range(REPETITIONS):
                left = await hang_up(judge._port, path, generator)
                await judge.judge(left)
            process.send_signal(signal.SIGTERM)
            output, errors = await anyio.to_thread.run_sync(process.communicate)
            assert (0, "", "") == (process.returncode, output, errors)
        assert lm.aborted > REPETITIONS / 4, "most clients left while tokens streamed"
    assert judge.begun > 20 * REPETITIONS
    record_property("latest start after a client had left, in seconds", judge.latest)
