"""The Redis store where servers die, stall and forget to answer: nothing that was reported is lost or doubled."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import pytest
from anyio.abc import ByteStream, SocketStream
from coredis import Redis

from dagflow.core.storage import Head, Lease, Record, Session
from dagflow.errors import CheckpointError, RunLocked
from dagflow.store.redis import RedisStore
from dagflow.testing.leaks import assert_no_leaks
from dagflow.testing.redis_server import RedisServer

pytestmark = pytest.mark.skipif(RedisServer.missing() is not None, reason=str(RedisServer.missing()))

RUNNING = Head("outfits", "running")


async def add(session: Session, lease: Lease, *seqs: int) -> None:
    await session.append(
        lease,
        [Record(seq, f"record {seq}") for seq in seqs],
        values={f"digest {seqs[0]}": "text"},
        head=RUNNING if 1 in seqs else None,
    )


async def check(session: Session, count: int) -> None:
    """Check that a thread has so many records, in order, each once."""
    expected = [Record(seq, f"record {seq}") for seq in range(1, count + 1)]
    assert expected == list(await session.read("t"))


async def append_during(session: Session, disturb: Callable[[], Awaitable[None]]) -> None:
    """Append one record after the other while something happens, and check that each is there, once."""
    lease = await session.acquire("t")
    appended = 0
    over = False

    async def append() -> None:
        nonlocal appended
        while not over:
            await add(session, lease, appended + 1)
            appended += 1
            assert not await session.renew(lease)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(append)
        await disturb()
        seen = appended
        with anyio.fail_after(20):
            while appended < seen + 3:  # noqa: ASYNC110
                await anyio.sleep(0.001)
        over = True
    await check(session, appended)


@pytest.mark.slow
async def test_a_server_that_is_killed_loses_nothing() -> None:
    """Through ten crashes of the server in mid-append, every reported record is there, in order, once."""
    chance = random.Random(20)
    with RedisServer() as server:

        async def disturb() -> None:
            for _ in range(10):
                await anyio.sleep(chance.uniform(0.001, 0.03))
                server.kill()
                server.start()

        async with RedisStore(server.url, retry=30).open() as session:
            await append_during(session, disturb)


@pytest.mark.slow
async def test_connections_that_are_cut_lose_nothing(redis_url: str, redis_prefix: str) -> None:
    """Through many cuts of the connection in mid-append, every record is there once, and no error is seen."""
    chance = random.Random(21)

    async def disturb() -> None:
        async with Redis.from_url(redis_url) as client:
            for _ in range(30):
                await anyio.sleep(chance.uniform(0, 0.005))
                for other in await client.client_list():
                    if other["id"] != await client.client_id():
                        with suppress(Exception):  # it has gone by itself
                            await client.client_kill(identifier=int(other["id"]))

    async with RedisStore(redis_url, prefix=redis_prefix).open() as session:
        await append_during(session, disturb)


@pytest.mark.slow
@pytest.mark.parametrize("timeout", [0.2, 10.0], ids=["tried again", "waited for"])
async def test_a_server_that_stalls_is_waited_for(timeout: float) -> None:
    """A server that stands still for a while does no harm, whether its silence passes the timeout or not."""
    with RedisServer() as server:
        async with RedisStore(server.url, timeout=timeout).open() as session:
            lease = await session.acquire("t")
            await add(session, lease, 1)
            server.stall(1.5)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(add, session, lease, 2, 3)
                tasks.start_soon(session.find, "t")
                tasks.start_soon(session.list)
            assert not await session.renew(lease)
            await add(session, lease, 4)
            await check(session, 4)


@pytest.mark.slow
async def test_a_server_that_stays_stalled_is_given_up() -> None:
    """After `retry` seconds a method says that the server does not answer, and works again once it does."""
    with RedisServer() as server:
        store = RedisStore(server.url, timeout=0.05, retry=0.2)
        async with store.open() as session:
            lease = await session.acquire("t")
            await add(session, lease, 1)
            server.pause()
            with pytest.raises(
                CheckpointError, match="cannot reach Redis at unix:.* for thread 't': no answer in time"
            ):
                await add(session, lease, 2)
            with pytest.raises(CheckpointError, match="no answer in time"):
                async with store.open():
                    pass
            server.resume()
            await add(session, lease, 2)
            await check(session, 2)


@pytest.mark.slow
async def test_cancellation_is_bounded_while_the_server_stalls() -> None:
    """A cancelled append waits for its reply no longer than the timeout; it is whole or nothing, and can be made again.

    So is the end of the session, which cannot give its lease back.
    """
    with RedisServer() as server:
        async with RedisStore(server.url).open() as other:
            async with assert_no_leaks(), RedisStore(server.url, timeout=0.2, lease=0.5).open() as session:
                lease = await session.acquire("t")
                await add(session, lease, 1)
                server.pause()
                with anyio.fail_after(2), anyio.move_on_after(0.05) as scope:
                    await add(session, lease, 2)
                assert scope.cancelled_caught
                server.resume()
                await add(session, lease, 2)
                await check(session, 2)
                with anyio.move_on_after(2) as scope:
                    async with RedisStore(server.url, timeout=0.2).open() as third:
                        await third.acquire("u")
                        server.pause()
                assert not scope.cancelled_caught
                server.resume()
            await check(other, 2)


@pytest.mark.slow
async def test_a_restart_is_survived_where_it_is_short() -> None:
    """A command waits for a server that is being restarted, and gives up when `retry` seconds have passed."""
    with RedisServer() as server:
        async with RedisStore(server.url, retry=0.3, lease=60).open() as session:
            lease = await session.acquire("t")
            await add(session, lease, 1)
            server.stop()
            with pytest.raises(CheckpointError, match="No such file or directory; start it, or check the URL"):
                await add(session, lease, 2)
            server.start()
            await add(session, lease, 2)
            server.restart()
            await add(session, lease, 3)
            await check(session, 3)


async def test_a_lease_survives_a_restart() -> None:
    """A lease is kept on the disk as well: a restart of the server gives it to nobody else."""
    with RedisServer() as server:
        async with RedisStore(server.url).open() as session, RedisStore(server.url).open() as other:
            lease = await session.acquire("t")
            server.kill()
            server.start()
            with pytest.raises(RunLocked):
                await other.acquire("t")
            assert not await session.renew(lease)


class Proxy:
    """Stands between a store and its server: passes everything on, and spoils the next reply when it is told to."""

    def __init__(self, path: Path, server: RedisServer) -> None:
        self.url = f"unix://{path}"
        self.spoil: Callable[[ByteStream, bytes], Awaitable[None]] | None = None
        self.spoilt = 0
        self._path = path
        self._server = server

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[None]:
        async with await anyio.create_unix_listener(self._path) as listener, anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, self._serve)
            yield
            tasks.cancel_scope.cancel()

    async def _serve(self, client: SocketStream) -> None:
        with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):
            async with (
                client,
                await anyio.connect_unix(self._server.socket) as server,
                anyio.create_task_group() as both,
            ):
                both.start_soon(self._requests, client, server)
                async for data in server:
                    if self.spoil is None:
                        await client.send(data)
                    else:
                        spoil, self.spoil = self.spoil, None
                        self.spoilt += 1
                        await spoil(client, data)
                both.cancel_scope.cancel()

    async def _requests(self, client: SocketStream, server: SocketStream) -> None:
        with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):
            async for data in client:
                await server.send(data)
        await server.aclose()


async def cut_off(client: ByteStream, reply: bytes) -> None:
    await client.aclose()


async def cut_in_two(client: ByteStream, reply: bytes) -> None:
    await client.send(reply[: len(reply) // 2])
    await client.aclose()


async def too_late(client: ByteStream, reply: bytes) -> None:
    await anyio.sleep(0.15)
    with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
        await client.send(reply)


SPOILS = {"lost": cut_off, "torn": cut_in_two, "late": too_late}


@asynccontextmanager
async def spoiling(path: Path) -> AsyncGenerator[tuple[Proxy, Session]]:
    """A session whose replies can be spoilt."""
    with RedisServer() as server:
        proxy = Proxy(path / "proxy.sock", server)
        async with proxy.open(), RedisStore(proxy.url, timeout=0.1).open() as session:
            yield proxy, session


@pytest.fixture
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a short name, for a socket."""
    return tmp_path_factory.mktemp("p")


