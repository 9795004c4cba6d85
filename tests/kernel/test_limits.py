"""Limits: how many permits are out, in which order they are given, and how they are lent."""

import anyio
import pytest

from dagflow.kernel.limits import Limit, Permit


async def test_no_more_permits_are_out_than_the_limit_allows() -> None:
    """At most `capacity` holders work at once, and all get their turn."""
    limit, working, most, done = Limit(3), 0, 0, 0

    async def work() -> None:
        nonlocal working, most, done
        async with Permit(limit):
            working += 1
            most = max(most, working)
            await anyio.lowlevel.checkpoint()
            working -= 1
            done += 1

    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(work)
    assert (3, 20, 0) == (most, done, limit.borrowed)


async def test_a_permit_of_a_limit_is_one_of_its_parent() -> None:
    """A nested limit bounds together with the one above it."""
    above = Limit(1)
    one, other = Limit(5, above), Limit(5, above)
    async with Permit(one):
        with anyio.move_on_after(0.01) as scope:
            async with Permit(other):
                raise AssertionError("two permits of a limit of one")
        assert scope.cancelled_caught
        assert (1, 1, 0) == (above.borrowed, one.borrowed, other.borrowed)
    assert (0, 0, 0) == (above.borrowed, one.borrowed, other.borrowed)


async def test_a_lent_permit_can_be_used_by_others_and_is_taken_back() -> None:
    """While a permit is lent another may work; afterwards the holder has it again."""
    limit = Limit(1)
    async with Permit(limit) as permit:
        async with permit.lent():
            async with Permit(limit):
                assert 1 == limit.borrowed
            assert 0 == limit.borrowed
        assert 1 == limit.borrowed
    assert 0 == limit.borrowed


async def test_a_permit_lent_twice_at_once_is_taken_back_once() -> None:
    """Two parts of a holder that wait at the same time give and take one permit."""
    limit = Limit(1)
    both = anyio.Event()

    async def wait(permit: Permit) -> None:
        async with permit.lent():
            await both.wait()

    async with Permit(limit) as permit:
        async with anyio.create_task_group() as group:
            group.start_soon(wait, permit)
            group.start_soon(wait, permit)
            await anyio.wait_all_tasks_blocked()
            assert 0 == limit.borrowed
            both.set()
        assert 1 == limit.borrowed
    assert 0 == limit.borrowed


async def test_cancelled_while_taking_a_permit_back_nothing_is_held() -> None:
    """A holder that is cancelled before it has its permit back gives none back twice."""
    limit = Limit(1)
    async with anyio.create_task_group() as group:
        async with Permit(limit) as permit:
            with anyio.CancelScope() as scope:
                async with permit.lent():
                    await limit.acquire()  # somebody else takes it and keeps it
                    scope.cancel()
            assert scope.cancelled_caught
        assert 1 == limit.borrowed
        limit.release()
        group.cancel_scope.cancel()
    assert 0 == limit.borrowed


def test_a_limit_below_one_is_refused() -> None:
    """A limit that lets nothing work would hang, so it cannot be made."""
    with pytest.raises(ValueError, match="max_concurrency must be at least 1, not 0"):
        Limit(0)
