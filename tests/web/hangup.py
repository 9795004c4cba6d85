"""A server of its own process, whose clients hang up: what of its runs goes on after that.

`python hangup.py SERVER BACKEND URL` serves a graph that never ends by itself: each round runs a graph with two
dependencies at once that run graphs too, one of quick nodes and one that asks the language model at URL, whose answer
streams. Every node and dependency notes when it started, on the machine's monotonic clock, which other processes can
read too.

`/stream` is the run as an event stream, `/json` as an answer that never comes, `/report` what there is to know.
"""

from __future__ import annotations

import logging
import re
import sys
import time
from typing import Any, Final

import anyio
import httpcore  # noqa: F401  # httpx imports it with the first request, and blocks the event loop for that

from dagflow import Graph, Node, OpenAIBackend, dep
from dagflow.testing.leaks import all_tasks
from dagflow.web.answering import JSONRunResponse
from dagflow.web.asgi import ASGIApp, Receive, Scope, Send, send_answer, to_text
from dagflow.web.serving import run_server
from dagflow.web.slots import RunSlots
from dagflow.web.streaming import EventStreamResponse

QUICK: Final = 60
"""Quick nodes in a round."""

starts: list[tuple[str, int]] = []
"""What started when, in nanoseconds of the monotonic clock."""

complaints: list[str] = []
"""What was logged."""


def started(name: str) -> None:
    starts.append((name, time.monotonic_ns()))


class Quick(Node):
    number: int = 0

    async def __call__(self) -> Quick | None:
        started("Quick")
        await anyio.sleep(0.002)
        return Quick(number=self.number + 1) if self.number < QUICK else None


quick = Graph(start=Quick, max_steps=None)


async def topic() -> str:
    started("topic")
    return "weather"


class Question(Node):
    topic: str = dep(topic)

    async def __call__(self) -> Told: ...


class Told(Node):
    words: str

    async def __call__(self) -> None:
        started("Told")


asking = Graph(start=Question)


async def hurried() -> int:
    started("hurried")
    return len((await quick.run(Quick())).trace)


async def told() -> str:
    started("told")
    node = (await asking.run(Question())).node
    assert isinstance(node, Told)
    return node.words


class Pair(Node):
    nodes: int = dep(hurried)
    words: str = dep(told)

    async def __call__(self) -> None:
        started("Pair")


pair = Graph(start=Pair)


class Round(Node):
    number: int = 0

    async def __call__(self) -> Round | None:  # a graph needs a way to its end
        started("Round")
        await pair.run(Pair())
        return Round(number=self.number + 1)


endless = Graph(start=Round, max_steps=None)


class App:
    """The paths of the server."""

    def __init__(self, lm: OpenAIBackend) -> None:
        self.slots = RunSlots(10)
        self._lm = lm

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
        elif scope["path"] == "/report":
            await send_answer(scope, send, 200, to_text(self.report()))
        else:
            await self.run(scope["path"])(scope, receive, send)

    def run(self, path: str) -> ASGIApp:
        if path == "/stream":
            return EventStreamResponse(lambda: endless.stream(Round(), lm=self._lm), slots=self.slots)
        return JSONRunResponse(lambda: endless.run(Round(), lm=self._lm), slots=self.slots)

    def report(self) -> dict[str, Any]:
        """What runs, what has started since the last report, and what was complained about."""
        found = {
            "running": self.slots.running,
            "tasks": sorted(re.sub(r"0x[0-9a-f]+|\d+", "", line) for _, line in all_tasks()),
            "starts": list(starts),
            "complaints": list(complaints),
        }
        starts.clear()
        return found


async def lifespan(receive: Receive, send: Send) -> None:
    """Start at once, and end at once."""
    for step in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{step}.complete"})


class Complaints(logging.Handler):
    """Keeps what is logged."""

    def emit(self, record: logging.LogRecord) -> None:
        complaints.append(record.getMessage())


def main() -> None:
    from blocking import ALLOWED
    from dagflow.testing import blocking_detector

    server, backend, url = sys.argv[1:]
    logging.getLogger().addHandler(Complaints())
    app = App(OpenAIBackend("model", base_url=f"{url}/v1", api_key="key", retry=None, stream=True))
    with blocking_detector("dagflow", exclude=["dagflow.testing"], allow=ALLOWED):
        status = run_server(
            app,
            port=0,
            server=server,  # type: ignore[arg-type]  # as given
            backend=backend,  # type: ignore[arg-type]  # as given
            on_start=lambda url: print(url, flush=True),
            on_stop=app.slots.close,
        )
    sys.exit(status)


if __name__ == "__main__":
    main()
