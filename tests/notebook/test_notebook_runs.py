"""Notebooks in real kernels: what comes out of them, and that nothing of them is left."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio
import pytest

from dagflow import ProcessError, Secret
from dagflow.notebook import JupyterDriver, NotebookError, NotebookTimeout
from dagflow.testing.leaks import assert_no_leaks
from notebook.made import Kept, code, notebook, running, text

pytestmark = pytest.mark.slow

PATIENT = JupyterDriver(grace=2.0)


def starting_everything(marker: str) -> str:
    """A cell that starts processes in every way that leaves the kernel's session, and then goes on to the next."""
    sleep = f"{sys.executable} -c 'import time; time.sleep(600) #{marker}'"
    return f"""
import os, subprocess, sys
word = [sys.executable, "-c", "import time; time.sleep(600) #{marker}"]
subprocess.Popen(word)
subprocess.Popen(word, start_new_session=True)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execv(word[0], word)
    os._exit(0)
get_ipython().run_cell_magic("bash", "--bg", "trap '' HUP TERM; {sleep.replace("'", chr(92) + "'")}")
print("started", flush=True)
"""


def hanging(marker: str) -> str:
    """A cell that hangs in a command that has a terminal of its own and ignores its end."""
    return f"!trap '' HUP; {sys.executable} -c 'import time; time.sleep(600) #{marker}'"


async def test_a_notebook_takes_parameters_and_gives_values(tmp_path: Path) -> None:
    """Parameters are set, cells run in order in their folder, secrets are in the environment, values come back."""
    path = notebook(
        tmp_path,
        text("# Title"),
        code("name, numbers = 'default', []", "parameters"),
        "import os, sys\nprint('hello', name)\nprint('to err', file=sys.stderr)",
        "print(os.environ['TOKEN'], os.getcwd())",
        "total = {'sum': sum(numbers), 'é': (1, None, True, 1.5)}\ntotal",
        "",
    )
    kept = Kept()
    async with assert_no_leaks():
        values = await PATIENT.run(
            path,
            parameters={"name": 'it\'s "me"\n', "numbers": [1, 2]},
            returns=["total", "name"],
            secrets={"TOKEN": Secret("canary-8c2f")},
            on_output=kept.on_output,
            keep=kept.keep,
        )
    assert {"total": {"sum": 3, "é": [1, None, True, 1.5]}, "name": 'it\'s "me"\n'} == values
    assert f'hello it\'s "me"\n\ncanary-8c2f {tmp_path}\n' == kept.text("stdout")
    assert "to err\n" == kept.text("stderr")
    assert 7 == len(kept.cells)
    assert ["injected-parameters"] == kept.cells[2]["metadata"]["tags"]
    assert {"text/plain"} == kept.cells[5]["outputs"][0]["data"].keys()
    assert b"<secret>" in kept.data
    assert b"canary-8c2f" not in kept.data
    assert path.read_text() == json.dumps(json.loads(path.read_text()))


async def test_a_cell_that_raises_is_told(tmp_path: Path) -> None:
    """The error names the cell as in the file, and has the exception; the notebook is kept up to there."""
    kept = Kept()
    raising = "def f():\n    raise LookupError('no canary-8c2f')\nf()"
    path = notebook(tmp_path, text("#"), "print('one')", raising, "print(3)")
    async with assert_no_leaks():
        with pytest.raises(NotebookError) as caught:
            await PATIENT.run(path, parameters={"x": 1}, secrets={"K": Secret("canary-8c2f")}, keep=kept.keep)
    error = caught.value
    assert (3, "LookupError", "no <secret>", str(path)) == (error.cell, error.ename, error.evalue, error.notebook)
    assert str(error).startswith(f"cell 3 of {path} raised LookupError: no <secret>\n")
    assert "line 2" in error.traceback or "2" in error.traceback
    assert "\x1b" not in str(error)
    assert "canary-8c2f" not in str(error) + error.traceback + kept.data.decode()
    assert [1, 2, 3, None] == [cell["execution_count"] for cell in kept.cells if cell["cell_type"] == "code"]
    assert "error" == kept.cells[3]["outputs"][0]["output_type"]
    assert [] == kept.cells[4]["outputs"]


async def test_syntax_and_input_are_errors_of_their_cell(tmp_path: Path) -> None:
    """A cell that is no Python, and one that asks for input, fail as cells do; nobody waits for an answer."""
    with pytest.raises(NotebookError, match=r"cell 1 of .* raised SyntaxError"):
        await PATIENT.run(notebook(tmp_path, "1 +"))
    with pytest.raises(NotebookError, match=r"cell 1 of .* raised StdinNotImplementedError"):
        await PATIENT.run(notebook(tmp_path, "input('name? ')"))


