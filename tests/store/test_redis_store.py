"""The Redis store: what it leaves in the server, how its leases and threads end, and what it says of a server."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
import trustme
from coredis import Redis

from dagflow.core.storage import Head, Lease, Record, Session
from dagflow.errors import CheckpointError, RunLocked
from dagflow.kernel.fault_points import armed
from dagflow.store.redis import RedisStore
from dagflow.testing.redis_server import RedisServer

PASSWORD = "canary/in:a coal@mine?#%"
RUNNING = Head("outfits", "running")

SAME_MOMENT = """
for _, id in ipairs(ARGV) do
    redis.call('HSET', KEYS[1] .. 'thread:' .. id, 'created', '1700000000.5')
    redis.call('ZADD', KEYS[1] .. 'threads', '-1700000000.5', id)
end
"""

needs_server = pytest.mark.skipif(RedisServer.missing() is not None, reason=str(RedisServer.missing()))


@asynccontextmanager
async def client_of(url: str) -> AsyncGenerator[Redis[bytes]]:
    """A client beside the store."""
    async with Redis.from_url(url, decode_components=True) as client:
        yield client


async def keys_of(url: str, prefix: str = "") -> list[str]:
    """The keys of a server that begin with a prefix."""
    async with client_of(url) as client:
        return sorted(key.decode() for key in await client.keys("*") if key.decode().startswith(prefix))


async def add(session: Session, lease: Lease, *seqs: int, **values: str) -> None:
    await session.append(
        lease, [Record(seq, f"record {seq}") for seq in seqs], values=values, head=RUNNING if 1 in seqs else None
    )


async def numbers(session: Session, thread_id: str) -> list[int]:
    records = await session.read(thread_id)
    assert [f"record {record.seq}" for record in records] == [record.text for record in records]
    return [record.seq for record in records]


async def until_gone(url: str, keys: Sequence[str]) -> None:
    """Wait until keys have expired."""
    async with client_of(url) as client:
        with anyio.fail_after(20):
            while await client.exists(keys):  # noqa: ASYNC110 (the server tells nobody)
                await anyio.sleep(0.01)


@needs_server
async def test_all_keys_have_the_prefix_and_none_is_left() -> None:
    """A store touches no key but those below its prefix, and a deleted thread leaves none."""
    with RedisServer(aof="everysec") as server:
        async with RedisStore(server.url, prefix="my runs:").open() as session:
            lease = await session.acquire("t")
            await add(session, lease, 1, 2, digest="text")
            await session.cancel("t")
            expected = [f"my runs:{kind}" for kind in ("lease:t", "records:t", "thread:t", "threads", "values:t")]
            assert expected == await keys_of(server.url)
            await session.release(lease)
            assert await session.delete("t")
            assert not await session.delete("t")
            assert [] == await keys_of(server.url)


@pytest.mark.parametrize("thread_id", ["a b", "{a}b{c", "a:records:b", "*[a-z]?", "Ünïcode 🦔", "a%20b\\'\"", "-1"])
async def test_any_thread_id_is_kept_apart(redis_store: RedisStore, thread_id: str) -> None:
    """A thread is found under its id, whatever that looks like, and under no other."""
    async with redis_store.open() as session:
        for number, name in enumerate((thread_id, thread_id + ":", "records:" + thread_id), 1):
            lease = await session.acquire(name)
            await add(session, lease, *range(1, number + 1))
            await session.release(lease)
        assert [1] == await numbers(session, thread_id)
        found = await session.find(thread_id)
        assert found is not None
        assert (thread_id, 1) == (found.thread_id, found.records)
        assert await session.delete(thread_id)
        assert 2 == len((await session.list()).threads)


@pytest.mark.slow
async def test_a_value_of_five_megabytes(redis_store: RedisStore) -> None:
    """Large values are kept as they are."""
    text = "0123456789abcde\n" * (5 * 1024 * 1024 // 16)
    async with redis_store.open() as session:
        lease = await session.acquire("t")
        await add(session, lease, 1, digest=text)
        found = await session.read_values("t", ["digest", "other"])
    assert found == {"digest": text}, "another text came back"


async def test_a_value_is_written_once(redis_store: RedisStore) -> None:
    """A value that the thread has already is left as it is."""
    async with redis_store.open() as session:
        lease = await session.acquire("t")
        await add(session, lease, 1, digest="first")
        await add(session, lease, 2, digest="second", other="other")
        assert {"digest": "first", "other": "other"} == await session.read_values("t", ["digest", "other"])


@pytest.mark.slow
async def test_more_records_than_are_read_at_a_time(redis_store: RedisStore) -> None:
    """Thousands of records and hundreds of values are appended at once, and read in parts that fit together."""
    digests = {f"d{number}": f"text {number}" for number in range(250)}
    async with redis_store.open() as session:
        lease = await session.acquire("t")
        await add(session, lease, *range(1, 2501), **digests)
        assert list(range(1, 2501)) == await numbers(session, "t")
        assert [999, 1000, 1001] == [record.seq for record in await session.read("t", after=998, limit=3)]
        assert 2000 == len(await session.read("t", limit=2000))
        assert digests == await session.read_values("t", digests)


@pytest.mark.slow
async def test_threads_of_one_moment_are_listed_by_id(redis_store: RedisStore, redis_url: str) -> None:
    """Where more threads than are looked at a time have one time of creation, pages go on by id."""
    names = sorted(f"{sign}{number}" for number in range(45) for sign in "aB_é🦔")
    async with redis_store.open() as session:

        async def begin(name: str) -> None:
            await add(session, await session.acquire(name), 1)

        async with anyio.create_task_group() as tasks:
            for name in names:
                tasks.start_soon(begin, name)
        prefix = redis_store._terms.keys.prefix
        async with client_of(redis_url) as client:
            await client.eval(SAME_MOMENT, [prefix], names)
        found: list[str] = []
        cursor = None
        while True:
            page = await session.list(limit=120, cursor=cursor)
            found += [thread.thread_id for thread in page.threads]
            cursor = page.cursor
            if cursor is None:
                break
    assert names == found


@pytest.mark.slow
async def test_a_lease_that_was_taken_over_is_lost(redis_url: str, redis_prefix: str) -> None:
    """Who does not renew loses the lease; once another has written, nothing more is written with it."""
    store = RedisStore(redis_url, prefix=redis_prefix, lease=0.1)
    async with store.open() as one, store.open() as other:
        stale = await one.acquire("t")
        await add(one, stale, 1)
        await until_gone(redis_url, [f"{redis_prefix}lease:t"])
        lease = await other.acquire("t")
        with pytest.raises(RunLocked):
            await add(one, stale, 2)
        await add(other, lease, 2)
        for _ in range(2):
            with pytest.raises(RunLocked):
                await add(one, stale, 3)
            with pytest.raises(RunLocked):
                await one.renew(stale)
            await other.release(lease)
        assert [1, 2] == await numbers(other, "t")


@pytest.mark.slow
async def test_a_lease_that_nobody_took_over_goes_on(redis_url: str, redis_prefix: str) -> None:
    """A lease that expired while its owner stood still is taken again, by an append or a renewal."""
    store = RedisStore(redis_url, prefix=redis_prefix, lease=0.1)
    gone = [f"{redis_prefix}lease:t"]
    async with store.open() as session:
        lease = await session.acquire("t")
        await until_gone(redis_url, gone)
        await add(session, lease, 1)
        await until_gone(redis_url, gone)
        assert not await session.renew(lease)
        with pytest.raises(RunLocked):
            await session.acquire("t")
        await until_gone(redis_url, gone)
        await add(session, lease, 1)  # again: it is there already
        await add(session, lease, 2)
        await session.release(lease)
        with pytest.raises(RunLocked):
            await session.renew(lease)
        with pytest.raises(RunLocked):
            await add(session, lease, 3)
        assert [1, 2] == await numbers(session, "t")


async def test_a_session_gives_its_leases_back(redis_store: RedisStore) -> None:
    """A lease ends with its session, and that session's late calls write nothing."""
    async with redis_store.open() as session:
        lease = await session.acquire("t")
        await add(session, lease, 1)
    async with redis_store.open() as other:
        await other.release(await other.acquire("t"))
    with pytest.raises(CheckpointError, match="closed"):
        await add(session, lease, 2)


