"""Real child programs: what `run_process` returns, and that nothing that they start outlives it."""

import gc
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import psutil
import pytest

from dagflow.errors import ProcessError, ProcessTimeout
from dagflow.kernel.process import open_child, run_process
from dagflow.testing.faults import sweep_cancellations
from dagflow.testing.leaks import assert_no_leaks

LOOP = "while :; do sleep 100; done"
STUBBORN = f"trap '' TERM; {LOOP}"


def sh(script: str) -> list[str]:
    return ["/bin/sh", "-c", script]


def python(source: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", source]


def gone(*processes: int) -> bool:
    return not any(runs(process) for process in processes)


def runs(process: int) -> bool:
    """Whether a process runs, or waits for us to reap it; the zombie of an orphan is somebody else's."""
    try:
        found = psutil.Process(process)
        return bool(found.status() != psutil.STATUS_ZOMBIE or found.ppid() == os.getpid())
    except psutil.NoSuchProcess:
        return False


class Numbers:
    """Collects the process numbers that a child prints, a line each, and tells when `count` have come."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.text = b""
        self.complete = anyio.Event()

    async def __call__(self, chunk: bytes) -> None:
        self.text += chunk
        if self.text.count(b"\n") >= self.count:
            self.complete.set()

    @property
    def found(self) -> list[int]:
        return [int(line) for line in self.text.split()]


async def cancelled_once(numbers: Numbers, call: Callable[[], Awaitable[object]]) -> None:
    """Run `call` and cancel it when the numbers have come."""

    async def run() -> None:
        await call()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await numbers.complete.wait()
        tasks.cancel_scope.cancel()


async def test_output_and_status_are_returned() -> None:
    """A program's output, error output and status come back."""
    async with assert_no_leaks():
        result = await run_process(sh("cat; echo oops >&2; exit 3"), input=b"hello", check=False)
    assert (b"hello", b"oops\n", 3) == (result.stdout, result.stderr, result.returncode)


async def test_large_input_and_output_do_not_deadlock() -> None:
    """Input is fed while output is drained, however much larger than a pipe both are."""
    data = os.urandom(1024) * 1024
    assert data == (await run_process(["cat"], input=data)).stdout


async def test_input_need_not_be_read() -> None:
    """A program may close its input, or exit, before it has read it."""
    async with assert_no_leaks():
        assert b"done\n" == (await run_process(sh("exec 0<&-; echo done"), input=bytes(1 << 20))).stdout


async def test_no_input_is_the_end_of_input() -> None:
    """Without input a program reads the end of a file, and does not wait for ours."""
    assert b"" == (await run_process(["cat"])).stdout


async def test_env_and_cwd_are_the_childs(tmp_path: Path) -> None:
    """`env` replaces the environment and `cwd` the folder, of the child alone."""
    result = await run_process(sh("echo $COLOUR-$HOME; pwd"), env={"COLOUR": "red"}, cwd=tmp_path)
    assert f"red-\n{tmp_path.resolve()}\n".encode() == result.stdout


async def test_program_closes_its_output_early() -> None:
    """A program that closes its output and works on is waited for."""
    result = await run_process(python("import os, time; os.close(1); os.close(2); time.sleep(.02)"))
    assert (0, b"") == (result.returncode, result.stdout)


async def test_status_other_than_zero_is_an_error() -> None:
    """A failing program is an error that has its status and the end of its error output."""
    with pytest.raises(ProcessError, match=r"exit status 7.*\n.*no luck") as caught:
        await run_process(sh("echo no luck >&2; exit 7"))
    assert 7 == caught.value.returncode
    assert "no luck" == caught.value.stderr


async def test_death_by_signal_is_named() -> None:
    """A program that a signal ended is an error that names the signal."""
    with pytest.raises(ProcessError, match="killed by SIGSEGV") as caught:
        await run_process(sh("kill -SEGV $$"))
    assert -signal.SIGSEGV == caught.value.returncode


async def test_missing_program_is_named() -> None:
    """A program that is not there is an error that names it and its neighbours on the PATH."""
    async with assert_no_leaks():
        with pytest.raises(ProcessError, match=r"'slepe'.*not on the PATH; did you mean .*sleep") as caught:
            await run_process(["slepe", "1"])
    assert (("slepe", "1"), None) == (caught.value.command, caught.value.returncode)


@pytest.mark.parametrize(
    ("mode", "text", "message"),
    [(0o600, "", "no executable file"), (0o700, "#!/no/such\n", "interpreter"), (0o700, "", "[Ff]ormat")],
)
async def test_file_that_cannot_be_run_is_named(tmp_path: Path, mode: int, text: str, message: str) -> None:
    """A file that is no program is an error that says why."""
    program = tmp_path / "program"
    program.write_text(text)
    program.chmod(mode)
    with pytest.raises(ProcessError, match=f"program'.*{message}"):
        await run_process([str(program)])


async def test_missing_folder_is_named(tmp_path: Path) -> None:
    """A working folder that is not there is an error that names it, not the program."""
    with pytest.raises(ProcessError, match=r"its folder .*nowhere"):
        await run_process(["true"], cwd=tmp_path / "nowhere")


async def test_shell_text_is_refused() -> None:
    """A string is no command: nothing here goes through a shell."""
    with pytest.raises(ProcessError, match="sequence of strings"):
        await run_process("echo hello")


async def test_timeout_ends_the_program() -> None:
    """A program that passes its timeout is ended, with what it had written to standard error in the error."""
    async with assert_no_leaks():
        with pytest.raises(ProcessTimeout, match=r"timeout of 0\.05 s") as caught:
            await run_process(sh(f"echo working >&2; {LOOP}"), timeout=0.05)
    assert isinstance(caught.value, TimeoutError)
    assert "working" == caught.value.stderr


async def test_deadline_of_the_caller_is_a_cancellation() -> None:
    """A deadline around the call is told as the caller's own, never as `ProcessTimeout`."""
    async with assert_no_leaks():
        with pytest.raises(TimeoutError) as caught, anyio.fail_after(0.03):
            await run_process(sh(LOOP), timeout=60)
    assert not isinstance(caught.value, ProcessError)


@pytest.mark.slow
async def test_cancellation_at_every_step_leaves_nothing() -> None:
    """Wherever a call is cancelled, nothing is left of it."""

    async def call() -> bytes:
        async with open_child(sh("cat; echo bye >&2")) as child:
            await child.stdin.send(b"hello")
            child.stdin.close()
            received = await child.stdout.receive()
            await child.finish()
        await run_process(sh("sleep 100 >/dev/null & cat"), input=b"hello")
        return received

    async with assert_no_leaks():
        outcomes = await sweep_cancellations(call)
    assert [None] * len(outcomes) == [outcome.exception for outcome in outcomes]
    assert b"hello" == outcomes[-1].value
    assert len(outcomes) > 10


async def test_nothing_is_started_after_cancellation() -> None:
    """A call in a cancelled scope starts no program."""
    with anyio.CancelScope() as scope:
        scope.cancel()
        await run_process(["no-such-program"])  # to try would be an error
    assert scope.cancelled_caught


async def test_cancellation_ends_grandchildren() -> None:
    """Cancellation ends what a child started, in the background and in process groups of its own too."""
    numbers = Numbers(4)
    script = f"({LOOP}) & echo $!; timeout 100 sh -c 'echo $$; sleep 100' & echo $!; echo $$; wait"
    async with assert_no_leaks():
        await cancelled_once(numbers, lambda: run_process(sh(script), on_stdout=numbers))
    assert 4 == len(numbers.found)
    assert gone(*numbers.found)


async def test_cancellation_kills_what_ignores_term() -> None:
    """A child and a grandchild that ignore TERM are killed once the grace is over."""
    numbers = Numbers(2)
    script = f"trap '' TERM; sh -c '{LOOP}' & echo $!; echo $$; {LOOP}"
    async with assert_no_leaks():
        await cancelled_once(numbers, lambda: run_process(sh(script), on_stdout=numbers, grace=0.05))
    assert gone(*numbers.found)


async def test_child_has_its_grace(tmp_path: Path) -> None:
    """A child that ends tidily on TERM has the time to, and may write more than a pipe holds meanwhile."""
    numbers = Numbers(1)
    tidy = f"head -c 300000 /dev/zero; head -c 300000 /dev/zero >&2; touch {tmp_path}/tidy; exit"
    script = f"trap '{tidy}' TERM; echo $$; while :; do sleep 0.01; done"
    async with assert_no_leaks():
        await cancelled_once(numbers, lambda: run_process(sh(script), on_stdout=numbers, grace=10))
    assert [tmp_path / "tidy"] == list(tmp_path.iterdir())


async def test_leftovers_of_a_normal_exit_are_ended() -> None:
    """What a program leaves running in its session is ended, though it holds the program's pipes."""
    numbers = Numbers(1)
    async with assert_no_leaks():
        result = await run_process(sh(f"({LOOP}) & echo $!; exit 0"), on_stdout=numbers)
    assert 0 == result.returncode
    assert gone(*numbers.found)


async def test_last_words_of_leftovers_are_received() -> None:
    """What a leftover writes while it is ended is part of the output."""
    # The program exits once its leftover has set its trap.
    leftover = "trap 'echo bye; exit' TERM; echo ready >&3; while :; do sleep 0.01; done"
    async with assert_no_leaks():
        result = await run_process(["bash", "-c", f"exec 3> >(read line; kill $$); ({leftover}) & wait"], check=False)
    assert b"bye\n" == result.stdout


async def test_flood_of_an_escaped_process_is_not_waited_for() -> None:
    """A process that escaped and floods the pipe for ever is read no further than the pipe's content."""
    result = await run_process(sh("setsid yes & sleep 0.02"), max_output=1 << 40)
    assert result.stdout.startswith(b"y\n")


async def test_stubborn_leftovers_are_killed() -> None:
    """What a program leaves running and ignores TERM is killed after the grace."""
    numbers = Numbers(1)
    async with assert_no_leaks():
        await run_process(sh(f"trap '' TERM; ({LOOP}) & echo $!"), on_stdout=numbers, grace=0.05)
    assert gone(*numbers.found)


async def test_output_before_exit_is_whole_when_a_pipe_stays_open() -> None:
    """A process that escapes and holds the pipes makes nobody wait, and all that was written still comes."""
    escape = "import os, time; os.setsid(); print(os.getpid(), flush=True); time.sleep(100)"
    source = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-I", "-S", "-c", {escape!r}], stdout=subprocess.PIPE)
print(int(child.stdout.readline()), flush=True)
holder = subprocess.Popen(["setsid", "sleep", "100"])  # inherits our output
print(holder.pid, "x" * 50000, flush=True)
"""
    result = await run_process(python(source))
    first, second, filler = result.stdout.split()
    for escaped in (int(first), int(second)):
        os.kill(escaped, signal.SIGKILL)
    assert 50000 == len(filler)


async def test_flood_is_an_error() -> None:
    """A program that floods its output is ended, and the error says what to do."""
    async with assert_no_leaks():
        with pytest.raises(ProcessError, match=r"more than 100000 bytes.*on_stdout"):
            await run_process(["yes"], max_output=100_000)


async def test_flood_of_error_output_is_bounded() -> None:
    """Of standard error the last bytes are kept."""
    result = await run_process(sh("head -c 1000000 /dev/zero >&2; echo end >&2"), max_output=10)
    assert bytes(6) + b"end\n" == result.stderr


async def test_flood_is_streamed() -> None:
    """A listener gets every byte, and nothing is kept."""
    seen = 0

    async def count(chunk: bytes) -> None:
        nonlocal seen
        seen += len(chunk)

    result = await run_process(sh("head -c 1000000 /dev/zero"), on_stdout=count, max_output=10)
    assert (1_000_000, b"") == (seen, result.stdout)


async def test_failing_listener_ends_the_program() -> None:
    """An exception of a listener ends the program and is raised as it is, cause and all."""

    async def fail(chunk: bytes) -> None:
        raise LookupError("listener") from OSError("why")

    async with assert_no_leaks():
        with pytest.raises(LookupError, match="listener") as caught:
            await run_process(["yes"], on_stdout=fail)
    assert isinstance(caught.value.__cause__, OSError)


async def test_block_talks_to_its_child() -> None:
    """`open_child` gives streams that talk to the program while it runs."""
    async with assert_no_leaks(), open_child(["cat"]) as child:
        await child.stdin.send(b"ping")
        assert b"ping" == await child.stdout.receive()
        assert child.returncode is None
        child.stdin.close()
        assert 0 == await child.wait()
        with pytest.raises(anyio.EndOfStream):
            await child.stdout.receive()


async def test_leaving_the_block_ends_the_child() -> None:
    """A block that is left while its child runs ends it, exception or not."""
    children = []
    async with assert_no_leaks():
        with pytest.raises(LookupError):
            async with open_child(sh(LOOP)) as child:
                children.append(child)
                raise LookupError
    assert gone(children[0].pid)
    assert -signal.SIGTERM == children[0].returncode


async def test_many_may_wait() -> None:
    """Several tasks can wait for one child."""
    codes = []

    async def wait() -> None:
        codes.append(await child.wait())

    async with open_child(["cat"]) as child, anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        tasks.start_soon(wait)
        child.stdin.close()
    assert [0, 0] == codes


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_exit_ends_the_child(backend: str) -> None:
    """`SystemExit` ends the child too, and comes through unwrapped."""
    numbers = Numbers(2)

    async def leave(chunk: bytes) -> None:
        await numbers(chunk)
        if numbers.complete.is_set():
            raise SystemExit(3)

    async def main() -> None:
        await run_process(sh(f"({LOOP}) & echo $!; echo $$; {LOOP}"), on_stdout=leave)

    with pytest.raises(SystemExit):
        anyio.run(main, backend=backend)
    assert gone(*numbers.found)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_ctrl_c_ends_the_child(backend: str) -> None:
    """Ctrl-C ends the child and what it started, and comes through unwrapped."""
    numbers = Numbers(2)

    async def interrupt(chunk: bytes) -> None:
        await numbers(chunk)
        if numbers.complete.is_set():
            os.kill(os.getpid(), signal.SIGINT)

    async def main() -> None:
        await run_process(sh(f"({LOOP}) & echo $!; echo $$; {LOOP}"), on_stdout=interrupt)

    with pytest.raises(KeyboardInterrupt):
        anyio.run(main, backend=backend)
    assert gone(*numbers.found)


async def test_nearer_deadline_shortens_the_grace() -> None:
    """The grace after a timeout ends with a deadline of the caller's that is still to come."""
    started = anyio.current_time()
    with anyio.move_on_after(0.1) as scope, pytest.raises(ProcessTimeout):
        await run_process(sh(STUBBORN), timeout=0.03, grace=30)
    assert anyio.current_time() < started + 20  # a bound on a hang, not a measure
    assert not scope.cancelled_caught


async def test_unreferenced_children_leave_no_warnings() -> None:
    """Nothing is left for the collector to warn about."""
    await run_process(["true"])
    with anyio.move_on_after(0.01):
        await run_process(sh(LOOP))
    gc.collect()


async def test_many_at_once() -> None:
    """Children that run at the same time do not disturb each other."""
    results: dict[int, bytes] = {}

    async def run(number: int) -> None:
        results[number] = (await run_process(sh(f"echo {number}"))).stdout

    async with assert_no_leaks(), anyio.create_task_group() as tasks:
        for number in range(10):
            tasks.start_soon(run, number)
    assert {number: f"{number}\n".encode() for number in range(10)} == results


@pytest.mark.one_backend("task.cancel() is asyncio's")
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_repeated_native_cancellation_leaves_no_process() -> None:
    """A host that cancels the task again during clean-up cuts the grace short, and leaves no process."""
    import asyncio

    numbers = Numbers(1)
    async with assert_no_leaks():
        task = asyncio.ensure_future(run_process(sh(f"trap '' TERM; echo $$; {LOOP}"), on_stdout=numbers, grace=60))
        await numbers.complete.wait()
        while not task.done():
            task.cancel()
            await anyio.lowlevel.checkpoint()
        assert task.cancelled()
    assert gone(*numbers.found)


@pytest.mark.slow
def test_orphans_are_reaped_where_we_are_their_parent() -> None:
    """As process 1 of a container, orphans come to us: they are reaped, not left as zombies."""
    source = """
import ctypes, os, sys, anyio
from dagflow.kernel.process import run_process
assert 0 == ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
async def main():
    await run_process(["/bin/sh", "-c", "sleep 100 & sleep 100 & exit 0"])
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        print("none left")
anyio.run(main, backend=sys.argv[1])
"""
    for backend in ("asyncio", "trio"):
        found = anyio.run(run_process, [sys.executable, "-c", source, backend])
        assert b"none left\n" == found.stdout
