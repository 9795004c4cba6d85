"""What functions say in processes of their own is the output of their tasks."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import anyio
import attrs
import pytest
from anyio.lowlevel import checkpoint

from capture import speaking
from dagflow import Map, NodeError, Pipeline, PythonTask
from dagflow.capture import Capture
from dagflow.errors import ProcessError
from dagflow.events import Printed
from dagflow.kernel.offload import call_in_process
from dagflow.secret_stores import MappingSecrets

PRINTS = Capture(prints=True)


def task(function: Callable[..., Any], **options: Any) -> PythonTask:
    return PythonTask(function, offload="process", **options)


async def lines(pipeline: Pipeline, **options: Any) -> list[Printed]:
    """Run to the end; the lines that were told on the way."""
    async with pipeline.stream(**options) as events:
        return [event async for event in events if isinstance(event, Printed)]


def of(stream: str, printed: list[Printed]) -> list[str]:
    return [event.text for event in printed if event.stream == stream]


async def test_all_that_a_function_says_is_its_output(capfd: pytest.CaptureFixture[str]) -> None:
    """What it prints and logs, what it writes to descriptors, what programs of it print: line by line, in order."""
    printed = await lines(Pipeline([task(speaking.say, returns=["said"])]), parameters={"word": "x"}, capture=PRINTS)
    assert ["print x", "descriptor x", "program x", "rest of x"] == of("stdout", printed)
    said = of("stderr", printed)
    assert ["error x", "complaint x"] == [line for line in said if not line.startswith(("log", "in lines"))]
    assert ["WARNING capture.speaking: log x", "in lines"] == of("log", printed)
    assert ("", "") == capfd.readouterr()


async def test_without_a_capture_of_prints_what_it_logs_is_its_output(capfd: pytest.CaptureFixture[str]) -> None:
    """The rest goes to standard error, as it does without any capture."""
    printed = await lines(Pipeline([task(speaking.say, returns=["said"])]), parameters={"word": "x"})
    assert ["WARNING capture.speaking: log x", "in lines"] == [event.text for event in printed]
    out, err = capfd.readouterr()
    assert "" == out
    assert {"print x", "error x", "descriptor x", "program x", "complaint x", "rest of x"} < {*err.splitlines()}


async def test_the_root_logger_has_the_level_that_it_has_here(caplog: pytest.LogCaptureFixture) -> None:
    """A function logs no less in a process of its own."""
    with caplog.at_level(logging.INFO):
        printed = await lines(Pipeline([task(speaking.say, returns=["said"])]), parameters={"word": "x"})
    assert "INFO capture.speaking: info x" in of("log", printed)


async def test_lines_of_functions_at_once_never_mix() -> None:
    """Each item of a map has the lines of its own process, and no others."""
    each = task(speaking.say, name="say", returns=["said"])
    pipeline = Pipeline([Map("words", each, as_="word", max_concurrency=4)])
    words = ["ada", "bob", "cyd", "dan"]
    printed = await lines(pipeline, parameters={"words": words}, capture=PRINTS)
    for place, word in enumerate(words):
        mine = [event for event in printed if f"/[{place}]." in event.run]
        assert [f"print {word}", f"descriptor {word}", f"program {word}", f"rest of {word}"] == of("stdout", mine)
        assert [f"WARNING capture.speaking: log {word}", "in lines"] == of("log", mine)


async def test_secrets_are_masked(tmp_path: Path) -> None:
    """Also where they come in pieces, in logs, and in what the function raises with its traceback."""
    secret = "hunter2-and-more"
    pipeline = Pipeline([task(speaking.whisper, secrets={"secret": "KEY"})])
    told: list[Any] = []
    with pytest.raises(NodeError) as caught:
        async with pipeline.stream(
            secrets=MappingSecrets({"KEY": secret}), capture=PRINTS, run_folder=tmp_path
        ) as events:
            async for event in events:
                told.append(event)
    assert ["all: <secret>", "<secret>"] == of("stdout", [event for event in told if isinstance(event, Printed)])
    assert "ERROR capture.speaking: log of <secret>" in of("log", [it for it in told if isinstance(it, Printed)])
    cause = caught.value.__cause__
    texts = [*map(repr, told), str(caught.value), *(getattr(cause, "__notes__", ()) if cause else ())]
    assert any("in the process of whisper" in text for text in texts)
    files = [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(secret in text for text in (*texts, *files))


async def test_lines_come_while_the_function_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line is told when it is printed, and not when the function has ended."""
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    path = tmp_path / "heard"
    pipeline = Pipeline([task(speaking.wait_for, returns=["heard"])])
    async with pipeline.stream(parameters={"path": str(path)}, capture=PRINTS) as events:
        async for event in events:
            if isinstance(event, Printed) and event.text == "ready":
                await anyio.Path(path).touch()
    assert events.result.parameters["heard"] is True