@pytest.mark.slow
async def test_threads_expire_with_all_their_keys(redis_url: str, redis_prefix: str) -> None:
    """With a ttl nothing of a thread is left in the server when its time has come, neither lease nor listing."""
    store = RedisStore(redis_url, prefix=redis_prefix, ttl=2, lease=1.5)  # room for a busy machine
    async with store.open() as session:
        lease = await session.acquire("t")
        await add(session, lease, 1, digest="text")
        for _ in range(10):  # while somebody holds the lease the thread stays
            await anyio.sleep(0.25)
            await session.renew(lease)
        assert [1] == await numbers(session, "t")
        await add(session, lease, 2)
        await session.release(lease)
        assert [1, 2] == await numbers(session, "t")
        abandoned = await session.acquire("u")
        await add(session, abandoned, 1)
        session._bases.clear()  # type: ignore[attr-defined]  # as if its process had died
    threads = [f"{redis_prefix}{kind}:{name}" for kind in ("records", "thread", "values", "lease") for name in "tu"]
    await until_gone(redis_url, threads)
    assert [f"{redis_prefix}threads"] == await keys_of(redis_url, redis_prefix)
    async with store.open() as session:
        assert [] == await keys_of(redis_url, redis_prefix), "opening the store tidies the listing"
        assert () == (await session.list()).threads
        assert await session.find("t") is None


