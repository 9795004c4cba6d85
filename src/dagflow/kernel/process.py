"""Run child processes, each in a session of its own that is ended and reaped, whatever happens.

Theory of operation. A child is the leader of a new session, and everything that it starts stays in that
session unless it calls `setsid` itself. Ending a child therefore means ending a session: its process groups
get TERM, the whole session gets `grace` seconds, what is left gets KILL. The leader is *not* reaped before its
session is empty: as long as it is a zombie the kernel cannot give its number to a stranger, so no signal of
ours can hit one. That is why this module keeps the `Popen` and waits on a pidfd itself: the event loops reap
a child as soon as it exits.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from typing import IO, Literal, Protocol, TypeAlias

import anyio
import attrs
from anyio.lowlevel import checkpoint_if_cancelled

from dagflow.errors import ProcessError, ProcessTimeout
from dagflow.kernel.pipe import PipeReceiver, PipeSender
from dagflow.kernel.session import living, send_signal

__all__ = [
    "Child",
    "LastOutput",
    "ProcessResult",
    "communicate",
    "describe_exit",
    "open_child",
    "run_process",
]

Folder: TypeAlias = "str | os.PathLike[str]"
Listener: TypeAlias = Callable[[bytes], Awaitable[object]]

KILL_WAIT = 5.0  # seconds; only a process that the kernel itself holds up outlives KILL by more than an instant
TAIL = 2000  # bytes of standard error that an error's message quotes


@attrs.frozen
class ProcessResult:
    """What a process that ended by itself left: its exit status and what it wrote.

    `returncode` is negative for a signal. `stdout` is empty when a listener was given the output instead.
    """

    command: tuple[str, ...]
    returncode: int
    stdout: bytes = attrs.field(repr=lambda data: f"<{len(data)} bytes>")
    stderr: bytes = attrs.field(repr=lambda data: f"<{len(data)} bytes>")


async def run_process(
    command: Sequence[str],
    *,
    input: bytes | None = None,
    timeout: float | None = None,
    grace: float = 5.0,
    env: Mapping[str, str] | None = None,
    cwd: Folder | None = None,
    check: bool = True,
    on_stdout: Listener | None = None,
    on_stderr: Listener | None = None,
    max_output: int = 16 * 1024 * 1024,
) -> ProcessResult:
    """Run a program to its end and return what it wrote; nothing that it started is left afterwards.

    The program is started without a shell, in a session of its own. `input` is fed to its standard input,
    which it need not read. Processes that it leaves in its session when it exits are ended like the program
    itself is on a timeout: TERM, up to `grace` seconds, KILL. `env` replaces the whole environment.

    `on_stdout` and `on_stderr` are awaited with each chunk as it comes, and the program waits while they do;
    an exception of theirs ends the program and is raised as it is. Without them the output is collected:
    more than `max_output` bytes of standard output are an error, of standard error the last `max_output`
    bytes are kept.

    Raises `ProcessError` when the program cannot be started, writes too much, or, with `check`, ends with a
    status other than zero; `ProcessTimeout` when it is not done after `timeout` seconds.

    Cancellation, a timeout and any exception end the session before they go on. That takes up to `grace`
    seconds, or up to the caller's own deadline where that is still to come and nearer.
    """
    async with open_child(command, env=env, cwd=cwd, grace=grace) as child:
        stdout = WholeOutput(command, max_output) if on_stdout is None else LastOutput(0, on_stdout)
        stderr = LastOutput(max_output, on_stderr)
        returncode: int | None = None
        with anyio.move_on_after(timeout):
            returncode = await communicate(child, input or b"", stdout, stderr)
        said = tail(stderr.data)
        if returncode is None:
            assert timeout is not None
            raise ProcessTimeout(
                f"{brief(command)} passed its timeout of {timeout:g} s and was ended{quoted(said)}",
                command=command,
                stderr=said,
            )
    if check and returncode != 0:
        raise ProcessError(
            f"{brief(command)} {describe_exit(returncode)}{quoted(said)}",
            command=command,
            returncode=returncode,
            stderr=said,
        )
    return ProcessResult(tuple(command), returncode, bytes(stdout.data), bytes(stderr.data))


@asynccontextmanager
async def open_child(
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Folder | None = None,
    grace: float = 5.0,
    stderr: Literal["pipe", "inherit"] = "pipe",
    channel: bool = False,
) -> AsyncIterator[Child]:
    """Start a program without a shell, in a session of its own, and end that session on the way out.

    The block gets a `Child` with the streams of its standard files. However the block is left, the session
    is empty, its leader is reaped and every descriptor is closed by then: TERM, up to `grace` seconds while
    the output is read and thrown away, KILL. This is shielded from cancellation, and bounded. Enter and leave
    it in one task. With `stderr="inherit"` the program writes to our own standard error. With `channel` it can write
    to one descriptor more, whose number is its last argument.

    Raises `ProcessError` when the program cannot be started.
    """
    await checkpoint_if_cancelled()
    popen, receiving = start(command, env=env, cwd=cwd, stderr=stderr, channel=channel)
    child = Child(command, popen, grace, receiving)
    try:
        yield child
    finally:
        await child.close()


class Child:
    """A program that is running, the leader of its own session. `open_child` makes it and ends it.

    `stderr` is `None` when the program writes to our own standard error, and `channel` when it has none.
    """

    def __init__(
        self, command: Sequence[str], popen: subprocess.Popen[bytes], grace: float, channel: IO[bytes] | None = None
    ) -> None:
        assert popen.stdin is not None
        assert popen.stdout is not None
        self.command: tuple[str, ...] = tuple(command)
        self.pid: int = popen.pid
        self.stdin: PipeSender = PipeSender(popen.stdin)
        self.stdout: PipeReceiver = PipeReceiver(popen.stdout)
        self.stderr: PipeReceiver | None = None if popen.stderr is None else PipeReceiver(popen.stderr)
        self.channel: PipeReceiver | None = None if channel is None else PipeReceiver(channel)
        self._popen = popen
        self._grace = grace
        self._pidfd = open_pidfd(popen.pid)
        self._waiter = anyio.Lock()
        self._returncode: int | None = None
        self._empty = False

    @property
    def returncode(self) -> int | None:
        """The exit status, negative for a signal; `None` while the program runs."""
        if self._returncode is None:
            self._returncode = peek(self._popen)
        return self._returncode

    async def wait(self) -> int:
        """Wait until the program itself exits and return its status; what it started may still run."""
        async with self._waiter:  # a descriptor can be waited for by one task at a time
            pause = 0.001
            while (returncode := self.returncode) is None:
                if self._pidfd is not None:
                    await anyio.wait_readable(self._pidfd)
                else:
                    await anyio.sleep(pause)
                    pause = min(2 * pause, 0.05)
        return returncode

    async def finish(self) -> int:
        """Wait until the program exits, end what it left in its session, and return its status.

        Whatever was written before is still to be received; after it the streams end, even if a process that
        escaped holds them open. Read them in other tasks meanwhile: a program whose pipe is full does not exit.
        """
        returncode = await self.wait()
        grace = self._grace_left()
        with anyio.CancelScope(shield=True):
            await self._end_session(grace)
        self.stdin.close()
        for receiver in self._receivers():
            receiver.finish()
        return returncode

    async def close(self) -> None:
        """End the session, reap its leader and close every descriptor; `open_child` calls it."""
        grace = self._grace_left()
        try:
            self.stdin.close()
            with anyio.CancelScope(shield=True):
                async with anyio.create_task_group() as readers:
                    # Nobody reads any more, but a program that ends tidily may want to write a last line.
                    for receiver in self._receivers():
                        readers.start_soon(discard, receiver)
                    await self._end_session(grace)
                    readers.cancel_scope.cancel()
        except BaseException:
            self._kill_now()
            raise
        finally:
            if self.returncode is not None:
                self._popen.wait()
            for receiver in self._receivers():
                receiver.close()
            close_descriptor(self._pidfd)
            self._pidfd = None

    def _receivers(self) -> list[PipeReceiver]:
        return [receiver for receiver in (self.stdout, self.stderr, self.channel) if receiver is not None]

    def _grace_left(self) -> float:
        """Say how long the session may take: up to a deadline that is still to come.

        A deadline that has passed is what brought us here; the grace comes on top of it.
        """
        left = anyio.current_effective_deadline() - anyio.current_time()
        return min(self._grace, left) if left > 0 else self._grace

    async def _end_session(self, grace: float) -> None:
        for number, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, KILL_WAIT)):
            if self._session_is_empty():
                return
            send_signal(self.pid, number)
            with anyio.move_on_after(seconds):
                await self._session_emptied(number)

    async def _session_emptied(self, number: signal.Signals) -> None:
        await self.wait()
        pause = 0.001
        while not self._session_is_empty():
            if number is signal.SIGKILL:
                send_signal(self.pid, number)  # again: a process can fork while the session is searched
            await anyio.sleep(pause)
            pause = min(2 * pause, 0.05)

    def _session_is_empty(self) -> bool:
        """Whether nothing is left but the leader's zombie. Once true it stays true: nobody is left to fork."""
        self._empty = self._empty or (self.returncode is not None and not living(self.pid))
        return self._empty

    def _kill_now(self) -> None:
        """End the session without awaiting.

        The waiting was cut short, which a second Ctrl-C can do, and an asyncio host that calls `task.cancel()`
        again: a shield stops neither.
        """
        deadline = time.monotonic() + 1
        while not self._session_is_empty() and time.monotonic() < deadline:
            send_signal(self.pid, signal.SIGKILL)
            time.sleep(0.001)


