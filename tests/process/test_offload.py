"""Sync functions in threads and in child processes: results, exceptions, refusals, and that both end."""

import contextvars
import functools
import os
import pathlib
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest
from anyio.to_thread import current_default_thread_limiter

from dagflow import resolve_dep
from dagflow.core.importable import refusal
from dagflow.errors import ProcessError
from dagflow.kernel.offload import in_process
from dagflow.kernel.process import run_process
from dagflow.testing.leaks import assert_no_leaks

MODULE = """
import contextvars, os, subprocess, sys, threading, time

colour = contextvars.ContextVar("colour", default="none")

class Odd(Exception):
    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")

class Kept(Exception):
    def __init__(self, number):
        super().__init__(number)
        self.number = number

class Adder:
    def __init__(self, base): self.base = base
    def add(self, number): return self.base + number
    @classmethod
    def make(cls, base): return cls(base).base
    def __call__(self, number): return self.add(number)

def describe(*args, **kwargs): return (args, kwargs, os.getpid(), colour.get())
def odd(): raise Odd("this", "that")
def kept(): raise Kept(7)
def give_lambda(): return lambda: 1
def die(): os.kill(os.getpid(), 11)
def leave(): os._exit(3)
def exit(): sys.exit(5)
def talk():
    print("to stdout", flush=True)
    os.write(1, b"to descriptor 1\\n")
    return sys.stdin.read()
def leave_behind(path):
    process = subprocess.Popen(["sleep", "100"])
    return process.pid
def hang(path):
    process = subprocess.Popen(["sleep", "100"])
    with open(path, "w") as file:
        file.write(f"{os.getpid()} {process.pid}")
    time.sleep(100)
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module that a child can import, because it is on `sys.path`."""
    (tmp_path / "offloaded.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "offloaded", raising=False)
    return __import__("offloaded")


async def test_thread_runs_with_the_callers_context() -> None:
    """A sync dependency runs in another thread, with the caller's context variables, under anyio's limiter."""
    limiter = current_default_thread_limiter()
    colour = contextvars.ContextVar("colour", default="none")
    colour.set("red")

    def look() -> tuple[str, bool, float]:
        return colour.get(), threading.current_thread() is threading.main_thread(), limiter.borrowed_tokens

    async with assert_no_leaks():
        assert ("red", False, 1) == await resolve_dep(look, namespace=globals())


async def test_cancelled_thread_is_waited_for() -> None:
    """A thread cannot be stopped: cancellation waits for it."""
    release = threading.Event()
    finished: list[bool] = []

    def work() -> None:
        anyio.from_thread.run_sync(started.set)
        release.wait(5)
        finished.append(True)

    started = anyio.Event()
    async with assert_no_leaks(), anyio.create_task_group() as tasks:
        tasks.start_soon(resolve_dep, work)
        await started.wait()
        tasks.cancel_scope.cancel()
        release.set()
    assert [True] == finished


async def test_process_returns_the_result(module: Any) -> None:
    """A function runs in another process, without our context variables, and its result comes back."""
    module.colour.set("red")
    async with assert_no_leaks():
        args, kwargs, process, colour = await in_process(module.describe, 1, "two", three=[3])
    assert ((1, "two"), {"three": [3]}, "none") == (args, kwargs, colour)
    assert os.getpid() != process


async def test_large_values_cross(module: Any) -> None:
    """Arguments and results may be larger than a pipe."""
    data = os.urandom(1 << 20)
    assert data == (await in_process(module.describe, data))[0][0]


async def test_partials_methods_and_callable_objects_run(module: Any) -> None:
    """Whatever pickle can send by name can be offloaded."""
    adder = module.Adder(40)
    calls: tuple[tuple[Callable[..., Any], Any], ...] = (
        (functools.partial(pow, 6), 2),
        (adder.add, -4),
        (adder, -4),
        (module.Adder.make, 36),
        ("twelve".count, "36"),
    )
    for function, _ in calls:
        assert refusal(function) is None
    assert [36, 36, 36, 36, 0] == [await in_process(function, argument) for function, argument in calls]


async def test_exception_comes_back_as_it_is(module: Any) -> None:
    """The original exception is raised, with the child's traceback as a note."""
    with pytest.raises(module.Kept) as caught:
        await in_process(module.kept)
    assert 7 == caught.value.number
    assert "in kept" in "".join(caught.value.__notes__)


async def test_exception_that_cannot_be_sent_is_described(module: Any) -> None:
    """An exception that pickle cannot rebuild is told by a `ProcessError`, traceback and all."""
    with pytest.raises(ProcessError, match="odd raised Odd: this and that") as caught:
        await in_process(module.odd)
    assert "in odd" in "".join(caught.value.__notes__)


async def test_result_that_cannot_be_sent_is_named(module: Any) -> None:
    """A result that pickle cannot write is an error that names the function and the type."""
    with pytest.raises(ProcessError, match=r"give_lambda returned .* cannot be sent back: function"):
        await in_process(module.give_lambda)


async def test_arguments_that_cannot_be_sent_are_named(module: Any) -> None:
    """Arguments that pickle cannot write are an error before anything starts."""
    with pytest.raises(ProcessError, match="arguments of describe cannot be sent"):
        await in_process(module.describe, threading.Lock())


async def test_module_that_the_child_cannot_import_is_named(module: Any, tmp_path: Path) -> None:
    """A function whose module is not importable in the child is an error that says so."""
    (tmp_path / "offloaded.py").unlink()
    with pytest.raises(ProcessError, match=r"describe could not be called.*No module named 'offloaded'"):
        await in_process(module.describe)


@pytest.mark.parametrize(("name", "message"), [("die", "was killed by SIGSEGV"), ("leave", "exit status 3")])
async def test_death_of_the_child_is_told(module: Any, name: str, message: str) -> None:
    """A child that dies without a result is an error that says how."""
    async with assert_no_leaks():
        with pytest.raises(ProcessError, match=f"{name} gave no result: its process .*{message}"):
            await in_process(getattr(module, name))


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_exit_of_the_function_comes_through(module: Any, backend: str) -> None:
    """`SystemExit` is not wrapped."""
    with pytest.raises(SystemExit) as caught:
        anyio.run(in_process, module.exit, backend=backend)
    assert 5 == caught.value.code


async def test_prints_do_not_disturb(module: Any, capfd: pytest.CaptureFixture[str]) -> None:
    """What the function prints goes to standard error, and its standard input is empty."""
    assert "" == await in_process(module.talk)
    assert ("", "to stdout\nto descriptor 1\n") == capfd.readouterr()


async def test_cancellation_kills_the_child_and_its_children(module: Any, tmp_path: Path) -> None:
    """A deadline ends a function that hangs, and what it started."""
    path = tmp_path / "started"
    os.mkfifo(path)
    async with assert_no_leaks(), anyio.create_task_group() as tasks:
        tasks.start_soon(in_process, module.hang, str(path))
        async with await anyio.open_file(path) as file:  # a pipe with a name: it opens when the child has it
            started = await file.read()
        tasks.cancel_scope.cancel()
    assert not any(psutil.pid_exists(int(number)) for number in started.split())


async def test_leftovers_of_a_function_are_ended(module: Any) -> None:
    """A process that the function leaves running is ended with the call."""
    async with assert_no_leaks():
        assert not psutil.pid_exists(await in_process(module.leave_behind, ""))


async def asynchronous() -> None: ...


class AsyncCallable:
    async def __call__(self) -> None: ...


def original() -> None: ...


original.__qualname__ = "asynchronous"  # as a decorator that replaces a function leaves it


def local() -> Callable[[], None]:
    def inner() -> None: ...

    return inner


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda: 1, "it is a lambda"),
        (local(), "inside a function"),
        (functools.partial(local()), "inside a function"),
        (asynchronous, "it is async"),
        (AsyncCallable(), "it is async"),
        (original, "is not this object"),
    ],
)
async def test_refusals_say_why(function: Callable[..., Any], message: str) -> None:
    """A function that cannot be found by name is refused before anything starts, saying why."""
    assert message in str(refusal(function))
    with pytest.raises(ProcessError, match=message):
        await in_process(function)