async def test_a_thread_is_kept_as_the_last_store_says(redis_url: str, redis_prefix: str) -> None:
    """A thread that a store with a ttl wrote stays for ever once one without has written to it."""
    async with RedisStore(redis_url, prefix=redis_prefix, ttl=1000).open() as session:
        lease = await session.acquire("t")
        await add(session, lease, 1, digest="text")
        await session.release(lease)
    async with client_of(redis_url) as client:
        assert 0 < await client.pttl(f"{redis_prefix}values:t") <= 1000_000
        async with RedisStore(redis_url, prefix=redis_prefix).open() as session:
            lease = await session.acquire("t")
            await add(session, lease, 2)
        left = [await client.pttl(f"{redis_prefix}{kind}:t") for kind in ("records", "thread", "values")]
    assert [-1, -1, -1] == left


@needs_server
async def test_a_server_that_keeps_nothing_is_told_of_once() -> None:
    """Without any persistence the first opening of a store object warns, and says what to set."""
    with RedisServer(aof=None) as server:
        store = RedisStore(server.url)
        with pytest.warns(RuntimeWarning, match="keeps nothing on disk: a restart loses every run; set appendonly yes"):
            async with store.open():
                pass
        async with store.open():  # warnings are errors
            pass


@needs_server
@pytest.mark.parametrize("how", ["everysec", "snapshots", "config denied"])
async def test_other_servers_give_no_warning(how: str) -> None:
    """A log or snapshots are enough for silence, and so is a server that does not tell."""
    settings = {"save": "3600 1"} if how == "snapshots" else {}
    with RedisServer(aof="everysec" if how == "everysec" else None, settings=settings) as server:
        if how == "config denied":
            async with client_of(server.url) as client:
                await client.acl_setuser("default", "-config")
        async with RedisStore(server.url).open() as session:
            assert await session.find("t") is None


@pytest.mark.parametrize("url", ["unix:///tmp/dagflow-no-such.sock", "redis://user:hunter2@127.0.0.1:1/3"])
async def test_nobody_listens(url: str) -> None:
    """A server that is not there is told at once, with its address and what to do."""
    with anyio.fail_after(5), pytest.raises(CheckpointError) as caught:
        async with RedisStore(url).open():
            pass
    assert f"cannot reach Redis at {url.replace('user:hunter2@', '')}: " in str(caught.value)
    assert str(caught.value).endswith("; start it, or check the URL")