@pytest.mark.slow
@pytest.mark.parametrize("spoil", SPOILS)
async def test_an_append_whose_reply_is_lost_is_there_once(path: Path, spoil: str) -> None:
    """An append that was carried out and not answered is asked again, recognised, and reported as done."""
    async with spoiling(path) as (proxy, session):
        lease = await session.acquire("t")
        for first in (1, 4, 7):
            proxy.spoil = SPOILS[spoil]
            await add(session, lease, first, first + 1, first + 2)
        assert 3 == proxy.spoilt
        await check(session, 9)
        summary = await session.find("t")
        assert summary is not None
        assert ("outfits", 9, True) == (summary.graph, summary.records, summary.leased)


@pytest.mark.slow
@pytest.mark.parametrize("spoil", SPOILS)
async def test_every_method_survives_a_lost_reply(path: Path, spoil: str) -> None:
    """Each method gives its own result, and not an error or another's reply, where its first reply did not come."""
    async with spoiling(path) as (proxy, session):

        def spoilt(call: Awaitable[object]) -> Awaitable[object]:
            proxy.spoil = SPOILS[spoil]
            return call

        lease = await spoilt(session.acquire("t"))
        assert isinstance(lease, Lease)
        await spoilt(add(session, lease, 1, 2))
        assert await spoilt(session.renew(lease)) is False
        assert await spoilt(session.cancel("t")) is True
        assert await spoilt(session.renew(lease)) is True
        assert (Record(2, "record 2"),) == await spoilt(session.read("t", after=1))
        assert {"digest 1": "text"} == await spoilt(session.read_values("t", ["digest 1"]))
        found = await spoilt(session.find("t"))
        page = await spoilt(session.list())
        assert (found,) == getattr(page, "threads", None)
        await spoilt(session.release(lease))
        with pytest.raises(RunLocked):
            await spoilt(session.renew(lease))
        proxy.spoil = SPOILS[spoil]
        await session.delete("t")  # it cannot know that it was itself
        assert await session.find("t") is None
        assert 12 == proxy.spoilt