async def test_outputs_are_folded_as_jupyter_does(tmp_path: Path) -> None:
    """Pieces of print are joined, cleared outputs are gone, displays are updated, expected errors let it go on."""
    kept = Kept()
    path = notebook(
        tmp_path,
        "import time\nfor i in range(3):\n    print(i, flush=True); time.sleep(.25)",
        "from IPython.display import clear_output, display\nprint('gone'); clear_output(); print('stays')",
        "shown = display('before', display_id=True)",
        "shown.update('after')",
        code("1/0", "raises-exception"),
        "print('on')",
    )
    await PATIENT.run(path, keep=kept.keep)
    outputs = [cell["outputs"] for cell in kept.cells]
    assert [["0\n", "1\n", "2\n"]] == [output["text"] for output in outputs[0]]
    assert [["stays\n"]] == [output["text"] for output in outputs[1]]
    assert "'after'" in str(outputs[2])
    assert "ZeroDivisionError" == outputs[4][0]["ename"]
    assert [["on\n"]] == [output["text"] for output in outputs[5]]


async def test_the_same_notebook_gives_the_same_file(tmp_path: Path) -> None:
    """Run twice, with the same parameters, a notebook is the same file, and can be run again."""
    first, second = Kept(), Kept()
    path = notebook(tmp_path, code("x = 1", "parameters"), "print(x)")
    await PATIENT.run(path, parameters={"x": 2}, keep=first.keep)
    path.write_bytes(first.data)
    await PATIENT.run(path, parameters={"x": 2}, keep=second.keep)
    assert first.data == second.data


async def test_values_that_cannot_be_read_back_are_told(tmp_path: Path) -> None:
    """All that is wrong with what a notebook returns is told: what is not there, and what is no JSON, and where."""
    source = """
total, d = 1, {"a": [1, {2: 3}]}
obj, nan, deep = object(), [float("nan")], []
for _ in range(1000): deep = [deep]
"""
    with pytest.raises(NotebookError) as caught:
        await PATIENT.run(notebook(tmp_path, source), returns=["totl", "d", "obj", "nan", "deep"])
    message = str(caught.value)
    assert "'totl': no cell has set it; did you mean 'total'?" in message
    assert "'d': d['a'][1] has the key 2, which is no text" in message
    assert "'obj': obj is a object, which is no JSON" in message
    assert "'nan': nan[0] is nan, which is no JSON" in message
    assert "'deep': deep[0]" in message
    assert "is nested too deeply" in message


async def test_a_notebook_that_hides_builtins_is_read_all_the_same(tmp_path: Path) -> None:
    """What cells call their variables does not come in the way of reading them back."""
    path = notebook(tmp_path, "open = print = len = type = repr = exec = json = 5\nvalue = [1]")
    assert {"value": [1], "open": 5} == await PATIENT.run(path, returns=["value", "open"])


@pytest.mark.parametrize("ending", ["success", "failure", "timeout", "cancellation", "death"])
async def test_no_process_is_left(tmp_path: Path, ending: str) -> None:
    """However a notebook ends, the kernel and everything that its cells started are gone, daemons too."""
    marker = uuid4().hex
    last = {
        "success": "1",
        "failure": "1/0",
        "timeout": hanging(marker),
        "cancellation": hanging(marker),
        "death": "os.kill(os.getpid(), 9)",
    }[ending]
    path = notebook(tmp_path, starting_everything(marker), f"print('next'); import time; time.sleep(.2)\n{last}")
    seen: list[int] = []
    scope = anyio.CancelScope()

    async def on_output(stream: str, data: bytes) -> None:
        if b"next" in data:
            with anyio.fail_after(10):
                while len(running(marker)) < 4:  # noqa: ASYNC110
                    await anyio.sleep(0.01)
            seen.extend(running(marker))
            if ending == "cancellation":
                scope.cancel()

    driver = JupyterDriver(grace=1.0, cell_timeout=30.0 if ending != "timeout" else 6.0)
    async with assert_no_leaks(timeout=3.0):
        with scope:
            if ending in ("success", "cancellation"):
                await driver.run(path, on_output=on_output)
            else:
                with pytest.raises(NotebookTimeout if ending == "timeout" else NotebookError):
                    await driver.run(path, on_output=on_output)
    assert scope.cancelled_caught == (ending == "cancellation")
    assert len(seen) >= 4
    assert [] == running(marker)


async def test_a_hanging_cell_is_named(tmp_path: Path) -> None:
    """A cell that takes too long is an error that names it, also a `TimeoutError`; what it printed is kept."""
    kept = Kept()
    path = notebook(tmp_path, "1", "print('here', flush=True)\nwhile True: pass")
    async with assert_no_leaks():
        with pytest.raises(
            TimeoutError, match=r"cell 2 of .*made.ipynb passed its timeout of 2 s and was ended"
        ) as caught:
            await JupyterDriver(cell_timeout=2, grace=1).run(path, keep=kept.keep)
    assert isinstance(caught.value, NotebookTimeout)
    assert 2 == caught.value.cell
    assert ["here\n"] == kept.cells[1]["outputs"][0]["text"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import os; os._exit(3)", "the kernel died while cell 2 of .* ran: it ended with exit status 3"),
        ("import os; os.kill(os.getpid(), 9)", "the kernel died while cell 2 of .* ran: it was killed by SIGKILL"),
        ("import ctypes; ctypes.string_at(0)", "it was killed by SIGSEGV"),
    ],
)
async def test_a_dead_kernel_is_told(tmp_path: Path, source: str, message: str) -> None:
    """A kernel that dies is an error at once, with the cell, how it died, and the last that it wrote."""
    kept = Kept()
    async with assert_no_leaks():
        with pytest.raises(NotebookError, match=message) as caught:
            await PATIENT.run(notebook(tmp_path, "print('one')", source), keep=kept.keep)
    assert 2 == caught.value.cell
    assert ["one\n"] == kept.cells[0]["outputs"][0]["text"]