class Output(Protocol):
    """What is done with the chunks that a child writes to one of its standard files."""

    @property
    def data(self) -> bytearray: ...

    async def take(self, chunk: bytes) -> None: ...


class WholeOutput:
    """Collects everything, up to a bound: half of an answer is no answer."""

    def __init__(self, command: Sequence[str], limit: int) -> None:
        self.data: bytearray = bytearray()
        self._command = command
        self._limit = limit

    async def take(self, chunk: bytes) -> None:
        self.data += chunk
        if len(self.data) > self._limit:
            raise ProcessError(
                f"{brief(self._command)} wrote more than {self._limit} bytes to standard output and was ended; "
                f"raise max_output, or take the output piece by piece with on_stdout",
                command=self._command,
            )


class LastOutput:
    """Keeps the last `keep` bytes, and hands everything on to a listener if there is one."""

    def __init__(self, keep: int, listener: Listener | None) -> None:
        self.data: bytearray = bytearray()
        self._keep = keep
        self._listener = listener

    async def take(self, chunk: bytes) -> None:
        """Take a chunk; raises what the listener raises."""
        self.data += chunk
        del self.data[: max(0, len(self.data) - self._keep)]
        if self._listener is not None:
            await self._listener(chunk)


async def communicate(
    child: Child, input: bytes, stdout: Output, stderr: Output | None = None, channel: Output | None = None
) -> int:
    """Feed a child, drain it into what takes its output, and return its status when its session is empty."""
    failure: BaseException | None = None
    returncode = 0
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(feed, child.stdin, input)
            tasks.start_soon(drain, child.stdout, stdout)
            if child.stderr is not None and stderr is not None:
                tasks.start_soon(drain, child.stderr, stderr)
            if child.channel is not None and channel is not None:
                tasks.start_soon(drain, child.channel, channel)
            returncode = await child.finish()
    except BaseExceptionGroup as group:
        if len(group.exceptions) != 1:
            raise
        failure = group.exceptions[0]
    if failure is not None:  # raised out here so that its own cause and context stay as they are
        raise failure
    return returncode


