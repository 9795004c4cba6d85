"""Virtual time: sleeping takes none of ours, order is kept, and waiting for nothing is found out."""

import time
from typing import Any

import anyio
import pytest

from dagflow.testing.clock import Deadlock, run_virtual, virtual_backend

both = pytest.mark.parametrize("backend", ["asyncio", "trio"])
virtual = pytest.mark.parametrize("anyio_backend", [virtual_backend("asyncio"), virtual_backend("trio")])


async def sleeps_in_order() -> list[tuple[str, float]]:
    """Three sleepers, and what each saw on the clock."""
    start = anyio.current_time()
    woken: list[tuple[str, float]] = []

    async def sleeper(name: str, seconds: float) -> None:
        await anyio.sleep(seconds)
        woken.append((name, anyio.current_time() - start))

    async with anyio.create_task_group() as tasks:
        for name, seconds in (("long", 1000), ("short", 0.25), ("middle", 500)):
            tasks.start_soon(sleeper, name, seconds)
    return woken


@both
def test_sleeping_takes_no_time(backend: str) -> None:
    """Sleepers wake in the order of their deadlines, at them, and nobody waits for it."""
    started = time.monotonic()
    woken = run_virtual(sleeps_in_order, backend=backend)
    assert ["short", "middle", "long"] == [name for name, _ in woken]
    assert pytest.approx([0.25, 500, 1000]) == [at for _, at in woken]
    assert time.monotonic() < started + 100  # a bound on real sleeping, not a measure


@virtual
async def test_fixture_takes_the_virtual_loops(anyio_backend: Any) -> None:
    """The parameter gives tests of anyio's plugin a virtual clock."""
    assert [("short", 0.25), ("middle", 500), ("long", 1000)] == await sleeps_in_order()


@virtual
async def test_deadlines_pass(anyio_backend: Any) -> None:
    """A deadline that nothing beats passes at once."""
    with anyio.move_on_after(3600) as scope:
        await anyio.sleep_forever()
    assert scope.cancelled_caught


@both
def test_result_and_exception_come_through(backend: str) -> None:
    """A result is returned, and an exception raised, as it is."""

    async def double(number: int) -> int:
        await anyio.sleep(1)
        if number < 0:
            raise LookupError(number)
        return 2 * number

    assert 42 == run_virtual(double, 21, backend=backend)
    with pytest.raises(LookupError):
        run_virtual(double, -1, backend=backend)


@both
def test_deadlock_is_told(backend: str) -> None:
    """Tasks that wait for what nobody does are an error that says where, after their clean-up."""
    cleaned: list[float] = []

    async def wait_for_nobody() -> None:
        try:
            await anyio.Event().wait()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(10)
            cleaned.append(anyio.current_time())

    async def main() -> None:
        await anyio.sleep(5)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait_for_nobody)

    with pytest.raises(Deadlock, match=r"wait_for_nobody \(.*test_clock.py:\d+\)"):
        run_virtual(main, backend=backend)
    assert 1 == len(cleaned)


def test_unknown_loop_is_refused() -> None:
    """A loop that does not exist is refused by name."""
    with pytest.raises(ValueError, match="'curio'"):
        virtual_backend("curio")
