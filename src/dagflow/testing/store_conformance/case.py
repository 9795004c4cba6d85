"""What all cases share: the store under test, its hooks, and short ways to fill threads."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import anyio
import pytest

from dagflow.core.storage import Head, Lease, Page, Record, Session, Status, Store, ThreadSummary
from dagflow.errors import RunLocked

__all__ = [
    "RUNNING",
    "StoreCase",
    "acquire_within",
    "add",
    "all_pages",
    "held",
    "newest",
    "numbered",
    "restrict",
    "texts_of",
    "write",
]

RUNNING = Head("a graph", "running")
"""What a thread's first records come with, where a case is not about heads."""

BACKENDS = ("asyncio", "trio")


class StoreCase:
    """Base of the cases: a store that can be tested overrides `store`, and says below what else it promises."""

    pytestmark: ClassVar[pytest.MarkDecorator] = pytest.mark.anyio

    survives_reopen: ClassVar[bool] = True
    """Whether what was appended is there for another `Store` object, or another process. The cases of `Reopening`
    and `Crashing` are not collected where it is not."""

    lease_timeout: ClassVar[float] = 10.0
    """Seconds after which a lease whose owner was killed, or closed its session without giving it back, is free."""

    clock_skew: ClassVar[float] = 1.0
    """Seconds that the store's clock may differ from this machine's."""

    factory: ClassVar[str | None] = None
    """A function that makes the store in another process, as `"package.module:function"`; it is called with
    `factory_arguments(store)`. The cases of `Crashing`, which kill such processes, are collected where it is given."""

    @pytest.fixture(params=BACKENDS)
    def anyio_backend(self, request: pytest.FixtureRequest) -> str:
        """Run each case on both event loops, whatever the other tests run on."""
        return str(request.param)

    @pytest.fixture
    def store(self) -> Store:
        """Give the store under test, with nothing in it."""
        raise NotImplementedError(f"override the fixture `store` in {type(self).__name__}: it gives an empty store")

    def reopen(self, store: Store) -> Store | None:
        """Make another `Store` object on the data of `store`, as another process would; `None`: not told how."""
        return None

    def factory_arguments(self, store: Store) -> Mapping[str, Any]:
        """Give the keyword arguments, as JSON has them, with which `factory` makes a store on the data of `store`."""
        return {}


def restrict(cls: type[StoreCase], part: type[StoreCase], *, wanted: bool) -> None:
    """Let pytest collect the cases of `part` from `cls`, or not."""
    for name, case in vars(part).items():
        if name.startswith("test_") and not wanted:
            setattr(cls, name, None)
        elif name.startswith("test_") and getattr(cls, name) is None:
            setattr(cls, name, case)


def numbered(first: int, count: int = 1, *, text: str = "record") -> list[Record]:
    """Make `count` records from number `first` on, each with a text of its own."""
    return [Record(seq, f"{text} {seq}") for seq in range(first, first + count)]


@asynccontextmanager
async def held(session: Session, thread_id: str) -> AsyncGenerator[Lease]:
    """Hold a thread's lease inside the block."""
    lease = await session.acquire(thread_id)
    try:
        yield lease
    finally:
        with anyio.CancelScope(shield=True):
            await session.release(lease)


async def add(
    session: Session,
    lease: Lease,
    records: Sequence[Record],
    *,
    values: Mapping[str, str] | None = None,
    head: Head | None = None,
) -> None:
    """Append to a thread; the records that begin it come with a head."""
    if head is None and records and records[0].seq == 1:
        head = RUNNING
    await session.append(lease, records, values=values or {}, head=head)


async def write(
    session: Session,
    thread_id: str,
    count: int = 1,
    *,
    values: Mapping[str, str] | None = None,
    status: Status = "complete",
    graph: str = "a graph",
    new: bool = False,
) -> None:
    """Add `count` records to the end of a thread, as a run would: with its lease, given back afterwards.

    A thread that is `new` is not looked for first.
    """
    async with held(session, thread_id) as lease:
        first = 1 if new else await newest(session, thread_id) + 1
        await add(session, lease, numbered(first, count), values=values, head=Head(graph, status))


async def newest(session: Session, thread_id: str) -> int:
    """Give the number of a thread's newest record; 0 where there is none."""
    summary = await session.find(thread_id)
    return 0 if summary is None else summary.records


async def texts_of(session: Session, thread_id: str) -> list[str]:
    """Give the texts of all records of a thread; fails where they are not numbered from 1 without gaps."""
    records = await session.read(thread_id)
    assert list(range(1, len(records) + 1)) == [record.seq for record in records], (
        f"thread {thread_id!r} is not numbered from 1 without gaps"
    )
    return [record.text for record in records]


async def all_pages(session: Session, *, limit: int, status: Status | None = None) -> list[ThreadSummary]:
    """List everything, page by page; fails where a page is too long, or there are more pages than it takes."""
    found: list[ThreadSummary] = []
    cursor: str | None = None
    for _ in range(1_000):
        page = await session.list(limit=limit, cursor=cursor, status=status)
        check_page(page, limit)
        found += page.threads
        if page.cursor is None:
            return found
        cursor = page.cursor
    raise AssertionError("a listing does not come to an end: 1,000 pages, and the last still has a cursor")


def check_page(page: Page, limit: int) -> None:
    assert len(page.threads) <= limit, f"a page of at most {limit} threads has {len(page.threads)}"
    if page.cursor is not None:
        assert len(page.threads) == limit, "only the last page, whose cursor is None, may be short"


async def acquire_within(session: Session, thread_id: str, seconds: float) -> Lease:
    """Take a lease that becomes free within `seconds`; fails where it does not."""
    deadline = anyio.current_time() + seconds
    while True:
        try:
            return await session.acquire(thread_id)
        except RunLocked as error:
            left = deadline - anyio.current_time()
            if left <= 0:
                raise AssertionError(f"the lease of {thread_id!r} is not free after {seconds:g} s") from error
            await anyio.sleep(min(0.05, left))