async def feed(sender: PipeSender, data: bytes) -> None:
    # A program is free to exit, or to close its input, before it has read everything.
    with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
        await sender.send(data)
    sender.close()


async def drain(receiver: PipeReceiver, output: Output) -> None:
    with suppress(anyio.EndOfStream):
        while True:
            await output.take(await receiver.receive())


async def discard(receiver: PipeReceiver) -> None:
    with suppress(anyio.EndOfStream, anyio.ClosedResourceError):
        while True:
            await receiver.receive()


def start(
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None,
    cwd: Folder | None,
    stderr: Literal["pipe", "inherit"],
    channel: bool,
) -> tuple[subprocess.Popen[bytes], IO[bytes] | None]:
    """Start a program in a session of its own, and give our end of its channel, if it is to have one.

    It blocks for about a millisecond: a `vfork` and an `exec`.
    """
    if isinstance(command, str) or not command:
        raise ProcessError(
            f"a command is a non-empty sequence of strings, got {command!r}; no shell reads it: "
            f"for one, say ['sh', '-c', '...']",
            command=tuple(command),
        )
    with ExitStack() as ours, ExitStack() as theirs:
        receiving: IO[bytes] | None = None
        passed: tuple[int, ...] = ()
        try:
            if channel:
                reading, writing = os.pipe()
                theirs.callback(os.close, writing)
                receiving = ours.enter_context(os.fdopen(reading, "rb", buffering=0))
                passed = (writing,)
            popen = subprocess.Popen(
                [*command, *map(str, passed)],
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE if stderr == "pipe" else None,
                env=env,
                cwd=cwd,
                start_new_session=True,
                pass_fds=passed,
            )
        except (OSError, ValueError) as error:
            raise ProcessError(why_not_started(command, error, env=env, cwd=cwd), command=command) from error
        ours.pop_all()
        return popen, receiving