async def test_what_a_function_said_before_it_died_is_told() -> None:
    """A process that ends without an answer has had its lines."""
    told: list[Printed] = []
    with pytest.raises(ProcessError, match="ended with exit status 3"):
        async with Pipeline([task(speaking.die)]).stream(capture=PRINTS) as events:
            async for event in events:
                told += [event] if isinstance(event, Printed) else []
    assert ["last words"] == of("stdout", told)
    assert ["ERROR capture.speaking: last log"] == of("log", told)


@attrs.define
class Pieces:
    """Takes what a function says in pieces, slowly, and may have enough of it."""

    takes_prints: bool = False
    enough: bool = False
    pieces: list[bytes] = attrs.field(factory=list)
    pause: float = 0.0

    async def write(self, stream: Literal["stdout", "stderr", "log"], chunk: bytes) -> None:
        self.pieces.append(chunk)
        await checkpoint()
        if self.pause:
            await anyio.sleep(self.pause)
        if self.enough:
            raise BrokenPipeError("enough")


async def test_long_records_of_threads_come_in_pieces_that_do_not_mix() -> None:
    """A record of any length takes little memory on its way, and stays in one piece."""
    output = Pieces()
    assert 4 == await call_in_process(speaking.log_at_length, ("abcd", 300_000), {}, output=output)
    assert max(map(len, output.pieces)) <= 64 * 1024
    found = sorted(b"".join(output.pieces).decode().splitlines())
    assert [f"ERROR capture.speaking: {letter * 300_000}" for letter in "abcd"] == found


async def test_a_function_waits_for_who_takes_its_output(tmp_path: Path) -> None:
    """What is printed faster than it is taken waits in the pipe, and the function with it: memory is bounded."""
    path = tmp_path / "done"
    output = Pieces(takes_prints=True, pause=0.1)
    with anyio.move_on_after(0.2) as scope:
        await call_in_process(speaking.say_much, (str(path),), {}, output=output)
    assert scope.cancelled_caught
    assert not path.exists()
    assert sum(map(len, output.pieces)) < 1_000_000


async def test_what_takes_the_output_may_end_the_function() -> None:
    """An error of whoever takes the output ends the process, and is raised as it is."""
    with pytest.raises(BrokenPipeError, match="enough"):
        await call_in_process(speaking.wait_for, ("/nowhere",), {}, output=Pieces(takes_prints=True, enough=True))


async def test_processes_of_the_function_do_not_speak_in_between() -> None:
    """A forked process that logs neither sends records of its own nor damages the answer."""
    output = Pieces()
    assert 0 == await call_in_process(speaking.fork, (), {}, output=output)
    assert [] == output.pieces


async def test_a_function_that_cannot_be_sent_is_refused_as_ever() -> None:
    """Capturing changes nothing in what can run in a process."""
    with pytest.raises(ProcessError, match="cannot run in a process of its own"):
        await call_in_process(lambda: 1, (), {}, output=Pieces())
