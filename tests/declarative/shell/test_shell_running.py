"""Running the command of a shell node: what is read, what fails, and that nothing outlives it."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import psutil
import pytest

from dagflow.declarative.expressions import Scope
from dagflow.declarative.model import ShellNode
from dagflow.declarative.shell import ShellCommand, run_shell
from dagflow.errors import ProcessError
from dagflow.testing.leaks import assert_no_leaks

HERE = Path.cwd()


def node(command: str | list[str], **others: Any) -> ShellNode:
    return ShellNode(type="shell", command=command, **others)


async def run(command: str | list[str], *, cwd: Path = HERE, max_output: int = 1 << 20, **others: Any) -> Any:
    ready = ShellCommand.of(node(command, **others)).fill(Scope({}))
    return await run_shell(ready, cwd=cwd, max_output=max_output)


async def printed(output: bytes, parse: str) -> Any:
    """What a program is taken to say that writes these bytes."""
    escaped = "".join(f"\\{byte:03o}" for byte in output)
    return await run(["printf", escaped], parse=parse)


@pytest.mark.parametrize(
    ("output", "text", "lines"),
    [
        (b"", "", []),
        (b"\n", "", [""]),
        (b"one", "one", ["one"]),
        (b"one\n", "one", ["one"]),
        (b"one\n\n", "one\n", ["one", ""]),
        (b"one\ntwo\n", "one\ntwo", ["one", "two"]),
        (b"one\r\ntwo\r\n", "one\r\ntwo\r", ["one\r", "two\r"]),
        ("ü\u2028\x0b\x0c\x1c\u0085ü\n".encode(), "ü\u2028\x0b\x0c\x1c\u0085ü", ["ü\u2028\x0b\x0c\x1c\u0085ü"]),
        (b" a \n", " a ", [" a "]),
        (b"a\0b\n", "a\0b", ["a\0b"]),
    ],
)
async def test_output_is_text_or_lines(output: bytes, text: str, lines: list[str]) -> None:
    """One line end at the end is no part of a text; lines end in `\\n` and in nothing else."""
    assert text == await printed(output, "text")
    assert lines == await printed(output, "lines")


@pytest.mark.parametrize(
    ("output", "value"),
    [
        (b'{"a": [1, 2.5, null, true, "\\u00fc"]}\n', {"a": [1, 2.5, None, True, "ü"]}),
        (b' "x" ', "x"),
        (b"\xef\xbb\xbf[]", []),
        (b"12\n", 12),
        (b"null", None),
    ],
)
async def test_output_is_json(output: bytes, value: object) -> None:
    """A JSON value is read whatever its kind, with space around it."""
    assert value == await printed(output, "json")


@pytest.mark.parametrize(
    ("output", "told"),
    [
        (b"", "wrote nothing to standard output, where one JSON value was expected"),
        (b" \n", "wrote nothing"),
        (b'{"a": 1', "no JSON: Expecting ',' delimiter"),
        (b"{'a': 1}", r"no JSON: .*line 1, column 2, near \"{'a': 1}\""),
        (b'warning: x\n{"a": 1}\n', "no JSON: .*line 1, column 1, near 'warning: x'"),
        (b'{"a": 1}\n{"a": 2}\n', "no JSON: Extra data .*line 2, column 1"),
        (b"```json\n{}\n```", "no JSON"),
        (b'{"a": 1, "a": 2}', "the key 'a' is there twice"),
        (b"[NaN]", "NaN is no JSON value"),
        (b"[1e999]", "too large for a float"),
        (b'["\\ud800"]', "lone surrogate"),
        (b"[" * 101 + b"]" * 101, "the output is nested more than 100 levels deep"),
        (b"9" * 5000, "number is too long"),
        (b"\xff{}", "no UTF-8 text, at byte 1; let it write text"),
    ],
)
async def test_json_is_strict(output: bytes, told: str) -> None:
    """Anything but one whole JSON value is an error that says what is wrong, where, and which program wrote it."""
    with pytest.raises(ProcessError, match=rf"^printf .*{told}") as caught:
        await printed(output, "json")
    assert 0 == caught.value.returncode


@pytest.mark.parametrize("parse", ["text", "lines", "json"])
async def test_output_must_be_text(parse: str) -> None:
    """Bytes that are no UTF-8 are an error that names the first of them."""
    with pytest.raises(ProcessError, match=r"no UTF-8 text, at byte 3; let it write text, or write to a file"):
        await printed(b"ab\x80", parse)


@pytest.mark.parametrize("depth", [3000, 400_000])
async def test_deep_json_is_refused(depth: int) -> None:
    """JSON that is nested very deep is refused, in a worker thread too."""
    with pytest.raises(ProcessError, match="nested more than 100 levels"):
        await run([sys.executable, "-S", "-c", f"print('[' * {depth} + ']' * {depth})"], parse="json")


async def test_much_output_is_read() -> None:
    """Output that is read in a worker thread is what it is."""
    source = "import json; print(json.dumps(list(range(100_000))))"
    assert list(range(100_000)) == await run([sys.executable, "-S", "-c", source], parse="json")


async def test_too_much_output_is_refused() -> None:
    """A program that floods its output is ended."""
    async with assert_no_leaks():
        with pytest.raises(ProcessError, match="more than 10000 bytes"):
            await run("yes", max_output=10_000)


async def test_status_other_than_success_is_an_error() -> None:
    """A status that is not named is an error, with the status and the end of standard error."""
    with pytest.raises(ProcessError, match=r"^sh .* ended with exit status 3; its .*\noh no$") as caught:
        await run(["sh", "-c", "echo oh no >&2; exit 3"], success=[0, 1])
    assert (3, "oh no") == (caught.value.returncode, caught.value.stderr)


async def test_zero_may_be_a_failure() -> None:
    """The statuses that are named are all that count."""
    assert "" == await run("false", success=[1])
    with pytest.raises(ProcessError, match="exit status 0"):
        await run("true", success=[1])


async def test_death_by_signal_is_named() -> None:
    """A program that a signal ended is an error that names the signal."""
    with pytest.raises(ProcessError, match="killed by SIGSEGV") as caught:
        await run(["sh", "-c", "kill -SEGV $$"], success=[0, 139])
    assert -signal.SIGSEGV == caught.value.returncode


async def test_folder_environment_and_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program runs in its folder, with what we have in our environment and its own variables, and reads its input."""
    monkeypatch.setenv("INHERITED", "yes")
    monkeypatch.setenv("CHANGED", "before")
    command = ["sh", "-c", "pwd; echo $INHERITED $CHANGED $OWN; cat"]
    said = await run(
        command, cwd=tmp_path, env={"CHANGED": "after", "OWN": "{1 + 1}"}, stdin="in {'put'}", parse="lines"
    )
    assert [str(tmp_path.resolve()), "yes after 2", "in put"] == said
    assert "before" == os.environ["CHANGED"]


