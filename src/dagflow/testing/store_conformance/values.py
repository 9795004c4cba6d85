"""Values: large texts beside the records, once for each thread."""

from __future__ import annotations

import pytest

from dagflow.core.storage import Store
from dagflow.testing.store_conformance.case import StoreCase, add, held, numbered, write
from dagflow.testing.store_conformance.samples import TEXTS, by_name

__all__ = ["Values"]


class Values(StoreCase):
    """Cases of `Session.read_values`, and of the `values` of `append`."""

    async def test_values_are_read_by_digest(self, store: Store) -> None:
        """A value that came with a record is given under its digest."""
        async with store.open() as session:
            await write(session, "t", values={"d1": "one", "d2": "two"})
            assert {"d2": "two"} == dict(await session.read_values("t", ["d2"]))
            assert {"d1": "one", "d2": "two"} == dict(await session.read_values("t", ["d1", "d2"]))

    async def test_missing_values_are_left_out(self, store: Store) -> None:
        """Digests that the thread does not have are not in the answer, and no error."""
        async with store.open() as session:
            await write(session, "t", values={"d1": "one"})
            assert {"d1": "one"} == dict(await session.read_values("t", ["d0", "d1", "d2", ""]))
            assert {} == dict(await session.read_values("t", ["d0"]))

    async def test_no_values_are_asked_for(self, store: Store) -> None:
        """Asking for no digest gives nothing."""
        async with store.open() as session:
            await write(session, "t", values={"d1": "one"})
            assert {} == dict(await session.read_values("t", []))

    async def test_an_unknown_thread_has_no_values(self, store: Store) -> None:
        """A thread that is not there has none of the values."""
        async with store.open() as session:
            assert {} == dict(await session.read_values("unknown", ["d1"]))

    async def test_digests_may_be_any_collection(self, store: Store) -> None:
        """Digests are given as a list, a set, a tuple or the keys of a dictionary, repeated or not."""
        async with store.open() as session:
            await write(session, "t", values={"d1": "one", "d2": "two"})
            both = {"d1": "one", "d2": "two"}
            for digests in ({"d1", "d2"}, ("d1", "d2", "d1"), both.keys(), frozenset(both)):
                assert both == dict(await session.read_values("t", digests))

    async def test_a_value_is_kept_once(self, store: Store) -> None:
        """A digest that the thread has already keeps its text, whatever comes under it later."""
        async with store.open() as session:
            await write(session, "t", values={"d": "first"})
            await write(session, "t", values={"d": "second", "e": "new"})
            assert {"d": "first", "e": "new"} == dict(await session.read_values("t", ["d", "e"]))

    async def test_values_of_one_thread_are_unseen_in_another(self, store: Store) -> None:
        """Values belong to their thread, also where another has one under the same digest."""
        async with store.open() as session:
            await write(session, "a", values={"d": "of a", "only": "in a"})
            await write(session, "b", values={"d": "of b"})
            assert {"d": "of a", "only": "in a"} == dict(await session.read_values("a", ["d", "only"]))
            assert {"d": "of b"} == dict(await session.read_values("b", ["d", "only"]))

    async def test_values_of_all_appends_are_there(self, store: Store) -> None:
        """Values add up over appends, leases and sessions."""
        for n in range(4):
            async with store.open() as session:
                await write(session, "t", values={f"d{n}": f"text {n}"})
        async with store.open() as session:
            found = dict(await session.read_values("t", [f"d{n}" for n in range(4)]))
        assert {f"d{n}": f"text {n}" for n in range(4)} == found

    @pytest.mark.parametrize("text", **by_name(TEXTS))
    async def test_a_value_is_kept_as_it_is(self, store: Store, text: str) -> None:
        """A value comes back character by character: any `str` that has no lone surrogates."""
        async with store.open() as session:
            await write(session, "t", values={"d": text})
            found = dict(await session.read_values("t", ["d"]))
        assert {"d": text} == found

    async def test_a_large_value_is_kept(self, store: Store) -> None:
        """A value may have a million characters."""
        text = "äöü" * 350_000
        async with store.open() as session:
            await write(session, "t", values={"d": text})
            found = await session.read_values("t", ["d"])
        assert text == found["d"], "one million characters came back otherwise"

    async def test_many_values(self, store: Store) -> None:
        """An append may bring, and a read ask for, thousands of values."""
        values = {f"{n:064x}": f"text {n}" for n in range(3_000)}
        async with store.open() as session:
            await write(session, "t", values=values)
            found = dict(await session.read_values("t", [*values, "missing"]))
        assert values == found

    async def test_values_come_with_their_records(self, store: Store) -> None:
        """When a record can be read, the values that came with it can."""
        async with store.open() as session, store.open() as other, held(session, "t") as lease:
            for seq in range(1, 6):
                await add(session, lease, numbered(seq), values={f"d{seq}": f"text {seq}"})
                assert {f"d{seq}": f"text {seq}"} == dict(await other.read_values("t", [f"d{seq}"]))
