"""The stores that processes work with: by address, watched, and sabotaged."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import attrs

from dagflow.core.records import _checksum  # a lie must be sealed as the truth is
from dagflow.core.storage import Head, Lease, Record, Session, Store
from dagflow.store.redis import RedisStore
from dagflow.store.sqlite import SQLiteStore
from durable.killed.orders import Sabotage

__all__ = ["Altered", "Watch", "Watched", "open_address", "sabotages"]


def open_address(address: str, *, lease: float = 10.0) -> Store:
    """Make the store at an address: the path of an SQLite file, or a Redis URL."""
    return RedisStore(address, lease=lease) if "://" in address else SQLiteStore(address)


class Altered:
    """A store whose sessions are others than it gives."""

    def __init__(self, store: Store, alter: Callable[[Session], Any]) -> None:
        self._store = store
        self._alter = alter

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[Session]:
        """Open the store."""
        async with self._store.open() as session:
            yield cast(Session, self._alter(session))


class PassedOn:
    """A session that passes everything on."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)


@attrs.define(eq=False)
class Watch:
    """What is being written at the moment: the activations that the transaction has as complete."""

    began: Callable[[], None]
    ended: Callable[[], None]
    writing: frozenset[str] = frozenset()


class Watched(PassedOn):
    """A session that tells what it is writing."""

    def __init__(self, session: Session, watch: Watch) -> None:
        super().__init__(session)
        self._watch = watch

    async def append(
        self, lease: Lease, records: Sequence[Record], *, values: Mapping[str, str], head: Head | None
    ) -> None:
        self._watch.writing = frozenset(filter(None, map(_succeeded, records)))
        self._watch.began()
        await self._session.append(lease, records, values=values, head=head)
        self._watch.ended()
        self._watch.writing = frozenset()


def _succeeded(record: Record) -> str:
    fields = json.loads(record.text.rpartition(" ")[0])
    return str(fields["activation"]) if fields["kind"] == "NodeSucceeded" else ""


class AcknowledgesFirst(PassedOn):
    """Says that records are written and keeps them: until the next ones come, or for good."""

    def __init__(self, session: Session, *, writes: bool) -> None:
        super().__init__(session)
        self._writes = writes
        self._kept: tuple[Sequence[Record], Mapping[str, str], Head | None] | None = None

    async def append(
        self, lease: Lease, records: Sequence[Record], *, values: Mapping[str, str], head: Head | None
    ) -> None:
        kept, self._kept = self._kept, (records, values, head)
        if kept is not None and self._writes:
            await self._session.append(lease, kept[0], values=kept[1], head=kept[2])

    async def release(self, lease: Lease) -> None:
        if self._kept is not None and self._writes:
            await self._session.append(lease, self._kept[0], values=self._kept[1], head=self._kept[2])
        await self._session.release(lease)


class ForgetsLast(PassedOn):
    """Does not give the last record that tells of a success: leaves the journal off there, or says another thing."""

    def __init__(self, session: Session, *, disguise: bool) -> None:
        super().__init__(session)
        self._disguise = disguise

    async def read(self, thread_id: str, *, after: int = 0, limit: int | None = None) -> Sequence[Record]:
        records = list(await self._session.read(thread_id, after=after, limit=limit))
        found = [number for number, record in enumerate(records) if _succeeded(record)]
        if not found:
            return records
        if not self._disguise:
            return records[: found[-1]]
        records[found[-1]] = _disguised(records[found[-1]])
        return records


def _disguised(record: Record) -> Record:
    """Make of a node's success its cancellation, after which it would have to run again."""
    fields = json.loads(record.text.rpartition(" ")[0])
    for name in ("value", "result", "targets", "writes"):
        fields.pop(name, None)
    text = json.dumps({**fields, "kind": "NodeCancelled"}, separators=(",", ":"))
    return Record(record.seq, f"{text} {_checksum(text)}")


def sabotages(name: Sabotage) -> Callable[[Session], Any]:
    """Give what makes of a session one that breaks a promise; the name is that of what it does."""
    changes: dict[Sabotage, Callable[[Session], Any]] = {
        "": lambda session: session,
        "acknowledge-first": lambda session: AcknowledgesFirst(session, writes=True),
        "never-write": lambda session: AcknowledgesFirst(session, writes=False),
        "forget-last": lambda session: ForgetsLast(session, disguise=False),
        "record-again": lambda session: ForgetsLast(session, disguise=True),
    }
    return changes[name]