@pytest.mark.slow
async def test_nobody_gets_the_reply_to_the_command_of_another(path: Path) -> None:
    """Tasks that share a session get their own replies, where some come late and some askers are cancelled."""
    async with spoiling(path) as (proxy, session):
        for number in range(8):
            lease = await session.acquire(f"t{number}")
            await session.append(lease, [Record(1, f"of {number}")], values={}, head=RUNNING)

        async def ask(number: int, patience: float) -> None:
            with anyio.move_on_after(patience):
                assert (Record(1, f"of {number}"),) == await session.read(f"t{number}")

        for turn in range(5):
            proxy.spoil = too_late
            async with anyio.create_task_group() as tasks:
                for number in range(8):
                    tasks.start_soon(ask, number, 0.02 * turn if number % 2 else 10)
        assert 5 == proxy.spoilt


@pytest.mark.slow
async def test_an_append_that_arrives_late_changes_nothing() -> None:
    """What a stalled server carries out long after it was given up neither doubles a record nor takes a lease."""
    with RedisServer() as server:
        async with RedisStore(server.url, timeout=0.05, retry=0.1).open() as session:
            lease = await session.acquire("t")
            await add(session, lease, 1)
            server.pause()
            for use in (lambda: add(session, lease, 2), lambda: session.renew(lease), lambda: session.release(lease)):
                with pytest.raises(CheckpointError, match="no answer in time"):
                    await use()
            server.resume()
            await session.release(lease)
            with anyio.fail_after(5):
                while (summary := await session.find("t")) is None or summary.leased:  # noqa: ASYNC110
                    await anyio.sleep(0.005)
            assert summary.records in (1, 2)
            await check(session, summary.records)
