"""Run sync functions in a child process of our own, which can be killed."""

from __future__ import annotations

import io
import os
import pickle
import sys
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import attrs

from dagflow.core.importable import main_origin, refusal
from dagflow.errors import ProcessError, name_of
from dagflow.kernel import offload_child
from dagflow.kernel.process import WholeOutput, communicate, describe_exit, open_child

__all__ = ["in_process"]

T = TypeVar("T")
P = ParamSpec("P")


async def in_process(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a sync function in a new child process and return its result.

    The function is sent by name, its arguments, result and exception by `pickle`; the child is ours and
    private, and ends with the call, together with all that it started. A script's own functions work as with
    `multiprocessing`: the script is run again, under a name other than `__main__`. Context variables, open
    files and everything else that this process changed are not there. What the function prints goes to
    standard error, and its standard input is empty.

    Raises what the function raises, with the child's traceback as a note; `ProcessError` when the function
    cannot be sent (`dagflow.core.importable` says why), its arguments, result or exception cannot be pickled, or
    the child dies.
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


def main_module(call: bytes) -> tuple[str | None, str | None]:
    """Tell a child where the main module comes from, if the call names it: running it again costs time."""
    if b"__main__" not in call:
        return None, None
    name, path = main_origin()
    return name, None if path is None else os.path.abspath(path)
