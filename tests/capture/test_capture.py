"""What a task prints, logs and has programs write goes to its own output, whole, masked, and line by line."""

import logging
import threading
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from capture.attempts import At, Lines
from dagflow import Graph, Node, Secret, dep
from dagflow.capture import Capture, CaptureError, Stream, TaskOutput, current_output
from dagflow.kernel.process import run_process
from dagflow.testing.faults import sweep_cancellations
from dagflow.testing.leaks import assert_no_leaks

log = logging.getLogger("capture.test")


def folder(path: Path) -> Capture:
    return Capture(lambda run_id: path / run_id, prints=True)


async def test_output_is_kept_and_told(tmp_path: Path) -> None:
    """Prints, logs and what is written go to the file in order, and are told line by line."""
    capture, lines = folder(tmp_path), Lines()
    async with capture.open(At(), tell=lines) as output:
        print("printed", end="")
        print(" on")
        log.warning("logged %s", "this")
        await output.write("stdout", b"wri")
        await output.write("stdout", b"tten\nand no end")
    expected = [("stdout", "printed on"), ("log", "WARNING capture.test: logged this"), ("stdout", "written")]
    assert [*expected, ("stdout", "and no end")] == lines.told
    text = "printed on\nWARNING capture.test: logged this\nwritten\nand no end"
    assert text == (tmp_path / "run" / "report" / "fetch" / "1.log").read_text() == output.tail
    assert capture.file(At()) == Path(str(output.path)) == tmp_path / "run" / "report" / "fetch" / "1.log"


async def test_tasks_at_once_do_not_mix(tmp_path: Path) -> None:
    """Tasks that run at the same time, and threads of theirs, print and log to their own outputs only."""
    capture = folder(tmp_path)

    def in_thread(name: str) -> None:
        print(f"{name} in a thread")
        log.error(f"{name} in a thread")

    async def task(number: int) -> None:
        name, lines = f"task {number}", Lines()
        async with capture.open(At(path=(name,)), tell=lines):
            for _ in range(3):
                print(name)
                await anyio.lowlevel.checkpoint()
            await anyio.to_thread.run_sync(in_thread, name)
            async with anyio.create_task_group() as group:
                group.start_soon(child, name)
        wanted = [name] * 3 + [f"{name} in a thread", f"ERROR capture.test: {name} in a thread", f"{name} in a child"]
        assert wanted == lines.texts
        assert "\n".join([*wanted, ""]) == (tmp_path / "run" / name / "1.log").read_text()

    async def child(name: str) -> None:
        print(f"{name} in a child")

    async with assert_no_leaks(), anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(task, number)


async def test_a_program_is_told_and_kept_as_it_writes(tmp_path: Path) -> None:
    """The output is a listener for the chunks of a program, for both of its streams."""
    capture, lines = folder(tmp_path), Lines()

    async with assert_no_leaks(), capture.open(At(), tell=lines) as output:

        async def stdout(chunk: bytes) -> None:
            await output.write("stdout", chunk)

        async def stderr(chunk: bytes) -> None:
            await output.write("stderr", chunk)

        await run_process(["sh", "-c", "echo out; echo err >&2"], on_stdout=stdout, on_stderr=stderr)
    assert [("stderr", "err"), ("stdout", "out")] == sorted(lines.told)


async def test_streams_do_not_share_a_line(tmp_path: Path) -> None:
    """In the file a stream begins on a line of its own, though the other one has not ended its line."""
    capture, lines = folder(tmp_path), Lines()
    async with capture.open(At(), tell=lines) as output:
        await output.write("stdout", b"half")
        await output.write("stderr", b"other\n")
        await output.write("stdout", b" done\n")
    assert [("stderr", "other"), ("stdout", "half done")] == lines.told
    assert "half\nother\n done\n" == output.tail


async def test_secrets_are_nowhere(tmp_path: Path) -> None:
    """A secret that is printed, logged, written in pieces or raised is in no line, file or tail."""
    canary, capture, lines = "canary-8c2f", folder(tmp_path), Lines()
    async with capture.open(At(), secrets=[Secret(canary)], tell=lines) as output:
        print("key", canary)
        print("can", end="")
        print("ary-", end="")
        print("8c2f")
        log.error("key %s", canary, extra={"key": canary})
        try:
            raise ValueError(canary)
        except ValueError:
            log.exception("failed")
        for byte in f"x{canary}y\n".encode():
            await output.write("stderr", bytes([byte]))
        await output.write("stdout", canary[:-1].encode())
    kept = (tmp_path / "run" / "report" / "fetch" / "1.log").read_text()
    assert "canary-8c2f" not in kept + output.tail + str(lines.told)
    assert ("stderr", "x<secret>y") in lines.told
    assert ("stdout", "<secret>") in lines.told
    assert "ValueError: <secret>" in kept


