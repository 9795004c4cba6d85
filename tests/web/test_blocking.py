"""The detector of blocking calls, which all tests of the web front run under."""

from __future__ import annotations

import time

import anyio
import anyio.to_thread
import pytest
from blockbuster import BlockingError

from dagflow import Graph, Node, NodeError


class Blocks(Node):
    async def __call__(self) -> None:
        time.sleep(0.001)  # noqa: ASYNC251


class Threads(Node):
    async def __call__(self) -> None:
        await anyio.to_thread.run_sync(time.sleep, 0.001)


async def test_a_blocking_call_is_found_on_either_event_loop() -> None:
    """In a node's body, which runs below dagflow's code; a thread may block."""
    with pytest.raises(NodeError) as caught:
        await Graph(start=Blocks).run(Blocks())
    assert isinstance(caught.value.__cause__, BlockingError)
    await Graph(start=Threads).run(Threads())
