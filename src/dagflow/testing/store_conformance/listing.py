"""Listing threads: the newest first, page by page, while others come and go."""

from __future__ import annotations

from typing import get_args

import pytest

from dagflow.core.storage import Session, Status, Store
from dagflow.testing.store_conformance.case import StoreCase, all_pages, check_page, held, write

__all__ = ["Listing"]

COUNT = 25
MOST_CHANGES = 8


class Listing(StoreCase):
    """Cases of `Session.list`."""

    async def test_an_empty_store_lists_nothing(self, store: Store) -> None:
        """Where there is no thread, the first page is empty, and the last."""
        async with store.open() as session:
            page = await session.list()
        assert ((), None) == (page.threads, page.cursor)

    async def test_the_newest_comes_first(self, store: Store) -> None:
        """Threads are listed by the time of their first append, the newest first, and then by id."""
        async with store.open() as session:
            await fill(session)
            await write(session, "t07")  # an update does not make a thread newer
            found = await all_pages(session, limit=100)
        assert sorted(found, key=lambda thread: (-thread.created, thread.thread_id)) == found
        assert {f"t{n:02}" for n in range(COUNT)} == {thread.thread_id for thread in found}

    @pytest.mark.parametrize("limit", [1, 7, 24, 25, 26, 100])
    async def test_pages_make_up_the_whole(self, store: Store, limit: int) -> None:
        """Pages of any size, one after the other, list each thread once, in the order of one page."""
        async with store.open() as session:
            await fill(session)
            whole = (await session.list(limit=1_000)).threads
            assert COUNT == len(whole)
            assert list(whole) == await all_pages(session, limit=limit)

    async def test_fifty_threads_make_a_page(self, store: Store) -> None:
        """Without a limit a page has fifty threads."""
        async with store.open() as session:
            await fill(session, 53)
            page = await session.list()
            assert 50 == len(page.threads)
            assert page.cursor is not None
            rest = await session.list(cursor=page.cursor)
        assert (3, None) == (len(rest.threads), rest.cursor)

    async def test_a_cursor_is_used_again(self, store: Store) -> None:
        """A cursor leads to the same page as often as it is used, in any session."""
        async with store.open() as session:
            await fill(session, 9)
            cursor = (await session.list(limit=4)).cursor
            first = await session.list(limit=4, cursor=cursor)
            assert first == await session.list(limit=4, cursor=cursor)
        async with store.open() as session:
            assert first == await session.list(limit=4, cursor=cursor)

    async def test_pages_may_differ_in_size(self, store: Store) -> None:
        """A cursor holds for a page of any size."""
        async with store.open() as session:
            await fill(session, 10)
            whole = (await session.list()).threads
            page = await session.list(limit=3)
            rest = await session.list(limit=100, cursor=page.cursor)
        assert whole == page.threads + rest.threads

    @pytest.mark.parametrize("limit", [1, 7, 25, 100])
    async def test_new_threads_between_pages(self, store: Store, limit: int) -> None:
        """Threads that are added between two pages neither hide others nor repeat them."""
        async with store.open() as session:
            await fill(session)
            found, cursor, added = [], None, 0
            while True:
                page = await session.list(limit=limit, cursor=cursor)
                check_page(page, limit)
                found += [thread.thread_id for thread in page.threads]
                if page.cursor is None:
                    break
                cursor = page.cursor
                if added < MOST_CHANGES:
                    await write(session, f"new{added:02}", new=True)
                    added += 1
        old = [thread_id for thread_id in found if thread_id.startswith("t")]
        assert sorted(old) == sorted(f"t{n:02}" for n in range(COUNT)), "each of the old threads is listed once"
        assert len(set(found)) == len(found), "no thread is listed twice"

    @pytest.mark.parametrize("limit", [1, 7, 25, 100])
    async def test_threads_removed_between_pages(self, store: Store, limit: int) -> None:
        """Threads that are removed between two pages hide no others, be it the one that the cursor stands at."""
        async with store.open() as session:
            await fill(session)
            left = {thread.thread_id for thread in await all_pages(session, limit=100)}
            found: list[str] = []
            cursor = None
            while True:
                page = await session.list(limit=limit, cursor=cursor)
                check_page(page, limit)
                ids = [thread.thread_id for thread in page.threads]
                assert set(ids) <= left, "what was removed is not listed any more"
                found += ids
                if page.cursor is None:
                    break
                cursor = page.cursor
                unseen = sorted(left - set(found))
                for gone in {ids[-1], *ids[:1], *unseen[:1]}:
                    assert await session.delete(gone)
                    left.discard(gone)
        assert left <= set(found), "what was there all the time is listed"
        assert len(set(found)) == len(found), "no thread is listed twice"

    @pytest.mark.parametrize("limit", [1, 7])
    async def test_threads_updated_between_pages(self, store: Store, limit: int) -> None:
        """Threads that are appended to between two pages stay where they are."""
        async with store.open() as session:
            await fill(session)
            whole = [thread.thread_id for thread in (await session.list(limit=100)).threads]
            found: list[str] = []
            page = await session.list(limit=limit)
            for turn in range(COUNT):
                found += [thread.thread_id for thread in page.threads]
                if page.cursor is None:
                    break
                if turn < MOST_CHANGES:
                    await write(session, whole[turn - 3])  # one that was listed, or is still to come
                page = await session.list(limit=limit, cursor=page.cursor)
        assert whole == found

    @pytest.mark.parametrize("status", get_args(Status))
    async def test_a_status_picks_threads(self, store: Store, status: Status) -> None:
        """Given a status, only threads that stand so are listed."""
        async with store.open() as session:
            await fill_with_each_status(session)
            everything = (await session.list(limit=100)).threads
            expected = [thread for thread in everything if thread.status == status]
            assert 5 == len(expected)
            assert expected == list((await session.list(status=status)).threads)

    @pytest.mark.parametrize("limit", [1, 2, 5, 7])
    async def test_a_status_picks_threads_page_by_page(self, store: Store, limit: int) -> None:
        """The pages of one status are as full as others, and leave none out."""
        async with store.open() as session:
            await fill_with_each_status(session)
            expected = [t for t in (await session.list(limit=100)).threads if t.status == "failed"]
            assert expected == await all_pages(session, limit=limit, status="failed")

    async def test_a_status_that_no_thread_has(self, store: Store) -> None:
        """Where no thread stands so, the page is empty and the last."""
        async with store.open() as session:
            await fill(session, 3)
            page = await session.list(status="interrupted")
        assert ((), None) == (page.threads, page.cursor)

    async def test_a_status_that_changed(self, store: Store) -> None:
        """A thread is listed as it stands now, not as it stood."""
        async with store.open() as session:
            await write(session, "t", status="running")
            await write(session, "t", status="complete")
            assert ["t"] == [thread.thread_id for thread in (await session.list(status="complete")).threads]
            assert () == (await session.list(status="running")).threads

    async def test_leased_threads_are_listed(self, store: Store) -> None:
        """A listing tells which threads somebody works on."""
        async with store.open() as session:
            await fill(session, 4)
            async with held(session, "t01"), held(session, "t03"), held(session, "unknown"):
                page = await session.list()
            leased = {thread.thread_id for thread in page.threads if thread.leased}
            assert ({"t01", "t03"}, 4) == (leased, len(page.threads))
            assert not any(thread.leased for thread in (await session.list()).threads)

    @pytest.mark.parametrize("cursor", ["", "no cursor", "é", "🦔", "\x00"])
    async def test_what_is_no_cursor_is_refused(self, store: Store, cursor: str) -> None:
        """A text that no page came with raises `ValueError`, and no page is made up."""
        async with store.open() as session:
            await fill(session, 3)
            with pytest.raises(ValueError):  # noqa: PT011 (a store words it as it likes)
                await session.list(cursor=cursor)

    @pytest.mark.parametrize("limit", [0, -1, -100])
    async def test_a_page_holds_at_least_one_thread(self, store: Store, limit: int) -> None:
        """A limit below 1 raises `ValueError`, also on an empty store."""
        async with store.open() as session:
            with pytest.raises(ValueError):  # noqa: PT011
                await session.list(limit=limit)
            await fill(session, 1)
            with pytest.raises(ValueError):  # noqa: PT011
                await session.list(limit=limit)


async def fill(session: Session, count: int = COUNT) -> None:
    for n in range(count):
        await write(session, f"t{n:02}", new=True)


async def fill_with_each_status(session: Session) -> None:
    for n in range(5):
        for status in get_args(Status):
            await write(session, f"{status}{n}", status=status, new=True)
