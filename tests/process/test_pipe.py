"""The pipe streams by themselves, without a child."""

import os

import anyio
import pytest

from dagflow.kernel.pipe import PipeReceiver, PipeSender


async def test_finished_stream_ends_after_what_was_written() -> None:
    """After `finish` what is in the pipe still comes, and nothing that is written later, open or not."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as file, os.fdopen(writing, "wb", buffering=0) as writer:
        receiver = PipeReceiver(file)
        writer.write(b"early")
        receiver.finish()
        writer.write(b"late")
        assert b"early" == await receiver.receive()
        with pytest.raises(anyio.EndOfStream):
            await receiver.receive()


async def test_finish_wakes_who_waits() -> None:
    """Whoever waits for data when the stream is finished sees its end."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as file, os.fdopen(writing, "wb"):
        receiver = PipeReceiver(file)

        async def wait() -> None:
            with pytest.raises(anyio.EndOfStream):
                await receiver.receive()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            receiver.finish()


async def test_closed_streams_say_so() -> None:
    """Whoever uses or waits for a stream that is closed gets anyio's error for it, and closing twice is fine."""
    reading, writing = os.pipe()
    receiver = PipeReceiver(os.fdopen(reading, "rb"))
    sender = PipeSender(os.fdopen(writing, "wb", buffering=0))

    async def wait() -> None:
        with pytest.raises(anyio.ClosedResourceError):
            await receiver.receive()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        await receiver.aclose()
    with pytest.raises(anyio.BrokenResourceError):
        await sender.send(b"nobody reads")
    await sender.aclose()
    await sender.aclose()
    with pytest.raises(anyio.ClosedResourceError):
        await sender.send(b"closed")
