"""A server of its own process that is stopped by signals: `python stopping.py SERVER BACKEND STORE HOW`.

`/` streams a run that waits for ever and is recorded in STORE, whose clean-up takes a moment. HOW is `orderly`, or
`stubborn`: then what is to be done on stopping never ends.
"""

from __future__ import annotations

import sys

import anyio

from dagflow import Graph, Node, SQLiteStore
from dagflow.web.asgi import Receive, Scope, Send
from dagflow.web.serving import run_server
from dagflow.web.slots import RunSlots
from dagflow.web.streaming import EventStreamResponse


class First(Node):
    async def __call__(self) -> Second:
        return Second()


class Second(Node):
    async def __call__(self) -> None:
        if __name__ != "__main__":  # who resumes it, in another process, does not want to wait
            return
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.05)
            print("cleaned up", flush=True)


graph = Graph(start=First)


def main() -> None:
    server, backend, path, how = sys.argv[1:]
    slots, store = RunSlots(5), SQLiteStore(path)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http", "this app knows no lifespan"
        response = EventStreamResponse(lambda: graph.stream(First(), store=store, thread_id="t"), slots=slots)
        await response(scope, receive, send)

    async def stop() -> None:
        print("stopping", flush=True)
        await slots.close()
        if how == "stubborn":
            await anyio.sleep_forever()

    status = run_server(
        app,
        port=0,
        server=server,  # type: ignore[arg-type]  # as given
        backend=backend,  # type: ignore[arg-type]  # as given
        on_start=lambda url: print(url, flush=True),
        on_stop=stop,
        grace=60.0,
    )
    sys.exit(status)


if __name__ == "__main__":
    main()