async def test_bytes_that_are_no_text_are_kept(tmp_path: Path) -> None:
    """A program that writes binary has it kept as it is, and told with what stands for bytes that are no text."""
    data, lines = bytes(range(256)) * 10, Lines()
    async with folder(tmp_path).open(At(), tell=lines) as output:
        await output.write("stdout", data)
    assert data == (tmp_path / "run" / "report" / "fetch" / "1.log").read_bytes()
    assert 11 == len(lines.texts)
    assert "\ufffd" in lines.texts[1]


async def test_a_task_that_says_nothing_leaves_nothing(tmp_path: Path) -> None:
    """Without output there is no file, and no folder."""
    async with assert_no_leaks(), folder(tmp_path).open(At(), tell=Lines()) as output:
        pass
    assert ([], "") == (list(tmp_path.iterdir()), output.tail)


async def test_the_end_alone_is_kept_in_memory() -> None:
    """Without a folder nothing is written, and however much is printed only the end stays."""
    async with Capture(prints=True).open(At()) as output:
        for number in range(20_000):
            print(f"line {number}")
        await output.write("stdout", b"x" * 100_000 + b"\nthe end")
        assert None is output.path
    assert 16 * 1024 == len(output.tail)
    assert output.tail.endswith("xxx\nthe end")


async def test_the_file_can_be_read_while_the_task_runs(tmp_path: Path) -> None:
    """What was printed is in the file soon, and does not wait for the end of the task."""
    capture = folder(tmp_path)
    async with capture.open(At()):
        print("begun")
        file = capture.file(At())
        assert file is not None
        with anyio.fail_after(5):
            while not file.exists() or "begun\n" != file.read_text():  # noqa: ASYNC110 (there is nothing to wait for)
                await anyio.sleep(0.001)


@pytest.mark.slow
async def test_who_writes_waits_for_who_is_told(tmp_path: Path) -> None:
    """A program that writes faster than its lines are told is made to wait: no line is lost, and none piles up."""
    told = 0
    ahead: list[int] = []

    async def slowly(stream: Stream, line: str) -> None:
        nonlocal told
        await anyio.lowlevel.checkpoint()
        told += 1

    async with folder(tmp_path).open(At(), tell=slowly) as output:
        for number in range(8):
            await output.write("stdout", b"%d\n" % number * 3000)
            ahead.append((number + 1) * 3000 - told)
    assert 24_000 == told
    assert max(ahead) <= 1024 * 1024 // 100 + 1


@pytest.mark.slow
@pytest.mark.blocking_ok("a print on the event loop is written there and then, once a lot is waiting")
async def test_what_is_printed_too_fast_is_left_out_of_the_lines_only(tmp_path: Path) -> None:
    """A print on the event loop cannot wait: what is too much is not told, how much is, and the file has everything."""
    lines = Lines()
    async with folder(tmp_path).open(At(), tell=lines):
        for number in range(40):
            print("x" * 1_000_000, number)
    left_out = lines.texts[-1]
    assert left_out.startswith("... ")
    assert "lines were left out here" in left_out
    assert 40 * 1_000_000 < (tmp_path / "run" / "report" / "fetch" / "1.log").stat().st_size
    assert sum(map(len, lines.texts)) < 20_000_000


@pytest.mark.slow
async def test_a_thread_that_prints_too_fast_waits(tmp_path: Path) -> None:
    """A thread waits while its lines are told, and loses none."""
    lines = Lines()

    async def slowly(stream: Stream, line: str) -> None:
        await anyio.sleep(0.0005)
        await lines(stream, line)

    def chatter() -> None:
        for number in range(60):
            print("x" * 500_000, number)

    async with folder(tmp_path).open(At(), tell=slowly):
        await anyio.to_thread.run_sync(chatter)
    assert 60 == sum(" " in line for line in lines.texts)
    assert not any("left out" in line for line in lines.texts)


@pytest.mark.slow
async def test_a_loop_that_waits_for_its_thread_is_not_waited_for(tmp_path: Path) -> None:
    """A task that blocks the event loop for a thread that prints goes on, after a second at most."""
    import contextvars

    lines = Lines()

    def chatter() -> None:
        for _ in range(60):
            print("x" * 500_000)

    async with folder(tmp_path).open(At(), tell=lines):
        thread = threading.Thread(target=contextvars.copy_context().run, args=[chatter])
        thread.start()
        thread.join()
    assert "left out" in lines.texts[-1]


