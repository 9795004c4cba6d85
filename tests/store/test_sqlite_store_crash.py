"""The SQLite store and processes that die: whole appends, and locks that nobody is left with."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from pathlib import Path

import anyio
import pytest
from anyio.lowlevel import checkpoint

from dagflow.core.storage import Record
from dagflow.errors import CheckpointError, RunLocked
from dagflow.store.sqlite import SQLiteStore
from dagflow.store.sqlite.locks import LockFolder
from dagflow.store.sqlite.schema import connect
from store.sqlite_scripts import RUNNING, heard, program, records, tell


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


APPEND = """
async def main():
    async with store.open() as session:
        lease = await session.acquire("t")
        await session.append(lease, [Record(1, "one")], values={}, head=Head("G", "running"))
        with armed(die if sys.argv[2] == "intxn" else lambda *_: None):
            await session.append(
                lease, [Record(2, "two"), Record(3, "three")], values={"d": "x"}, head=Head("G", "complete")
            )
        die()

anyio.run(main)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("point", "count", "status"), [("intxn", 1, "running"), ("committed", 3, "complete")])
async def test_an_append_survives_a_kill_whole_or_not_at_all(point: str, count: int, status: str, path: Path) -> None:
    """Killed before the commit, an append never was; killed after it, all of it is there. The lease is free at once."""
    with program(APPEND, path, point) as process:
        assert -signal.SIGKILL == process.wait()
    async with SQLiteStore(path).open() as session:
        assert ["one", "two", "three"][:count] == [record.text for record in await session.read("t")]
        assert ({"d": "x"} if count == 3 else {}) == await session.read_values("t", ["d"])
        thread = await session.find("t")
        assert thread is not None
        assert (status, count, False) == (thread.status, thread.records, thread.leased)
        lease = await session.acquire("t")
        await session.append(lease, records(count + 1), values={}, head=RUNNING)


HOLD = """
async def main():
    async with store.open() as session:
        lease = await session.acquire("t")
        await session.append(lease, [Record(1, "one")], values={}, head=Head("G", "running"))
        descendant()
        sys.stdin.readline()
        say(await session.renew(lease))
        sys.stdin.readline()

def exec_child():
    say(subprocess.Popen(["sleep", "100"], close_fds=False, stdin=subprocess.DEVNULL).pid)

def forked_child():
    warnings.simplefilter("ignore")  # that there are threads: the child uses none
    child = os.fork()
    if child == 0:
        signal.pause()
    say(child)

descendant = {"none": lambda: say(0), "exec": exec_child, "fork": forked_child}[sys.argv[2]]
anyio.run(main)
"""


@pytest.mark.slow
@pytest.mark.parametrize("descendant", ["none", "exec", "fork"])
async def test_a_lock_dies_with_its_process_whatever_that_left_behind(descendant: str, path: Path) -> None:
    """A lease of a killed process is free at once, though a child that it started or forked lives on."""
    with program(HOLD, path, descendant) as process:
        child = int(heard(process))
        try:
            async with SQLiteStore(path).open() as session:
                assert ["one"] == [record.text for record in await session.read("t")]
                with pytest.raises(RunLocked, match="'t'"):
                    await session.acquire("t")
                with pytest.raises(RunLocked):
                    await session.delete("t")
                thread = await session.find("t")
                assert thread is not None
                assert thread.leased
                assert await session.cancel("t")
                tell(process, "was the request seen?")
                assert "True" == heard(process)
                process.kill()
                process.wait()
                thread = await session.find("t")
                assert thread is not None
                assert not thread.leased
                assert not await session.cancel("t")
                lease = await session.acquire("t")
                assert not await session.renew(lease)
                await session.append(lease, records(2), values={}, head=None)
        finally:
            if child:
                os.kill(child, signal.SIGKILL)


async def test_two_stores_in_a_process_exclude_each_other(path: Path) -> None:
    """Two stores on one file have one lease for each thread, by whatever name they know the file."""
    link = path.with_name("link.db")
    link.symlink_to(path)
    async with SQLiteStore(path).open() as first, SQLiteStore(link).open() as second:
        lease = await first.acquire("t")
        with pytest.raises(RunLocked):
            await second.acquire("t")
        with pytest.raises(RunLocked):
            await second.append(lease, records(1), values={}, head=RUNNING)
        assert await second.cancel("t")
        assert await first.renew(lease)
        await first.release(lease)
        await second.append(await second.acquire("t"), records(1), values={}, head=RUNNING)
        assert records(1) == list(await first.read("t"))