@needs_server
@pytest.mark.slow
async def test_a_password_is_shown_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    """With and without the right password, neither messages nor logs nor representations have it."""
    caplog.set_level(logging.DEBUG)
    with RedisServer(password=PASSWORD, tcp=True) as server:
        shown: list[Any] = []
        without = (f"unix://{server.socket}", f"redis://127.0.0.1:{server.port}")
        for url, other in zip((server.url, server.tcp_url), without, strict=True):
            store = RedisStore(url)
            async with store.open() as session:
                assert not await session.delete("t")
                shown += [store, session, vars(store)]
                await server_restarted(server, session)
            for wrong, told in ((url.replace("canary", "wrong"), "user name and the password"), (other, "asks for")):
                store = RedisStore(wrong)
                with pytest.raises(CheckpointError, match=told) as caught:
                    async with store.open():
                        pass
                shown += [caught.value, *chain_of(caught.value)]
    text = " ".join([repr(shown), *map(str, shown), caplog.text])
    assert "coal" not in text
    assert "mine" not in text


async def server_restarted(server: RedisServer, session: Session) -> None:
    server.restart()
    assert await session.find("t") is None


def chain_of(error: BaseException | None) -> list[str]:
    lines: list[str] = []
    while error is not None:
        lines += [str(error), repr(error)]
        error = error.__cause__ or error.__context__
    return lines


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost/canary",
        "redis://:can/ary@localhost/0",
        "redis://:can#ary@localhost/0",
        "redis://:can?ary@localhost/0",
        "redis://:1/canary@localhost/0",
        "redis://localhost:canary/0",
        "redis://localhost/0/canary",
        "redis://localhost/canary",
        "redis:///0",
        "unix://canary/redis.sock",
        "unix:///redis.sock?db=canary",
        "unix:///redis.sock?canary=1",
    ],
)
def test_a_url_that_cannot_be_is_refused(url: str) -> None:
    """What is no URL of a Redis is refused when the store is made, without a word of what may be its password."""
    with pytest.raises(ValueError) as caught:
        RedisStore(url)
    told = str(caught.value) + repr(caught.value.__cause__)
    assert not any(part in told for part in ("can/ary", "can#", "can?", "canary", "ary"))


@pytest.mark.parametrize(
    "arguments", [{"lease": 0}, {"timeout": -1.0}, {"ttl": 0}, {"ttl": float("nan")}, {"retry": -1}], ids=str
)
def test_a_time_that_cannot_be_is_refused(arguments: dict[str, Any]) -> None:
    """Durations that make no sense are refused when the store is made, by name."""
    with pytest.raises(ValueError, match=f"{next(iter(arguments))} must be"):
        RedisStore(**arguments)


def test_a_store_says_where_it_is() -> None:
    """A store shows its server and prefix, and neither user nor password."""
    store = RedisStore("rediss://ann:canary@[::1]:7000/2", prefix="p:")
    assert "RedisStore('rediss://[::1]:7000/2', prefix='p:')" == repr(store)
    assert "RedisStore('redis://localhost:6379/0', prefix='dagflow:')" == repr(RedisStore())


@pytest.mark.slow
def test_the_extra_is_named() -> None:
    """Without coredis the store cannot be made, and says what to install; its module can be imported."""
    code = "import sys; sys.modules['coredis'] = None; from dagflow.store.redis import RedisStore; RedisStore()"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "ImportError: RedisStore needs coredis: pip install 'dagflow[redis]'" in told.stderr


async def test_what_a_block_raises_comes_out_as_it_is(redis_store: RedisStore) -> None:
    """Errors of the block are neither wrapped nor unwrapped, whatever they are."""
    for error in (KeyError("x"), ExceptionGroup("two", [KeyError("x")]), KeyboardInterrupt()):
        with pytest.raises(type(error)) as caught:
            async with redis_store.open():
                raise error
        assert error is caught.value


async def test_a_fault_before_the_append_is_sent_writes_nothing(redis_store: RedisStore) -> None:
    """What a fault point raises comes out of `append`, and the thread is as it was."""

    def fail(point: str, what: str) -> None:
        raise OSError(f"{point} {what}")

    async with redis_store.open() as session:
        lease = await session.acquire("t")
        with armed(fail), pytest.raises(OSError, match="intxn t"):
            await add(session, lease, 1)
        assert [] == await numbers(session, "t")
        await add(session, lease, 1)


