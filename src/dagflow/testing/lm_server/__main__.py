"""`python -m dagflow.testing.lm_server`: the server in a process of its own, for benchmarks."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import suppress

import anyio
import attrs

from dagflow.testing.lm_server.reply import Reply
from dagflow.testing.lm_server.server import LMServer


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve one reply until the process is told to end; the first line on stdout is the URL."""
    parser = argparse.ArgumentParser(prog="python -m dagflow.testing.lm_server", description=main.__doc__)
    parser.add_argument("--port", type=int, default=0, help="the port; any free one by default")
    parser.add_argument("--text", default='{"answer": 42}', help="what the model says")
    parser.add_argument("--pieces", type=int, help="into how many pieces a stream is cut")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before the first byte")
    parser.add_argument("--pace", type=float, default=0.0, help="seconds between the pieces of a stream")
    parser.add_argument("--api-key", help="the key that requests must have")
    parser.add_argument("--backend", choices=("asyncio", "trio"), default="asyncio")
    options = parser.parse_args(arguments)
    reply = Reply(options.text, latency=options.latency, pace=options.pace)
    if options.pieces is not None:
        reply = attrs.evolve(reply, pieces=cut(options.text, options.pieces))
    with suppress(KeyboardInterrupt):
        anyio.run(serve, reply, options.api_key, options.port, backend=options.backend)


def cut(text: str, pieces: int) -> list[str]:
    """Cut a text into a number of pieces of about one length, as far as it has characters for them."""
    return [text[place * len(text) // pieces : (place + 1) * len(text) // pieces] for place in range(pieces)]


async def serve(reply: Reply, api_key: str | None, port: int) -> None:
    """Serve, and say where."""
    async with LMServer(reply, api_key=api_key, port=port, record=False) as server:
        print(server.url, flush=True)
        await anyio.sleep_forever()


if __name__ == "__main__":
    main()