@pytest.mark.blocking_ok("what is not captured is printed as it is without us")
async def test_a_print_after_the_end_goes_on(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A thread that outlives its task prints to the real standard output again, and writing to the output fails."""
    import contextvars

    async with folder(tmp_path).open(At(path=("other",))):  # so that the router stays
        async with folder(tmp_path).open(At()) as output:
            late = contextvars.copy_context()
            print("in time")
        late.run(print, "too late")
        with pytest.raises(anyio.ClosedResourceError):
            await output.write("stdout", b"too late")
    assert "too late\n" == capfd.readouterr().out
    assert "in time\n" == output.tail


async def test_captures_nest(tmp_path: Path) -> None:
    """Inside a capture another one takes over, and gives back."""
    async with folder(tmp_path).open(At(path=("outer",))) as outer:
        print("1")
        async with folder(tmp_path).open(At(path=("inner",))) as inner:
            assert inner is current_output()
            print("2")
        assert outer is current_output()
        print("3")
    assert ("1\n3\n", "2\n", None) == (outer.tail, inner.tail, current_output())


async def test_who_is_told_and_fails_ends_the_task(tmp_path: Path) -> None:
    """What `tell` raises is raised by the next write, or at the end; the file is whole all the same."""
    calls = 0

    async def fail(stream: Stream, line: str) -> None:
        nonlocal calls
        calls += 1
        raise LookupError("nobody is there")

    async with assert_no_leaks():
        with pytest.raises(LookupError, match="nobody is there"):
            async with folder(tmp_path).open(At(), tell=fail) as output:
                print("1")
                print("2")
        with pytest.raises(LookupError, match="nobody is there"):
            async with folder(tmp_path).open(At(path=("b",)), tell=fail) as output:
                while True:
                    await output.write("stdout", b"line\n" * 20_000)
        with pytest.raises(ZeroDivisionError) as caught:
            async with folder(tmp_path).open(At(path=("c",)), tell=fail):
                print("1")
                raise ZeroDivisionError
    assert ["its output was not kept or told in full: nobody is there"] == caught.value.__notes__
    assert 3 == calls
    assert "1\n2\n" == (tmp_path / "run" / "report" / "fetch" / "1.log").read_text()


async def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """A print does not fail because its file cannot be written; the end of the task does, and names task and file."""
    (tmp_path / "run").write_text("in the way")
    lines = Lines()
    async with assert_no_leaks():
        with pytest.raises(CaptureError, match=r"the output of task report/fetch cannot be kept in .*1\.log") as caught:
            async with folder(tmp_path).open(At(), tell=lines):
                print("1")
    assert "report/fetch" == caught.value.task
    assert ["1"] == lines.texts


async def test_odd_names_make_files_of_their_own(tmp_path: Path) -> None:
    """Tasks of any names have files below the folder of their run, each its own."""
    capture = folder(tmp_path)
    paths = [("..", "a"), ("a/b",), ("a", "b"), ("",), ("%",), (".",), ("x" * 300,), ("x" * 301,), ("\udc80\n\0",)]
    files = [capture.file(At(path=path)) for path in paths]
    files += [capture.file(At(attempt=2))]
    assert 10 == len(set(files))
    for path in paths:
        async with capture.open(At(path=path)):
            print("1")
    assert 9 == len(list((tmp_path / "run").rglob("1.log")))


async def test_a_run_has_one_pump() -> None:
    """The captures of a run share what tells their lines, nested runs included; nothing is left of it."""
    capture, lines = Capture(prints=True), Lines()
    outputs: list[TaskOutput] = []

    async def chatter() -> int:
        async with capture.open(At(), tell=lines) as output:
            print("line")
            outputs.append(output)
        return 1

    async def other() -> int:
        return await chatter()

    class Both(Node):
        first: int = dep(chatter)
        second: int = dep(other)

        async def __call__(self) -> None: ...

    async with assert_no_leaks():
        await Graph(Both).run(Both())
    assert ["line", "line"] == lines.texts
    first, second = (output._channel for output in outputs)
    assert first is not None
    assert second is not None
    assert first._pump is second._pump


@pytest.mark.slow
async def test_a_cancelled_task_leaves_nothing_behind(tmp_path: Path) -> None:
    """Wherever a captured task is cancelled, what it printed is in its file, and all is as it was."""
    import sys

    before = (sys.stdout, sys.stderr, logging.getLogRecordFactory())
    turn = 0

    async def task() -> None:
        nonlocal turn
        turn += 1
        place = At(path=(str(turn),))
        started = False
        try:
            async with folder(tmp_path).open(place, tell=Lines()) as output:
                started = True
                print("printed")
                await output.write("stdout", b"written\n")
                await anyio.lowlevel.checkpoint()
        finally:
            assert before == (sys.stdout, sys.stderr, logging.getLogRecordFactory())
            assert None is current_output()
            if started:
                assert (tmp_path / "run" / str(turn) / "1.log").read_text() in ("printed\nwritten\n", "printed\n")

    async with assert_no_leaks():
        assert (await sweep_cancellations(task))[-1].completed


@pytest.mark.slow
async def test_a_program_that_writes_much_takes_little_memory(tmp_path: Path) -> None:
    """A program that writes 128 MB has all of it kept, while memory stays small."""
    import tracemalloc

    async with folder(tmp_path).open(At(), secrets=["canary-8c2f"]) as output:

        async def take(chunk: bytes) -> None:
            await output.write("stdout", chunk)

        tracemalloc.start()
        try:
            await run_process(["sh", "-c", "yes 'a line of some length' | head -c 128M"], on_stdout=take)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert 128 * 1024 * 1024 == (tmp_path / "run" / "report" / "fetch" / "1.log").stat().st_size
    assert peak < 8 * 1024 * 1024
