"""Shell tasks: how the program is started, what reaches it, what it gives back, and how it ends."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagflow.core.fitting import is_json
from dagflow.errors import GraphError, NodeError, ProcessError
from dagflow.events import NodeRaised, Printed
from dagflow.pipeline.pipeline import Pipeline
from dagflow.pipeline.returns import Object
from dagflow.pipeline.shell import parse_outputs
from dagflow.pipeline.tasks import PythonTask, ShellTask

pytestmark = pytest.mark.slow


def python(code: str, **options: Any) -> ShellTask:
    options.setdefault("name", "program")
    return ShellTask([sys.executable, "-c", code], **options)


def running(command: str) -> str:
    """The ids of processes that run a command."""
    return subprocess.run(["pgrep", "-f", command], capture_output=True, text=True).stdout


async def printed(pipeline: Pipeline, **options: Any) -> list[tuple[str, str]]:
    async with pipeline.stream(**options) as events:
        return [(event.stream, event.text) async for event in events if isinstance(event, Printed)]
    raise AssertionError("unreachable")


async def test_a_command_is_a_list_or_a_string_that_no_shell_reads() -> None:
    """A string is split as a shell would; its special signs mean nothing. With `shell=True` they do."""
    assert [("stdout", "a  b $HOME;")] == await printed(Pipeline([ShellTask("echo 'a  b' '$HOME;'")]))
    assert [("stdout", "$(id)")] == await printed(Pipeline([ShellTask(["echo", "$(id)"])]))
    assert [("stdout", "3")] == await printed(Pipeline([ShellTask("echo $((1 + 2)) | cat", shell=True)]))


async def test_parameters_reach_the_program_through_its_environment() -> None:
    """Text as it is, anything else as JSON, under `DAGFLOW_INPUT_name`; what has no such form is left out."""
    picked = "{k[14:]: v for k, v in os.environ.items() if k.startswith('DAGFLOW_INPUT_')}"
    code = f"import os, json; print(json.dumps({picked}))"
    parameters = {"text": "a\nb", "number": 3, "items": [1, {"ä": None}], "thing": object(), "long": "x" * 100_000}
    ((_, line),) = await printed(Pipeline([python(code)]), parameters=parameters)
    assert {"text": "a\nb", "number": "3", "items": '[1, {"ä": null}]'} == json.loads(line)


async def test_named_inputs_are_checked() -> None:
    """With `takes`, only those are given; one that is missing or cannot be given is an error that names it."""
    code = "import os; print(sorted(k for k in os.environ if k.startswith('DAGFLOW_INPUT_')))"
    assert [("stdout", "['DAGFLOW_INPUT_a']")] == await printed(
        Pipeline([PythonTask(lambda: (1, 2), name="two", returns=["a", "b"]), python(code, takes=["a"])])
    )
    make = PythonTask(lambda x: x, name="make", returns=[Object("y")])
    for value, problem in ((object(), "is a object"), ("x" * 70_000, "has more than 65536 bytes"), ("\0", "NUL")):
        with pytest.raises(
            NodeError, match=f"task program: parameter 'y' cannot be put into the environment: it .*{problem}"
        ):
            await Pipeline([make, python(code, takes=["y"])]).execute(parameters={"x": value})
    with pytest.raises(ValueError, match="y: it has no value"):
        await Pipeline([python(code, takes=["y"])]).execute()


async def test_values_come_back_through_a_file() -> None:
    """A JSON object, or lines of `name=value`, become the declared returns; what is printed is no result."""
    lines = Pipeline([ShellTask('echo "n=$((6*7))" >> $DAGFLOW_OUTPUTS; echo n=1', shell=True, returns=["n"])])
    assert 42 == (await lines.execute()).parameters["n"]
    code = "import json, os; json.dump({'b': [1], 'a': None}, open(os.environ['DAGFLOW_OUTPUTS'], 'w'))"
    assert {"a": None, "b": [1]} == (await Pipeline([python(code, returns=["a", "b"])]).execute()).parameters


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("", "returned a mapping without 'n'; it is empty"),
        ("m=1", "returned a mapping without 'n'; its keys are 'm'"),
        ("n=1\nm=2", "returned a mapping with 'm', and declares only 'n'"),
        ("{", r"wrote JSON to \$DAGFLOW_OUTPUTS that cannot be read"),
        ('{"n": NaN}', "NaN is no JSON"),
        ("n 1", r"line 1 of \$DAGFLOW_OUTPUTS is 'n 1'; write name=value"),
    ],
)
async def test_what_does_not_come_back_right_is_told(written: str, problem: str) -> None:
    """Missing, unknown and unreadable values are errors that name the task."""
    code = f"import os; open(os.environ['DAGFLOW_OUTPUTS'], 'w').write({written!r})"
    with pytest.raises(NodeError, match=f"task program.*{problem}"):
        await Pipeline([python(code, returns=["n"])]).execute()


@given(st.text())
def test_outputs_are_read_or_refused(text: str) -> None:
    """Whatever a program writes gives JSON values by name, or an error of the task."""
    try:
        found = parse_outputs(text, "task")
    except NodeError as error:
        assert "task task" in str(error)
    else:
        assert is_json(found)


@pytest.mark.parametrize(
    ("task", "problem"),
    [
        (ShellTask("no-such-program-xyz"), "cannot start 'no-such-program-xyz': it is not on the PATH"),
        (ShellTask("false"), "false ended with exit status 1"),
        (ShellTask("echo lost >&2; exit 3", shell=True), "exit status 3; its standard error ends with:\nlost"),
        (ShellTask("kill -9 $$", shell=True), "was killed by SIGKILL"),
        (ShellTask("true", cwd="/no/such/folder"), "its folder '/no/such/folder' does not exist"),
    ],
)
async def test_a_command_that_fails_says_how(task: ShellTask, problem: str) -> None:
    """A program that is missing, fails or is killed is an error with its status and the end of its standard error."""
    with pytest.raises(ProcessError) as caught:
        await Pipeline([task]).execute()
    assert str(caught.value).startswith(f"task {task.name}: ")
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("task", "problem"),
    [
        (ShellTask("echo 'open"), "cannot be split: No closing quotation"),
        (ShellTask(""), "write a program and its arguments"),
        (ShellTask([]), "write a program and its arguments"),
        (ShellTask(["echo", 3]), "all strings"),  # type: ignore[list-item]  # what it is about
        (ShellTask(["echo"], shell=True), "shell=True takes the command as one string"),
    ],
)
def test_faulty_commands_are_told_when_the_pipeline_is_built(task: ShellTask, problem: str) -> None:
    """What can never run is refused."""
    with pytest.raises(GraphError, match=problem):
        Pipeline([task])


async def test_output_is_streamed_line_by_line_while_the_program_runs() -> None:
    """A line is seen when it is printed, not at the end; the last one may lack its end."""
    code = "import time; print('one', flush=True); time.sleep(60)"
    async with Pipeline([python(code)]).stream() as events:
        with anyio.fail_after(20):
            async for event in events:
                if isinstance(event, Printed):
                    break
    assert [("stdout", "a"), ("stdout", ""), ("stdout", "b")] == await printed(
        Pipeline([ShellTask(["printf", "a\r\n\nb"])])
    )


async def test_binary_output_is_replaced_and_endless_lines_are_cut() -> None:
    """Bytes that are no UTF-8 become the replacement sign, and a line without an end takes no memory."""
    assert [("stdout", "\ufffdok")] == await printed(Pipeline([ShellTask(["printf", "\\377ok"])]))
    pieces = await printed(Pipeline([python("print('x' * 1_000_000)")]))
    assert 1_000_000 == sum(len(text) for _, text in pieces)
    assert 1 < len(pieces)


async def test_much_output_takes_no_memory() -> None:
    """A program that prints a great deal is drained, with a bounded rest of it in memory."""
    import tracemalloc

    code = "import sys\nfor _ in range(2_000): sys.stdout.write('0123456789abcdef\\n' * 2_000)"
    tracemalloc.start()
    await Pipeline([python(code)]).execute()  # 68 MB
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8_000_000


@pytest.mark.slow
@pytest.mark.parametrize("command", ["yes 0123456789", "cat /dev/zero"], ids=["lines", "one line of binary"])
async def test_a_gigabyte_takes_no_memory(command: str) -> None:
    """A gigabyte is read, in lines or without any, while our process stays as small as it was."""
    process, most = psutil.Process(), 0
    before = process.memory_info().rss

    async def watch() -> None:
        nonlocal most
        while True:
            most = max(most, process.memory_info().rss)
            await anyio.sleep(0.05)

    async with anyio.create_task_group() as group:
        group.start_soon(watch)
        task = ShellTask(f"{command} | head -c 1000000000", shell=True, name="print")
        await Pipeline([task]).execute()
        group.cancel_scope.cancel()
    assert most - before < 64_000_000


async def test_a_timeout_ends_the_program_and_what_it_started() -> None:
    """A program that passes its timeout is gone with its children, and the error says so."""
    began = time.monotonic()
    with pytest.raises(NodeError, match="it passed its timeout of 0.5 s"):
        await Pipeline([ShellTask("sleep 73.25 & sleep 73.25", shell=True, timeout=0.5)]).execute()
    assert time.monotonic() - began < 10
    assert "" == running("sleep 73.25")


async def test_its_temporary_files_are_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file that values come back through is removed, whether the program succeeds or fails."""
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    await Pipeline([ShellTask("echo n=1 > $DAGFLOW_OUTPUTS", shell=True, returns=["n"])]).execute()
    with pytest.raises(ProcessError):
        await Pipeline([ShellTask("false", returns=["n"])]).execute()
    assert [] == list(tmp_path.iterdir())


async def test_the_traceback_of_a_failed_command_is_recorded() -> None:
    """Also a command that fails leaves its error in the journal."""
    prepared = Pipeline([ShellTask("false")]).prepare()
    with pytest.raises(ProcessError):
        await prepared.execute()
    (raised,) = [event for event in prepared.run.journal.events if isinstance(event, NodeRaised)]
    assert "ProcessError: task false: false ended with exit status 1" == raised.error
