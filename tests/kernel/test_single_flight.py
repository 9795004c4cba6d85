"""Single flight: a dependency is called once in a run, whoever asks, and lives while somebody waits for it."""

from typing import Annotated, Any

import anyio
import anyio.lowlevel
import pytest

from dagflow import Dep, DepError, Graph, Node, NodeConfig, NodeError, dep, resolve_dep, resolve_fields


class Calls:
    """A slow dependency that counts its calls, and what became of them."""

    def __init__(self) -> None:
        self.begun = 0
        self.cleaned = 0
        self.release = anyio.Event()

    async def __call__(self) -> int:
        self.begun += 1
        try:
            await self.release.wait()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.lowlevel.checkpoint()
            self.cleaned += 1
        return self.begun


def asks_at_once(calls: Calls, *askers: Any) -> Graph:
    """A graph whose body runs the askers at once."""

    class Asks(Node):
        async def __call__(self) -> None:
            async with anyio.create_task_group() as group:
                for asker in askers:
                    group.start_soon(asker)
                await anyio.wait_all_tasks_blocked()
                calls.release.set()

    return Graph(start=Asks)


async def test_concurrent_requests_of_a_run_are_one_call() -> None:
    """However many parts of a run ask at the same moment, the dependency is called once, and all get its value."""
    calls, seen = Calls(), []

    async def ask() -> None:
        seen.append(await resolve_dep(calls))

    graph = asks_at_once(calls, ask, ask, ask)
    await graph.run(graph.start())
    assert [1, 1, 1] == seen
    assert 1 == calls.begun


async def test_a_shared_call_outlives_the_one_who_asked_first() -> None:
    """A call lives on when the one who asked for it first is cancelled, and others wait."""
    calls, seen = Calls(), []
    first = anyio.CancelScope()

    async def leaves() -> None:
        with first:
            await resolve_dep(calls)

    async def stays() -> None:
        await anyio.lowlevel.checkpoint()
        seen.append(await resolve_dep(calls))

    async def cancels() -> None:
        while not calls.begun:
            await anyio.lowlevel.checkpoint()
        await anyio.lowlevel.checkpoint()
        await anyio.lowlevel.checkpoint()
        first.cancel()

    graph = asks_at_once(calls, leaves, stays, cancels)
    await graph.run(graph.start())
    assert first.cancelled_caught
    assert [1] == seen
    assert 1 == calls.begun


async def test_a_shared_call_is_cancelled_with_its_last_waiter() -> None:
    """When all who waited have gone, the call is cancelled, and they go only when its clean-up is done."""
    calls = Calls()
    cleaned_when_left: list[int] = []

    async def leaves() -> None:
        with anyio.move_on_after(0.01):
            await resolve_dep(calls)
        cleaned_when_left.append(calls.cleaned)

    class Asks(Node):
        async def __call__(self) -> None:
            async with anyio.create_task_group() as group:
                group.start_soon(leaves)
                group.start_soon(leaves)
            calls.release.set()
            assert 2 == await resolve_dep(calls)  # nothing was kept of the call that was cancelled

    await Graph(start=Asks).run(Asks())
    assert 1 == cleaned_when_left[-1]
    assert 2 == calls.begun


async def test_a_failure_goes_to_those_who_wait_and_is_not_kept() -> None:
    """All who wait for a failing call get its failure; who asks later makes a new call."""
    begun = 0
    failures: list[str] = []
    together = anyio.Event()

    async def flaky() -> int:
        nonlocal begun
        begun += 1
        if begun == 1:
            await together.wait()
            raise OSError("first call")
        return begun

    async def ask() -> None:
        try:
            await resolve_dep(flaky)
        except DepError as error:
            failures.append(str(error.failures[0].exception))

    class Asks(Node):
        async def __call__(self) -> None:
            async with anyio.create_task_group() as group:
                group.start_soon(ask)
                group.start_soon(ask)
                await anyio.wait_all_tasks_blocked()
                together.set()
            assert 2 == await resolve_dep(flaky)

    await Graph(start=Asks).run(Asks())
    assert ["first call", "first call"] == failures


async def test_a_body_takes_part_in_the_memory_of_its_run() -> None:
    """What a node's fields have resolved is not called again by `resolve_dep` or `resolve_fields` in its body."""
    calls = Calls()
    calls.release.set()

    class Has(Node):
        value: int = dep(calls)

        async def __call__(self) -> None:
            assert 1 == await resolve_dep(calls)
            assert {"value": 1} == await resolve_fields(Has)

    await Graph(start=Has).run(Has())
    assert 1 == calls.begun


async def test_a_call_that_waits_for_itself_is_an_error() -> None:
    """A dependency that asks, from its own body, for one that waits for it fails instead of waiting for ever."""

    async def asks_other() -> int:
        await anyio.lowlevel.checkpoint()
        return await resolve_dep(asks_back)

    async def asks_back() -> int:
        await anyio.lowlevel.checkpoint()
        return await resolve_dep(asks_other)

    async def both(a: Annotated[int, Dep(asks_other)], b: Annotated[int, Dep(asks_back)]) -> int:
        return a + b

    class Asks(Node):
        value: int = dep(both)

        async def __call__(self) -> None: ...

    with anyio.fail_after(5), pytest.raises(DepError, match="waits for asks_\\w+ itself"):
        await Graph(start=Asks).run(Asks())


async def test_a_node_timeout_ends_only_the_calls_that_are_its_own() -> None:
    """A node that times out leaves alone a call that another part of the run waits for."""
    calls = Calls()

    class Impatient(Node):
        node_config = NodeConfig(timeout=0.01)
        value: int = dep(calls)

        async def __call__(self) -> None: ...

    with pytest.raises(NodeError, match="passed its timeout of 0.01 s"):
        await Graph(start=Impatient).run(Impatient())
    assert (1, 1) == (calls.begun, calls.cleaned)
