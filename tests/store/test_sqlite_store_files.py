"""Files that an SQLite store must not use or cannot use: refused or reported, and left as they are."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from dagflow.core.storage import Head
from dagflow.errors import CheckpointError
from dagflow.store.sqlite import SQLiteStore
from dagflow.store.sqlite.schema import APPLICATION_ID, MIGRATIONS
from dagflow.testing.leaks import assert_no_leaks
from store.sqlite_scripts import RUNNING, begin, heard, program, records


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


def execute(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def number(path: Path, query: str) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute(query).fetchone()[0])


async def refused(path: Path, match: str) -> CheckpointError:
    """Check that a store cannot be opened, leaves nothing open, and names the path."""
    async with assert_no_leaks():
        with pytest.raises(CheckpointError, match=match) as caught:
            async with SQLiteStore(path).open():
                raise AssertionError
    assert str(path) in str(caught.value)
    return caught.value


@pytest.mark.parametrize("content", ["none", "empty file", "version 0", "marked as ours"])
async def test_an_older_file_is_brought_to_our_version(content: str, path: Path) -> None:
    """An empty file or database becomes a store, with our mark and the newest version."""
    if content == "empty file":
        path.touch()
    elif content == "version 0":
        execute(path, "CREATE TABLE x (y)", "DROP TABLE x")
    elif content == "marked as ours":
        execute(path, f"PRAGMA application_id = {APPLICATION_ID}")
    async with SQLiteStore(path).open() as session:
        await begin(session, "t")
    assert APPLICATION_ID == number(path, "PRAGMA application_id")
    assert len(MIGRATIONS) == number(path, "PRAGMA user_version")
    assert b"dagf" == path.read_bytes()[68:72]


async def test_opening_waits_for_another_who_makes_the_file(path: Path) -> None:
    """While another process writes to a file that is no store yet, opening it waits, as any use of it does."""
    execute(path, "CREATE TABLE x (y)", "DROP TABLE x")

    async def work() -> None:
        async with SQLiteStore(path).open() as session:
            await begin(session, "t")

    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work)
            await anyio.sleep(0.02)
            other.execute("ROLLBACK")


@pytest.mark.parametrize(
    ("statements", "match"),
    [
        ([f"PRAGMA application_id = {APPLICATION_ID}", "PRAGMA user_version = 99"], "newer dagflow.*99.*upgrade"),
        (["CREATE TABLE users (name)"], "another application"),
        (["PRAGMA journal_mode = WAL", "CREATE TABLE users (name)"], "another application"),
        (["PRAGMA application_id = 7"], "another application"),
        (["PRAGMA user_version = 1"], "another application"),
    ],
)
async def test_a_database_that_is_not_ours_is_left_alone(statements: list[str], match: str, path: Path) -> None:
    """A newer schema and other applications' databases are refused, byte for byte as they were."""
    execute(path, *statements)
    before = path.read_bytes()
    await refused(path, match)
    assert before == path.read_bytes()
    assert ["runs.db"] == os.listdir(path.parent)


async def test_a_file_that_is_no_database_is_left_alone(path: Path) -> None:
    """Any other file is refused, and stays as it is."""
    path.write_text("Dear diary, " * 1000)
    error = await refused(path, "not a database.*another path")
    assert isinstance(error.__cause__, sqlite3.Error)
    assert "Dear diary, " * 1000 == path.read_text()
    assert ["runs.db"] == os.listdir(path.parent)


async def test_places_where_no_file_can_be_are_named(tmp_path: Path) -> None:
    """A folder, a device, a folder that is missing and one that takes no files are said as they are."""
    await refused(tmp_path, "is not a file")
    await refused(Path("/dev/full"), "is not a file")
    await refused(tmp_path / "missing" / "runs.db", "no folder .*missing; make it")
    await refused(Path(f"/proc/{os.getpid()}/runs.db"), "unable to open.*may be written")
    assert [] == os.listdir(tmp_path)


async def test_a_lock_folder_that_cannot_be_made_is_an_error(path: Path) -> None:
    """A file where the folder of the locks should be is reported with its name, and no lease is taken."""
    locks = path.with_name("runs.db-locks")
    locks.touch()
    async with SQLiteStore(path).open() as session:
        with pytest.raises(CheckpointError, match="runs.db-locks.*may be written") as caught:
            await session.acquire("t")
        assert "t" == caught.value.thread_id
        assert isinstance(caught.value.__cause__, OSError)
        locks.unlink()
        await session.acquire("t")


