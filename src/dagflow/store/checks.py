"""What the stores check alike: how records are numbered, how long threads are kept, what a page of a listing asks."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence

import attrs

from dagflow.core.storage import Record
from dagflow.errors import CheckpointError, RunLocked

__all__ = ["Place", "check_limit", "check_numbers", "check_ttl", "lost", "not_following", "taken"]


@attrs.frozen
class Place:
    """Where a page of a listing ends: behind this thread."""

    created: float
    thread_id: str

    @property
    def rank(self) -> tuple[float, str]:
        """What a listing is ordered by: the newest first, then the id."""
        return (-self.created, self.thread_id)

    def __str__(self) -> str:
        """The cursor that leads on from here."""
        return base64.urlsafe_b64encode(json.dumps([self.created, self.thread_id]).encode()).decode()

    @classmethod
    def of(cls, cursor: str | None) -> Place | None:
        """Read a cursor; raises `ValueError` for one that is none."""
        if cursor is None:
            return None
        try:
            created, thread_id = json.loads(base64.b64decode(cursor, altchars=b"-_", validate=True))
            if (type(created), type(thread_id)) != (float, str):
                raise ValueError(cursor)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{cursor!r} is no cursor; give one that a page of this store came with") from error
        return cls(created, thread_id)


def check_limit(limit: int) -> None:
    """Raise `ValueError` for a page that could hold nothing."""
    if limit < 1:
        raise ValueError(f"limit must be at least 1 thread a page, not {limit!r}")


def check_ttl(ttl: float | None) -> float | None:
    """Give back how long threads are kept, in seconds; raises `ValueError` for what is no such time."""
    if ttl is not None and not ttl > 0:
        raise ValueError(f"ttl must be a number of seconds above 0, or None to keep threads for ever, not {ttl!r}")
    return ttl


def check_numbers(thread_id: str, records: Sequence[Record]) -> None:
    """Raise `CheckpointError` for records whose numbers do not follow on each other, or that are none at all."""
    if not records:
        raise CheckpointError(
            f"nothing to append to thread {thread_id!r}: give one record or more", thread_id=thread_id
        )
    following = max(records[0].seq, 1)
    for record in records:
        if record.seq != following:
            raise CheckpointError(
                f"records of thread {thread_id!r} must be numbered from 1 without gaps: {record.seq} stands where "
                f"{following} should",
                thread_id=thread_id,
            )
        following += 1


def not_following(thread_id: str, records: Sequence[Record], newest: int) -> CheckpointError:
    """Say that records do not follow on those that are there."""
    return CheckpointError(
        f"the next record of thread {thread_id!r} is number {newest + 1}, so number {records[0].seq} cannot be "
        f"appended; read the thread again and go on from its end",
        thread_id=thread_id,
    )


def lost(thread_id: str) -> RunLocked:
    """Say that a lease does not hold any longer."""
    return RunLocked(
        f"the lease of thread {thread_id!r} is lost: it was released, or another run has taken the thread over; "
        f"nothing was written",
        thread_id=thread_id,
    )


def taken(thread_id: str) -> RunLocked:
    """Say that somebody else has the lease."""
    return RunLocked(
        f"another run works on thread {thread_id!r}; wait until it has ended, or cancel it", thread_id=thread_id
    )
