"""Prints of tasks are captured by one router, which everybody else does not notice and which is gone afterwards."""

import contextvars
import io
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import anyio
import anyio.to_thread
import pytest

from capture.attempts import At
from dagflow.capture import Capture, TaskOutput, capturing
from dagflow.capture.masking import Masker
from dagflow.capture.prints import routing_prints


def output() -> TaskOutput:
    return TaskOutput(Masker(), None, None)


class Real(io.TextIOWrapper):
    """A standard output that is known."""

    def __init__(self) -> None:
        self.written = io.BytesIO()
        super().__init__(self.written, encoding="latin-1", errors="strict", newline="\r\n", write_through=True)


@contextmanager
def on_real() -> Iterator[Real]:
    """Put a standard output there that is known; no fixture, because pytest puts its own there before a test begins."""
    before, stream = sys.stdout, Real()
    sys.stdout = stream
    try:
        yield stream
    finally:
        sys.stdout = before


async def test_prints_are_captured_only_where_it_was_asked_for() -> None:
    """Without `prints` standard output is not touched; with it, both streams are routed inside the block only."""
    before = (sys.stdout, sys.stderr)
    async with Capture().open(At()) as captured:
        assert before == (sys.stdout, sys.stderr)
    async with Capture(prints=True).open(At()) as captured:
        assert sys.stdout is not before[0]
        print("out")
        print("err", file=sys.stderr)
        sys.stdout.writelines(["a", "b\n"])
        sys.stdout.buffer.write(b"bytes\n")
        sys.stdout.buffer.writelines([b"c", bytearray(b"d\n")])
        assert 2 == sys.stdout.write("x\n")
        print("flushed", flush=True)
    assert before == (sys.stdout, sys.stderr)
    assert "out\nerr\nab\nbytes\ncd\nx\nflushed\n" == captured.tail


def test_everybody_else_notices_nothing() -> None:
    """Outside of tasks the router is the stream that was there, to write to and to ask."""
    with on_real() as real:
        with routing_prints():
            routed = sys.stdout
            print("text é")
            assert 2 == routed.buffer.write(b"\xff\n")
            routed.writelines(["a", "b"])
            routed.flush()
            routed.buffer.flush()
            assert ("latin-1", "strict", False, False) == (
                routed.encoding,
                routed.errors,
                routed.isatty(),
                routed.closed,
            )
            assert routed.writable()
            assert real.buffer.closed == routed.buffer.closed
            with pytest.raises(io.UnsupportedOperation):
                routed.fileno()
            with pytest.raises(UnicodeEncodeError):
                routed.write("ключ")
            with pytest.raises(TypeError):
                routed.write(cast("str", b"bytes"))
            with pytest.raises(AttributeError):
                getattr(routed, "no" + "thing")
        assert "text é\r\n".encode("latin-1") + b"\xff\nab" == real.written.getvalue()


def test_a_captured_write_is_as_strict_as_a_real_one() -> None:
    """What no stream takes is refused in a task too; what an encoding cannot write is captured all the same."""
    with on_real() as real:
        mine = output()
        with routing_prints(), capturing(mine):
            with pytest.raises(TypeError):
                sys.stdout.write(cast("str", b"bytes"))
            with pytest.raises(TypeError):
                sys.stdout.buffer.write(cast("bytes", "text"))
            print("ключ \udc80")
        assert ("ключ \\udc80\n", b"") == (mine.tail, real.buffer.getvalue())  # type: ignore[attr-defined]


def test_routers_are_shared_and_put_back() -> None:
    """There is one router however many capture, and the last one puts back what was there."""
    with on_real() as real:
        first, second = routing_prints(), routing_prints()
        first.__enter__()
        router = sys.stdout
        second.__enter__()
        assert router is sys.stdout
        first.__exit__(None, None, None)
        assert router is sys.stdout
        second.__exit__(None, None, None)
        assert real is sys.stdout


def test_what_others_put_there_is_theirs() -> None:
    """A stream that somebody puts there meanwhile is not taken away, and a router that is kept passes everything on."""
    with on_real() as real:
        mine, theirs = output(), io.StringIO()
        with capturing(mine):
            routing = routing_prints()
            routing.__enter__()
            router, sys.stdout = sys.stdout, theirs
            print("theirs")
            routing.__exit__(None, None, None)
            assert theirs is sys.stdout
            sys.stdout = router
            print("passed on")
            with routing_prints():
                assert router is sys.stdout
                print("mine")
            assert real is sys.stdout
        assert ("theirs\n", "mine\n") == (theirs.getvalue(), mine.tail)
        assert b"passed on\r\n" == real.written.getvalue()


def test_a_program_without_standard_output_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no stream, there is none to route."""
    monkeypatch.setattr(sys, "stdout", None)
    with routing_prints(), capturing(output()):
        print("nowhere")
        assert None is sys.stdout


async def test_threads_of_tasks_are_captured_if_they_carry_the_context() -> None:
    """Worker threads are captured; a thread that a task starts itself is not, unless it is given the context."""
    with on_real() as real:
        async with Capture(prints=True).open(At()) as captured:
            await anyio.to_thread.run_sync(print, "worker")
            for target in (print, contextvars.copy_context().run):
                arguments = ("bare",) if target is print else (print, "with context")
                thread = threading.Thread(target=target, args=arguments)
                thread.start()
                await anyio.to_thread.run_sync(thread.join)
        assert "worker\nwith context\n" == captured.tail
        if sys.version_info < (3, 14):  # later threads may inherit the context
            assert b"bare\r\n" == real.written.getvalue()


async def test_others_print_meanwhile() -> None:
    """While a task is captured, what another task prints that is not captured goes where it always went."""
    with on_real() as real:
        captured, printed = anyio.Event(), anyio.Event()

        async def other() -> None:
            await captured.wait()
            print("other")
            printed.set()

        async with anyio.create_task_group() as group:
            group.start_soon(other)
            async with Capture(prints=True).open(At()) as mine:
                print("mine")
                captured.set()
                await printed.wait()
        assert ("mine\n", b"other\r\n") == (mine.tail, real.buffer.getvalue())  # type: ignore[attr-defined]


def test_a_print_in_a_destructor_does_no_harm() -> None:
    """A print that comes while another one is being taken, as from a `__del__`, is taken after it."""

    class Masking(Masker):
        def settled(self, data: bytes) -> tuple[bytes, bytes]:
            if data == b"first\n":
                print("second")
            return super().settled(data)

    mine = TaskOutput(Masking(), None, None)
    with routing_prints(), capturing(mine):
        sys.stdout.write("first\n")
    assert "first\nsecond\n" == mine.tail


@pytest.mark.slow
def test_nothing_is_lost_when_the_program_ends() -> None:
    """A program that captured, and then ends, has its own prints on its standard output."""
    program = """
import anyio, sys
from dagflow.capture import Capture
class At: run_id, path, attempt = "r", ("t",), 1
async def main():
    print("before", end=" ")
    async with Capture(prints=True).open(At()):
        print("captured")
        print("real", end=" ", file=sys.__stdout__)
    print("after", end="")
anyio.run(main)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ("before real after", "") == (done.stdout, done.stderr)
