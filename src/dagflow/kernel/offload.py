"""Run sync functions off the event loop: in a worker thread, or in a child process that can be killed."""

from __future__ import annotations

import functools
import inspect
import io
import os
import pickle
import sys
from collections.abc import Callable
from types import MethodType
from typing import Any, ParamSpec, TypeVar, TypeVarTuple

import attrs
from anyio import CapacityLimiter
from anyio.to_thread import run_sync

from dagflow.errors import ProcessError
from dagflow.kernel import offload_child
from dagflow.kernel.process import WholeOutput, communicate, describe_exit, open_child

__all__ = ["in_process", "in_thread", "refusal"]

T = TypeVar("T")
P = ParamSpec("P")
Ts = TypeVarTuple("Ts")

REFERENCE = "a process of its own finds a function by the name of its module and its own"


async def in_thread(function: Callable[[*Ts], T], *args: *Ts, limiter: CapacityLimiter) -> T:
    """Call a sync function in a worker thread, with the caller's context variables, and return its result.

    It waits for a token of `limiter`. A thread cannot be stopped: once the function runs, cancellation and
    deadlines wait until it returns. Use `in_process` for work that must be killable.
    """
    return await run_sync(function, *args, limiter=limiter)


async def in_process(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a sync function in a new child process and return its result.

    The function is sent by name, its arguments, result and exception by `pickle`; the child is ours and
    private, and ends with the call, together with all that it started. A script's own functions work as with
    `multiprocessing`: the script is run again, under a name other than `__main__`. Context variables, open
    files and everything else that this process changed are not there. What the function prints goes to
    standard error, and its standard input is empty.

    Raises what the function raises, with the child's traceback as a note; `ProcessError` when the function
    cannot be sent (see `refusal`), its arguments, result or exception cannot be pickled, or the child dies.
    Cancellation ends the child: TERM, a few seconds, KILL.
    """
    name = name_of(function)
    if reason := refusal(function):
        raise ProcessError(f"{name} cannot run in a process of its own: {reason}", command=())
    try:
        call = pickle.dumps((function, args, kwargs))
    except Exception as error:
        raise ProcessError(
            f"the arguments of {name} cannot be sent to a process of its own ({error}); "
            f"pass values that pickle can write, paths for open files say, or call it in a thread",
            command=(),
        ) from error
    request = pickle.dumps((sys.path, sys.argv, *main_module(call))) + pickle.dumps(call)
    command = [sys.executable, "-P", offload_child.__file__]
    output = WholeOutput(command, sys.maxsize)
    async with open_child(command, stderr="inherit") as child:
        returncode = await communicate(child, request, output)
    try:
        answer = Answer(*pickle.loads(output.data))
    except Exception as error:
        raise ProcessError(
            f"{name} gave no result: its process {describe_exit(returncode)}",
            command=command,
            returncode=returncode,
        ) from error
    result: T = answer.unpack(name, command, returncode)
    return result


def refusal(function: Callable[..., Any]) -> str | None:
    """Say why `in_process` cannot call a function, and what to do; `None` if it can.

    It looks at the function alone and starts nothing, so that a graph can ask while it is built. Arguments
    and the state of bound objects are only seen when they are sent.
    """
    if is_async(function):
        return "it is async; a process of its own is for sync functions, await this one where it is"
    if isinstance(function, functools.partial):
        return refusal(function.func)
    if isinstance(function, MethodType):
        owner = function.__self__
        return unreachable(owner if isinstance(owner, type) else type(owner))
    if hasattr(function, "__qualname__"):
        return unreachable(function)
    return unreachable(type(function))


@attrs.frozen
class Answer:
    """What `offload_child` says of a call."""

    kind: str
    data: bytes
    line: str
    traceback: str

    def unpack(self, name: str, command: list[str], returncode: int) -> Any:
        """Return the result or raise the exception."""
        note = f"in the process of {name}:\n{self.traceback.rstrip()}"
        problem = {
            "unreadable": f"{name} could not be called: its process cannot read the call: {self.line}",
            "unwritable": f"{name} returned a value that cannot be sent back: {self.line}; "
            f"return values that pickle can write",
            "raised": f"{name} raised {self.line}, an exception that cannot be sent back as it is",
            "value": f"{name} returned a value that cannot be read here",
        }[self.kind]
        failure = ProcessError(problem, command=command, returncode=returncode)
        failure.add_note(note)
        if not self.data:
            raise failure
        try:
            value = Unpickler(io.BytesIO(self.data)).load()
        except Exception as error:
            raise failure from error
        if self.kind == "value":
            return value
        # The cancellation of an event loop means something here only if it began here.
        if not isinstance(value, Exception | SystemExit | KeyboardInterrupt):
            raise failure
        value.add_note(note)
        raise value


class Unpickler(pickle.Unpickler):
    """Reads what a child wrote, where our main module has another name."""

    def find_class(self, module: str, name: str) -> Any:
        return super().find_class("__main__" if module == offload_child.MAIN else module, name)


def is_async(function: Callable[..., Any]) -> bool:
    call = getattr(function, "__call__", None)
    return any(
        inspect.iscoroutinefunction(candidate) or inspect.isasyncgenfunction(candidate)
        for candidate in (function, call)
    )


def unreachable(thing: Any) -> str | None:
    """Say why a function or class cannot be found by name in another process."""
    module, name = getattr(thing, "__module__", None), thing.__qualname__
    if name.endswith("<lambda>"):
        return f"it is a lambda, and {REFERENCE}; use `def` at the top level of a module"
    if "<locals>" in name:
        return f"{name} is defined inside a function, and {REFERENCE}; move it to the top level of a module"
    if module is None:  # a method of a builtin type: pickle knows how
        return None
    if module == "__main__" and main_origin() == (None, None):
        return f"it was typed into an interactive session, and {REFERENCE}; put it into a module"
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    if found is not thing:
        return f"{module}.{name} is not this object, and {REFERENCE}; give it a name of its own there"
    return None


def main_module(call: bytes) -> tuple[str | None, str | None]:
    """Tell a child where the main module comes from, if the call names it: running it again costs time."""
    return main_origin() if b"__main__" in call else (None, None)


def main_origin() -> tuple[str | None, str | None]:
    """Return the name under which `python -m` found the main module, or the path of its file."""
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        return spec.name, None
    path = getattr(main, "__file__", None)
    return None, None if path is None else os.path.abspath(path)


def name_of(function: Callable[..., Any]) -> str:
    while isinstance(function, functools.partial):
        function = function.func
    return getattr(function, "__qualname__", None) or type(function).__qualname__