async def test_a_lease_that_is_lost_is_noticed(path: Path) -> None:
    """Where its lock file was removed, a lease is lost: nothing is written with it, and the next one is left alone."""
    locks = Path(f"{path}-locks")
    async with SQLiteStore(path).open() as first, SQLiteStore(path).open() as second:
        for use in ("renew", "append", "release"):
            lease = await first.acquire("t")
            shutil.rmtree(locks)
            other = await second.acquire("t")
            if use == "renew":
                with pytest.raises(RunLocked, match="lost"):
                    await first.renew(lease)
            elif use == "append":
                with pytest.raises(RunLocked, match="lost"):
                    await first.append(lease, records(1), values={}, head=RUNNING)
            await first.release(lease)
            assert not await second.renew(other)
            with pytest.raises(RunLocked):
                await first.acquire("t")
            await second.release(other)
            assert [] == os.listdir(locks)
        assert [] == list(await first.read("t"))


def test_a_lock_has_one_holder_while_its_file_comes_and_goes(tmp_path: Path) -> None:
    """However takers and givers meet, nobody locks a removed file beside the one who locks its successor."""
    folder = LockFolder(str(tmp_path / "locks"))
    inside: list[int] = []
    most: list[int] = []

    def work() -> None:
        for _ in range(300):
            lock = folder.take("t")
            if lock is not None:
                inside.append(1)
                most.append(len(inside))
                folder.is_locked("t")
                inside.pop()
                lock.release()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {1} == set(most)
    assert [] == os.listdir(folder.path)


RACE = """
async def main():
    async with store.open() as session:
        say("ready")
        for line in sys.stdin:
            try:
                lease = await session.acquire("t")
                say("won")
                sys.stdin.readline()
                await session.release(lease)
                say("released")
            except RunLocked:
                say("lost")

anyio.run(main, backend=sys.argv[2])
"""


@pytest.mark.slow
async def test_of_two_processes_one_gets_the_lease(path: Path, anyio_backend: str) -> None:
    """Whenever two processes ask for a free lease at once, exactly one has it."""
    with program(RACE, path, anyio_backend) as one, program(RACE, path, anyio_backend) as other:
        assert ["ready", "ready"] == [heard(one), heard(other)]
        for _ in range(50):
            tell(one, "acquire")
            tell(other, "acquire")
            outcome = {heard(one): one, heard(other): other}
            assert {"won", "lost"} == set(outcome)
            tell(outcome["won"], "release")
            assert "released" == heard(outcome["won"])


@pytest.mark.blocking_ok("it takes locks itself, where the store has a thread for it")
async def test_a_look_takes_no_lease_away(path: Path) -> None:
    """A lock that somebody has for a moment, to see whether it is free, does not make an attempt to lease fail."""
    folder = LockFolder(f"{path}-locks")
    async with SQLiteStore(path).open() as session, anyio.create_task_group() as tasks:
        for number in range(10):
            look = folder.take(f"t{number}")
            tasks.start_soon(session.acquire, f"t{number}")
            await checkpoint()
            await checkpoint()
            time.sleep(0.001)  # noqa: ASYNC251  # holds the loop up, so that the first attempt is made and no more
            assert look is not None
            look.release()


@pytest.mark.slow
def test_many_make_the_file_together(tmp_path: Path) -> None:
    """Whoever opens a new store at the same moment as others finds it made, and can write to it."""
    failures: list[BaseException] = []

    def work(path: Path, barrier: threading.Barrier) -> None:
        try:
            barrier.wait()
            connection = connect(str(path))
            connection.execute("INSERT INTO cancel_request VALUES (?)", (str(threading.get_ident()),))
            connection.close()
        except BaseException as error:
            failures.append(error)

    for number in range(20):
        barrier = threading.Barrier(6)
        path = tmp_path / f"{number}.db"
        threads = [threading.Thread(target=work, args=(path, barrier)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [] == failures


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["cut", "garbled"])
async def test_a_damaged_end_of_the_log_costs_its_last_appends_at_most(damage: str, path: Path) -> None:
    """Whatever is wrong with the last bytes that were written, what is read is a prefix of what was."""
    wrote = [Record(number, str(number) * 40) for number in range(1, 7)]
    async with SQLiteStore(path).open() as session:
        lease = await session.acquire("t")
        for record in wrote:
            await session.append(lease, [record], values={}, head=RUNNING)
        data, log = path.read_bytes(), Path(f"{path}-wal").read_bytes()
    counts = set()
    for number in range(201):
        copy = path.with_name(f"{number}.db")
        copy.write_bytes(data)
        damaged = log[: len(log) - number]
        if damage == "garbled" and number:
            damaged += bytes([log[-number] ^ 0x10]) + log[len(log) - number + 1 :]
        Path(f"{copy}-wal").write_bytes(damaged)
        try:
            async with SQLiteStore(copy).open() as session:
                read = list(await session.read("t"))
        except CheckpointError:
            read = []
        assert wrote[: len(read)] == read
        counts.add(len(read))
    assert {5, 6} == counts
