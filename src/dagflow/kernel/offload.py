"""Run sync functions in a child process of our own, which can be killed."""

from __future__ import annotations

import io
import logging
import os
import pickle
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, ParamSpec, Protocol, TypeVar

import attrs

from dagflow.core.importable import main_origin, refusal
from dagflow.errors import ProcessError, name_of
from dagflow.kernel import offload_child
from dagflow.kernel.process import LastOutput, communicate, describe_exit, open_child

__all__ = ["ChildOutput", "call_in_process", "in_process"]

T = TypeVar("T")
P = ParamSpec("P")


class ChildOutput(Protocol):
    """Takes what a function says in a process of its own."""

    @property
    def takes_prints(self) -> bool:
        """Whether it takes what the function prints, too, and not only what it logs."""
        ...

    async def write(self, stream: Literal["stdout", "stderr", "log"], chunk: bytes) -> None:
        """Take a piece as it comes; the function waits meanwhile when it goes on to write."""
        ...


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
    result: T = await call_in_process(function, args, kwargs)
    return result


async def call_in_process(
    function: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    *,
    output: ChildOutput | None = None,
) -> Any:
    """Call a sync function as `in_process` does, and give `output` what it logs, in the form that captured logs have.

    The root logger has the level that it has here. If `output` takes prints, it also gets what the function, C code of
    it and programs that it starts write to their standard output and error, as it comes. Raises what `output` raises,
    too, after the child has ended.
    """
    name = name_of(function)
    if reason := refusal(function):
        raise ProcessError(f"{name} cannot run in a process of its own: {reason}", command=())
    try:
        call = pickle.dumps((function, tuple(args), dict(kwargs)))
    except Exception as error:
        raise ProcessError(
            f"the arguments of {name} cannot be sent to a process of its own ({error}); "
            f"pass values that pickle can write, paths for open files say, or call it in a thread",
            command=(),
        ) from error
    prints = output is not None and output.takes_prints
    level = None if output is None else logging.getLogger().level
    request = pickle.dumps((prints, level, sys.path, sys.argv, *main_module(call))) + pickle.dumps(call)
    command = [sys.executable, "-P", offload_child.__file__]
    said = Said(output)
    stdout, stderr = (
        LastOutput(0, partial(output.write, stream) if output is not None and prints else None)
        for stream in ("stdout", "stderr")
    )
    async with open_child(command, stderr="pipe" if prints else "inherit", channel=True) as child:
        returncode = await communicate(child, request, stdout, stderr, said)
    try:
        answer = Answer(*pickle.loads(said.answer))
    except Exception as error:
        raise ProcessError(
            f"{name} gave no result: its process {describe_exit(returncode)}",
            command=command,
            returncode=returncode,
        ) from error
    return answer.unpack(name, command, returncode)


class Said:
    """Takes what comes through the channel of a child: pieces of what is logged, and at last the answer."""

    def __init__(self, output: ChildOutput | None) -> None:
        self.data: bytearray = bytearray()
        self.answer: bytes = b""
        self._output = output

    async def take(self, chunk: bytes) -> None:
        self.data += chunk
        head = offload_child.HEAD
        while len(self.data) >= head.size:
            kind, size = head.unpack_from(self.data)
            end = head.size + size
            if len(self.data) < end:
                return
            message = bytes(self.data[head.size : end])
            del self.data[:end]
            if kind == offload_child.ANSWER:
                self.answer = message
            elif self._output is not None:
                await self._output.write("log", message)


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
