"""Fetch, process and save: three async tasks, one after the other, each on what the one before it returned.

    python examples/async-execution/simple_async.py [--backend trio] [--out summary.json]

The numbers come from a server that the example starts itself, so that it runs offline.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import anyio
import attrs
import httpx

from dagflow import AsyncPipeline, AsyncPythonTask

MEASUREMENTS = {"station": "Pier 7", "celsius": [3.5, 4.0, 2.5, None, 5.0]}


@attrs.frozen
class Summary:
    station: str
    count: int
    mean: float


async def fetch(url: str) -> dict[str, Any]:
    """Fetch the measurements; what is returned becomes the parameter `measurements`."""
    async with httpx.AsyncClient() as client:
        response = await client.get(url)
        response.raise_for_status()
        found: dict[str, Any] = response.json()
        return found


async def process(measurements: dict[str, Any]) -> Summary:
    """Work out the mean of what was measured."""
    celsius = [value for value in measurements["celsius"] if value is not None]
    return Summary(measurements["station"], len(celsius), sum(celsius) / len(celsius))


async def save(summary: Summary, out: str) -> str:
    """Write the summary, and return where."""
    path = await anyio.Path(out).absolute()
    await path.write_text(json.dumps(attrs.asdict(summary)) + "\n")
    return str(path)


pipeline = AsyncPipeline(
    name="simple async",
    steps=[
        AsyncPythonTask(function=fetch, returns=["measurements"]),
        AsyncPythonTask(function=process, returns=["summary"]),
        AsyncPythonTask(function=save, returns=["saved"]),
    ],
)


async def serve(*, task_status: anyio.abc.TaskStatus[str]) -> None:
    """Serve the measurements over HTTP on a free port."""
    body = json.dumps(MEASUREMENTS).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()

    async def answer(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(head + body)

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        task_status.started(f"http://127.0.0.1:{port}/")
        await listener.serve(answer)


async def main(out: str) -> None:
    async with anyio.create_task_group() as group:
        url = await group.start(serve)
        await run(url, out)
        group.cancel_scope.cancel()


async def run(url: str, out: str) -> None:
    result = await pipeline.execute(parameters={"url": url, "out": out})
    print(result.parameters["summary"])
    for step in result.log.steps:
        print(f"{step.name}: {step.status}, {step.attempts[-1].duration:.3f} s")
    print("saved to", result.parameters["saved"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--backend", choices=["asyncio", "trio"], default="asyncio")
    parser.add_argument("--out", default=str(Path("summary.json")))
    arguments = parser.parse_args()
    anyio.run(main, arguments.out, backend=arguments.backend)