def why_not_started(
    command: Sequence[str],
    error: OSError | ValueError,
    *,
    env: Mapping[str, str] | None,
    cwd: Folder | None,
) -> str:
    program = command[0]
    if cwd is not None and not os.path.isdir(cwd):
        return f"cannot start {program!r}: its folder {os.fspath(cwd)!r} does not exist or is no folder"
    if isinstance(error, FileNotFoundError):
        return f"cannot start {program!r}: {why_not_found(program, env, cwd)}"
    if isinstance(error, PermissionError):
        return f"cannot start {program!r}: it is no executable file, or we may not run it"
    return f"cannot start {program!r}: {error.strerror if isinstance(error, OSError) else error}"


def why_not_found(program: str, env: Mapping[str, str] | None, cwd: Folder | None) -> str:
    folders = [cwd or ""] if os.sep in program else os.get_exec_path(env)
    if any(os.path.exists(os.path.join(folder, program)) for folder in folders):
        return "the interpreter that its first line names does not exist"
    if os.sep in program:
        return "it does not exist"
    nearest = nearest_programs(program, folders)
    hint = f"did you mean {' or '.join(nearest)}?" if nearest else "install it, or give its full path"
    return f"it is not on the PATH; {hint}"


def nearest_programs(program: str, folders: Sequence[Folder]) -> list[str]:
    from difflib import get_close_matches

    names: set[str] = set()
    for folder in folders:
        with suppress(OSError):
            names.update(os.listdir(folder))
    return get_close_matches(program, sorted(names), n=2, cutoff=0.75)


def open_pidfd(process: int) -> int | None:
    try:
        return os.pidfd_open(process)
    except (AttributeError, OSError):  # not Linux, an old kernel, or no descriptor is left: we poll
        return None


def close_descriptor(descriptor: int | None) -> None:
    if descriptor is not None:
        anyio.notify_closing(descriptor)
        os.close(descriptor)


def peek(popen: subprocess.Popen[bytes]) -> int | None:
    """Return the exit status of a child, or `None` while it runs, without reaping it."""
    if not hasattr(os, "waitid"):  # macOS before Python 3.13
        return popen.poll()
    try:
        found = os.waitid(os.P_PID, popen.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:  # somebody else reaped it, as a host that ignores SIGCHLD does
        return popen.wait()
    if found is None:
        return None
    return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status


def describe_exit(returncode: int) -> str:
    """Say in words how a process ended."""
    if returncode >= 0:
        return f"ended with exit status {returncode}"
    try:
        return f"was killed by {signal.Signals(-returncode).name}"
    except ValueError:
        return f"was killed by signal {-returncode}"


def brief(command: Sequence[str]) -> str:
    text = shlex.join(command)
    return text if len(text) <= 200 else f"{text[:200]}..."


def tail(stderr: bytearray) -> str:
    return stderr[-TAIL:].decode(errors="replace").strip()


def quoted(stderr: str) -> str:
    return f"; its standard error ends with:\n{stderr}" if stderr else ""