async def test_a_damaged_page_is_an_error_that_says_so(path: Path) -> None:
    """Bytes that were overwritten within the file are found, and reported with the path and what to do."""
    async with SQLiteStore(path).open() as session:
        await begin(session, "t", *range(1, 300))
    with path.open("r+b") as file:
        for page in range(4, os.path.getsize(path) // 4096):
            file.seek(page * 4096)
            file.write(b"\xff" * 100)
    async with SQLiteStore(path).open() as session:
        with pytest.raises(CheckpointError, match=r"runs\.db .*'t'.*malformed.*backup") as caught:
            await session.read("t")
    assert "t" == caught.value.thread_id
    assert isinstance(caught.value.__cause__, sqlite3.DatabaseError)


async def test_a_file_that_stays_locked_is_an_error_and_no_lease_is_taken(path: Path) -> None:
    """Another connection that does not let go is reported after a while; then everything works as before."""
    store = SQLiteStore(path)
    async with store.open() as session:
        lease = await session.acquire("t")
        store._database.connection.execute("PRAGMA busy_timeout = 20")  # rather than 5 s
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            with pytest.raises(CheckpointError, match="locked.*try again"):
                await session.append(lease, records(1), values={}, head=RUNNING)
            with pytest.raises(CheckpointError, match="locked.*try again"):
                await session.acquire("other")
            assert [] == list(await session.read("t"))
            connection.execute("ROLLBACK")
        await session.append(lease, records(1), values={}, head=RUNNING)
        await session.acquire("other")


FULL = """
import resource

async def main():
    async with store.open() as session:
        lease = await session.acquire("t")
        await session.append(lease, [Record(1, "one")], values={}, head=Head("G", "running"))
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, resource.RLIM_INFINITY))
        for _ in range(2):
            try:
                await session.append(lease, [Record(2, "x" * (1 << 21))], values={}, head=None)
            except CheckpointError as error:
                say(error)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        await session.append(lease, [Record(2, "two")], values={}, head=None)
        say(*[record.text for record in await session.read("t")])

anyio.run(main)
"""


@pytest.mark.slow
def test_a_file_that_cannot_grow_loses_nothing(path: Path) -> None:
    """An append for which there is no room fails whole; what was there is kept, and goes on once there is room."""
    with program(FULL, path) as process:
        for _ in range(2):
            assert "runs.db cannot be used for thread 't': disk I/O error; look after its disk" in heard(process)
        assert "one two" == heard(process)


READ_ONLY = """
async def main():
    async with store.open() as session:
        await session.acquire("t")

if sys.argv[2] == "0":
    from anyio._backends import _asyncio
    import concurrent.futures, encodings.idna, tempfile
    with tempfile.TemporaryDirectory() as folder:  # imports what would be in a folder of root's
        other = SQLiteStore(folder + "/runs.db")
        store, ours = other, store
        anyio.run(main)
        store = ours
    os.setuid(65534)
try:
    anyio.run(main)
except CheckpointError as error:
    say(error)
"""


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that other users can reach; pytest's are their owner's alone."""
    with tempfile.TemporaryDirectory(prefix="dagflow-", dir="/tmp") as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)
        os.chmod(folder, 0o755)


@pytest.mark.slow
async def test_a_folder_that_may_not_be_written_is_an_error(public_folder: Path) -> None:
    """A store that this user may read only is reported with its path and what to check."""
    path = public_folder / "runs.db"
    async with SQLiteStore(path).open() as session:
        await begin(session, "t")
    shutil.rmtree(f"{path}-locks")
    os.chmod(path, 0o444)
    os.chmod(public_folder, 0o555)
    with program(READ_ONLY, path, str(os.geteuid())) as process:
        line = heard(process)
    assert f"the store {path} cannot be used" in line
    assert "may be written by this user" in line


FORK = """
import traceback
from anyio.from_thread import start_blocking_portal

async def in_child():
    try:
        await old.read("t")
    except CheckpointError as error:
        say("closed" in str(error))
    async with store.open() as session:
        say((await session.find("t")).leased, len(await session.read("t")))
        try:
            await session.acquire("t")
        except RunLocked:
            say("locked")
        await session.append(await session.acquire("child"), [Record(1, "x")], values={}, head=Head("G", "running"))

with start_blocking_portal() as portal, portal.wrap_async_context_manager(store.open()) as old:
    lease = portal.call(old.acquire, "t")
    def append(number):
        portal.call(lambda: old.append(lease, [Record(number, "x")], values={}, head=Head("G", "running")))
    append(1)
    warnings.simplefilter("ignore")  # that there are threads: the store must work all the same
    child = os.fork()
    if child == 0:
        try:
            anyio.run(in_child, backend=sys.argv[2])
            os._exit(7)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    say(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    append(2)
    portal.call(old.release, lease)
"""


@pytest.mark.slow
async def test_a_forked_child_opens_the_store_anew(path: Path, anyio_backend: str) -> None:
    """A child uses neither the connection nor the leases of its parent, and the parent's go on."""
    with program(FORK, path, anyio_backend) as process:
        assert ["True", "True 1", "locked", "7"] == [heard(process) for _ in range(4)]
        assert 0 == process.wait()
    async with SQLiteStore(path).open() as session:
        assert [2, 1] == [len(await session.read(name)) for name in ("t", "child")]
        thread = await session.find("t")
        assert thread is not None
        assert Head("G", "running") == Head(thread.graph, thread.status)