async def test_environment_can_be_given(tmp_path: Path) -> None:
    """Where an environment is given, the program inherits that and nothing else."""
    ready = ShellCommand.of(node(["/bin/sh", "-c", "export -p"], env={"B": "2"})).fill(Scope({}))
    said = await run_shell(ready, cwd=tmp_path, environment={"A": "1"})
    assert "A='1'" in said
    assert "B='2'" in said
    assert "HOME" not in said


async def test_no_input_is_the_end_of_input() -> None:
    """Without input, and with an empty one, a program reads the end of a file."""
    assert "" == await run("cat")
    assert "" == await run("cat", stdin="")


async def test_missing_program_is_told(tmp_path: Path) -> None:
    """A program that is not there is named; so is one whose name needs a shell."""
    with pytest.raises(ProcessError, match="cannot start 'no-such-program': it is not on the PATH"):
        await run("no-such-program x")
    with pytest.raises(ProcessError, match="it does not exist"):
        await run("./tool", cwd=tmp_path)


async def test_program_of_the_folder_is_found(tmp_path: Path) -> None:
    """A program with a folder in its name is looked for from the folder that it runs in."""
    tool = tmp_path / "tool"
    tool.write_text('#!/bin/sh\necho "$1"\n')
    tool.chmod(0o755)
    assert "a  b" == await run("./tool 'a  b'", cwd=tmp_path)


GRANDCHILDREN = "sleep 100 & (sleep 100 & sleep 100) & echo $$ >started; exec sleep 100"


async def test_cancellation_leaves_no_process(tmp_path: Path) -> None:
    """Cancelled, a program is ended with its children and theirs."""
    started = tmp_path / "started"
    os.mkfifo(started)

    async def work() -> None:
        await run(["sh", "-c", GRANDCHILDREN], cwd=tmp_path)

    async with assert_no_leaks(), anyio.create_task_group() as tasks:
        tasks.start_soon(work)
        leader = int(await anyio.to_thread.run_sync(started.read_text))
        tasks.cancel_scope.cancel()
    assert not psutil.pid_exists(leader)


async def test_timeout_leaves_no_process(tmp_path: Path) -> None:
    """A deadline does the same."""
    async with assert_no_leaks():
        with anyio.move_on_after(0.05) as scope:
            await run(["sh", "-c", "sleep 100 & (sleep 100 & sleep 100) & exec sleep 100"], cwd=tmp_path)
    assert scope.cancelled_caught


async def test_failure_leaves_no_process(tmp_path: Path) -> None:
    """A program that fails leaves none of its children."""
    async with assert_no_leaks():
        with pytest.raises(ProcessError, match="exit status 1"):
            await run(["sh", "-c", "sleep 100 & exit 1"], cwd=tmp_path)