def kernel(folder: Path, monkeypatch: pytest.MonkeyPatch, *argv: str, start: float = 30.0) -> JupyterDriver:
    """Install a kernel that is a program of ours."""
    monkeypatch.setenv("JUPYTER_PATH", str(folder))
    (folder / "kernels" / "odd").mkdir(parents=True)
    spec = {"argv": argv, "display_name": "odd", "language": "python"}
    (folder / "kernels" / "odd" / "kernel.json").write_text(json.dumps(spec))
    return JupyterDriver(kernel="odd", start_timeout=start, grace=1)


async def test_a_kernel_that_does_not_start_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel whose program ends at once is an error with what it said."""
    driver = kernel(tmp_path, monkeypatch, "sh", "-c", "echo no licence >&2; exit 7")
    async with assert_no_leaks():
        with pytest.raises(NotebookError, match=r"(?s)died while .* began: it ended with exit status 7; .*no licence"):
            await driver.run(notebook(tmp_path, "1"))


async def test_a_kernel_that_does_not_answer_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that never answers is ended after a while."""
    driver = kernel(tmp_path, monkeypatch, "sh", "-c", "echo dreaming; sleep 600", start=1.0)
    async with assert_no_leaks():
        with pytest.raises(NotebookTimeout, match=r"(?s)did not answer within 1 s and was ended.*dreaming"):
            await driver.run(notebook(tmp_path, "1"))


async def test_a_kernel_whose_program_is_missing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that is installed, but whose program is gone, is an error that names the program."""
    driver = kernel(tmp_path, monkeypatch, "no-such-kernel", "{connection_file}")
    async with assert_no_leaks():
        with pytest.raises(ProcessError, match="cannot start 'no-such-kernel'"):
            await driver.run(notebook(tmp_path, "1"))


async def test_much_output_is_cut_off_in_the_notebook_alone(tmp_path: Path) -> None:
    """Cells that print much are heard in full; the notebook keeps as much as it may, and says so."""
    kept = Kept()
    path = notebook(tmp_path, "for _ in range(50): print('x' * 100_000)", "print('y')\ndone = 1")
    values = await JupyterDriver(max_output=1_000_000, grace=2).run(
        path, returns=["done"], on_output=kept.on_output, keep=kept.keep
    )
    assert {"done": 1} == values
    assert 50 * 100_001 + 2 == len(kept.text("stdout"))
    assert len(kept.data) < 1_100_000
    assert "more than 1000000 bytes of output" in str(kept.cells[0]["outputs"])


async def test_notebooks_at_once_do_not_mix(tmp_path: Path) -> None:
    """Notebooks that run at the same time have kernels, parameters and outputs of their own."""
    path = notebook(tmp_path, code("x = 0", "parameters"), "import time; time.sleep(.1); print(x); y = [x]")
    found: dict[int, Any] = {}

    async def run(number: int) -> None:
        kept = Kept()
        values = await PATIENT.run(path, parameters={"x": number}, returns=["y"], on_output=kept.on_output)
        found[number] = (values["y"], kept.text("stdout"))

    async with assert_no_leaks(), anyio.create_task_group() as group:
        for number in range(3):
            group.start_soon(run, number)
    assert {number: ([number], f"{number}\n") for number in range(3)} == found


async def test_who_listens_and_fails_ends_the_notebook(tmp_path: Path) -> None:
    """What `on_output` raises is raised as it is, and the kernel is gone."""

    async def fail(stream: str, data: bytes) -> None:
        raise LookupError("nobody listens")

    async with assert_no_leaks():
        with pytest.raises(LookupError, match="nobody listens"):
            await PATIENT.run(notebook(tmp_path, "print(1)", "import time; time.sleep(60)"), on_output=fail)


@pytest.mark.one_backend("another process does the work")
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_kernel_ends_soon_after_we_were_killed(tmp_path: Path) -> None:
    """Where our own process is killed, nobody can end the kernel; it ends itself within seconds."""
    path = notebook(tmp_path, "import os, time\nprint(os.getpid(), flush=True)\nfor _ in range(600): time.sleep(.1)")
    program = f"""
import anyio
from dagflow.notebook import JupyterDriver
async def on_output(stream, data):
    print(data.decode(), flush=True)
async def main():
    await JupyterDriver().run({str(path)!r}, on_output=on_output)
anyio.run(main)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as ours:  # noqa: ASYNC220
        assert ours.stdout is not None
        kernel = int(ours.stdout.readline())
        os.kill(ours.pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while kernel in running("ipykernel_launcher") and time.monotonic() < deadline:  # noqa: ASYNC110
        await anyio.sleep(0.05)
    assert kernel not in running("ipykernel_launcher")
