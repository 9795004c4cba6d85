"""A graph that waits until it is cancelled, beside a child process; it says when its clean-up is done."""

import sys
import time

import anyio

from dagflow import Graph, Node, dep
from dagflow.kernel.process import run_process


def say(text: str) -> None:
    sys.stderr.write(text + "\n")  # in one piece: a thread says it too
    sys.stderr.flush()


async def forever() -> int:
    try:
        say("waiting")
        await anyio.sleep_forever()
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(0.01)
        say("cleaned up")
    return 1


async def child() -> int:
    return (await run_process(["/bin/sh", "-c", "echo child $$ >&2; exec sleep 100"], on_stderr=tell)).returncode


async def tell(text: bytes) -> None:
    say(text.decode().rstrip())


class Begin(Node):
    async def __call__(self) -> "Wait":
        return Wait()


class Wait(Node):
    forever: int = dep(forever)
    child: int = dep(child)

    async def __call__(self) -> None: ...


class Stuck(Node):
    """Waits for a thread, which nobody can stop."""

    async def __call__(self) -> None:
        await anyio.to_thread.run_sync(self.stuck)

    def stuck(self) -> None:
        say("waiting")
        time.sleep(100)


class Tick(Node):
    """Goes round and round, so that there is always another event."""

    async def __call__(self) -> "Tick | None":
        await anyio.sleep(0.005)
        return Tick()


graph = Graph(start=Begin)
stuck = Graph(start=Stuck)
ticking = Graph(start=Tick, max_steps=None)