@pytest.mark.parametrize("function", [time.sleep, pathlib.Path.cwd, str.upper, "x".join, dict, os.path.join])
def test_importable_functions_are_not_refused(function: Callable[..., Any]) -> None:
    """Functions, builtins, classes and methods of modules are accepted."""
    assert refusal(function) is None


SCRIPT = """
import anyio, sys
from dagflow.kernel.offload import in_process, refusal

class Pair:
    def __init__(self, left, right): self.left, self.right = left, right

class Failure(Exception): pass

def swap(pair): return Pair(pair.right, pair.left)
def fail(): raise Failure("no")

async def main():
    assert refusal(swap) is None
    pair = await in_process(swap, Pair(1, 2))
    assert type(pair) is Pair
    try:
        await in_process(fail)
    except Failure:
        print(pair.left, pair.right)

if __name__ == "__main__":
    anyio.run(main)
"""


@pytest.mark.slow
@pytest.mark.parametrize("form", ["path", "module"])
async def test_functions_of_a_script_run(tmp_path: Path, form: str) -> None:
    """Functions and classes of `__main__` cross both ways, for a script and for `python -m`."""
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, *(["-m", "script"] if form == "module" else ["script.py"])]
    assert b"2 1\n" == (await run_process(command, cwd=tmp_path)).stdout


@pytest.mark.slow
async def test_interactive_functions_are_refused() -> None:
    """A function of `python -c` or a prompt is refused: nothing can import it."""
    source = "from dagflow.kernel.offload import refusal\ndef f(): ...\nprint(refusal(f))"
    assert b"interactive session" in (await run_process([sys.executable, "-c", source])).stdout