@needs_server
@pytest.mark.slow
async def test_certificates_are_checked(tmp_path: Path) -> None:
    """Over TLS a server needs a certificate that is trusted and has its name, unless the URL says otherwise."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    certificate = authority.issue_cert("localhost")
    certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    files = {name: str(tmp_path / "server.pem") for name in ("tls-cert-file", "tls-key-file")}
    settings = {"tls-port": str(port), "tls-auth-clients": "no", "tls-ca-cert-file": str(tmp_path / "ca.pem"), **files}
    with RedisServer(settings=settings):
        for url in (
            f"rediss://localhost:{port}/0?ssl_ca_certs={tmp_path / 'ca.pem'}",
            f"rediss://127.0.0.1:{port}/0?ssl_cert_reqs=none",
        ):
            async with RedisStore(url).open() as session:
                assert await session.find("t") is None
        for url in (f"rediss://localhost:{port}/0", f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={tmp_path / 'ca.pem'}"):
            with pytest.raises(CheckpointError, match="certificate verify failed"):
                async with RedisStore(url).open():
                    pass


@needs_server
async def test_full_memory_is_told_and_nothing_is_written() -> None:
    """A server without memory refuses an append as a whole; when it has some again, the same append succeeds."""
    with RedisServer() as server:
        async with client_of(server.url) as client, RedisStore(server.url).open() as session:
            lease = await session.acquire("t")
            await add(session, lease, 1)
            await client.config_set({"maxmemory": "1"})
            with pytest.raises(CheckpointError, match="memory is full: raise its maxmemory") as caught:
                await add(session, lease, 2, digest="text")
            assert "t" == caught.value.thread_id
            assert "user_script" not in str(caught.value)
            await client.config_set({"maxmemory": "0"})
            assert ([1], {}) == (await numbers(session, "t"), await session.read_values("t", ["digest"]))
            await add(session, lease, 2, digest="text")
            assert [1, 2] == await numbers(session, "t")


@needs_server
async def test_a_replica_is_told() -> None:
    """A server that may not be written says so."""
    with RedisServer() as server:
        async with client_of(server.url) as client, RedisStore(server.url, retry=0).open() as session:
            await client.replicaof("127.0.0.1", 1)
            with pytest.raises(CheckpointError, match="it is a replica"):
                await session.acquire("t")


@needs_server
async def test_a_full_disk_is_told(tmp_path: Path) -> None:
    """A server that cannot take its snapshots refuses an append as a whole, and says where to look."""
    folder = tmp_path / "data"
    folder.mkdir()
    with RedisServer(folder, aof=None, settings={"save": "3600 1000000"}) as server:
        async with client_of(server.url) as client, RedisStore(server.url).open() as session:
            lease = await session.acquire("t")
            for path in folder.iterdir():
                path.unlink()
            folder.rmdir()
            await client.bgsave()
            with anyio.fail_after(10):
                while (await client.info("persistence"))["rdb_last_bgsave_status"] == "ok":  # noqa: ASYNC110
                    await anyio.sleep(0.01)
            with pytest.raises(CheckpointError, match="cannot write to its disk"):
                await add(session, lease, 1)
            assert [] == await numbers(session, "t")


async def test_keys_of_another_application_are_told(redis_store: RedisStore, redis_url: str) -> None:
    """Where something else has a thread's keys, the error says to choose another prefix."""
    async with client_of(redis_url) as client, redis_store.open() as session:
        await client.set(f"{redis_store._terms.keys.prefix}records:t", "something else")
        with pytest.raises(CheckpointError, match="choose another"):
            await session.read("t")


async def test_scripts_that_the_server_forgot_are_sent_again(redis_store: RedisStore, redis_url: str) -> None:
    """A server that was restarted, or told to forget its scripts, gets them again."""
    async with client_of(redis_url) as client, redis_store.open() as session:
        lease = await session.acquire("t")
        for seq in (1, 2, 3):
            await client.script_flush()
            await add(session, lease, seq)
        assert [1, 2, 3] == await numbers(session, "t")
