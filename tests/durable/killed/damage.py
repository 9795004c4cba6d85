"""Damage to what stores keep, done behind their backs: to the bytes of records and of values."""

from __future__ import annotations

import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from io import BufferedRWPair
from pathlib import Path
from typing import Protocol

import attrs

from dagflow.core.storage import Store
from dagflow.store.redis import RedisStore
from dagflow.store.sqlite import SQLiteStore
from dagflow.testing.redis_server import RedisServer

__all__ = ["Damageable", "RedisFiles", "SQLiteFiles"]


class Damageable(Protocol):
    """A store whose bytes can be read and written behind its back."""

    @property
    def store(self) -> Store:
        """The store, not yet opened."""
        ...

    def records(self, thread: str) -> list[bytes]:
        """Give the bytes of a thread's records."""
        ...

    def write_record(self, thread: str, seq: int, data: bytes) -> None:
        """Replace the bytes of a record."""
        ...

    def drop_record(self, thread: str, seq: int) -> None:
        """Remove a record."""
        ...

    def values(self, thread: str) -> dict[bytes, bytes]:
        """Give the bytes of a thread's values, by digest."""
        ...

    def write_value(self, thread: str, digest: bytes, data: bytes | None) -> None:
        """Replace the bytes of a value, or remove it."""
        ...


THREAD = "(SELECT number FROM thread WHERE thread_id = ?)"


@attrs.frozen
class SQLiteFiles:
    """An SQLite file, by way of the database's own library."""

    path: Path

    @property
    def store(self) -> Store:
        return SQLiteStore(self.path)

    def records(self, thread: str) -> list[bytes]:
        query = f"SELECT CAST(text AS BLOB) FROM record WHERE thread = {THREAD} ORDER BY seq"
        with self._connected() as connection:
            return [row[0] for row in connection.execute(query, (thread,))]

    def write_record(self, thread: str, seq: int, data: bytes) -> None:
        self._change(f"UPDATE record SET text = CAST(? AS TEXT) WHERE thread = {THREAD} AND seq = ?", data, thread, seq)

    def drop_record(self, thread: str, seq: int) -> None:
        self._change(f"DELETE FROM record WHERE thread = {THREAD} AND seq = ?", thread, seq)

    def values(self, thread: str) -> dict[bytes, bytes]:
        query = f"SELECT CAST(digest AS BLOB), CAST(text AS BLOB) FROM value WHERE thread = {THREAD}"
        with self._connected() as connection:
            return dict(connection.execute(query, (thread,)).fetchall())

    def write_value(self, thread: str, digest: bytes, data: bytes | None) -> None:
        where = f"WHERE thread = {THREAD} AND digest = ?"
        if data is None:
            self._change(f"DELETE FROM value {where}", thread, digest.decode())
        else:
            self._change(f"UPDATE value SET text = CAST(? AS TEXT) {where}", data, thread, digest.decode())

    def _change(self, statement: str, *parameters: object) -> None:
        with self._connected() as connection, connection:
            assert 1 == connection.execute(statement, parameters).rowcount

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.path)) as connection:
            yield connection


@attrs.frozen
class RedisFiles:
    """A Redis server's keys below a prefix, by way of its protocol."""

    server: RedisServer
    prefix: str

    @property
    def store(self) -> Store:
        return RedisStore(self.server.url, prefix=self.prefix)

    def records(self, thread: str) -> list[bytes]:
        return self._ask(b"LRANGE", self._key("records", thread), b"0", b"-1")

    def write_record(self, thread: str, seq: int, data: bytes) -> None:
        assert [b"OK"] == self._ask(b"LSET", self._key("records", thread), b"%d" % (seq - 1), data)

    def drop_record(self, thread: str, seq: int) -> None:
        key = self._key("records", thread)
        self._ask(b"LSET", key, b"%d" % (seq - 1), b"dropped")
        assert [b"1"] == self._ask(b"LREM", key, b"1", b"dropped")

    def values(self, thread: str) -> dict[bytes, bytes]:
        found = self._ask(b"HGETALL", self._key("values", thread))
        return dict(zip(found[::2], found[1::2], strict=True))

    def write_value(self, thread: str, digest: bytes, data: bytes | None) -> None:
        key = self._key("values", thread)
        if data is None:
            assert [b"1"] == self._ask(b"HDEL", key, digest)
        else:
            assert [b"0"] == self._ask(b"HSET", key, digest, data)

    def _key(self, kind: str, thread: str) -> bytes:
        return f"{self.prefix}{kind}:{thread}".encode()

    def _ask(self, *words: bytes) -> list[bytes]:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(self.server.socket)
            with connection.makefile("rwb") as stream:
                stream.write(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(w), w) for w in words))
                stream.flush()
                return _reply(stream)


def _reply(stream: BufferedRWPair) -> list[bytes]:
    """Read a reply of the server: what it says, or each item of a list."""
    kind, rest = stream.read(1), stream.readline()[:-2]
    if kind == b"*":
        return [item for _ in range(int(rest)) for item in _reply(stream)]
    return [stream.read(int(rest) + 2)[:-2]] if kind == b"$" else [rest]
