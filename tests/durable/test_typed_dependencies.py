"""Dependencies of recorded runs: which are recorded, and which are called again, once in each resume."""

import functools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

import attrs
import pytest

from dagflow import Dep, Graph, MemoryStore, Node, NodeError, Secret, dep, idempotency_key, resolve_dep
from dagflow.events import DependencySucceeded, Event

calls: list[str] = []
broken: list[bool] = []
CANARY = "canary-8f2b"


@pytest.fixture(autouse=True)
def start_anew() -> None:
    calls.clear()
    broken.clear()


@attrs.frozen
class Place:
    name: str


class Client:
    """What no store can hold."""

    def __init__(self, key: str = "") -> None:
        self.key = key


async def key() -> Secret:
    calls.append("key")
    return Secret(CANARY)


async def client(key: Annotated[Secret, Dep(key)]) -> Client:
    calls.append("client")
    return Client(key.reveal())


async def place(client: Annotated[Client, Dep(client)]) -> Place:
    calls.append("place")
    return Place("Oslo")


@asynccontextmanager
async def opened() -> AsyncIterator[int]:
    calls.append("open")
    try:
        yield 5
    finally:
        calls.append("close")


async def kept_out() -> str:
    calls.append("kept_out")
    return CANARY


async def as_any() -> Any:
    calls.append("as_any")
    return {"a": 1}


async def sometimes() -> Any:
    calls.append("sometimes")
    return Client()


class Starts(Node):
    async def __call__(self) -> "Uses":
        return Uses()


class Uses(Node):
    place: Annotated[Place, Dep(place)]
    client: Annotated[Client, Dep(client)]
    secret: Annotated[Secret, Dep(key)]
    number: Annotated[int, Dep(opened)]
    plain: str = dep(kept_out, record=False)
    free: Annotated[Any, Dep(as_any)]
    other: Annotated[Any, Dep(sometimes)]

    async def __call__(self) -> "Ends":
        if broken:
            raise ValueError("not today")
        assert (CANARY, "Oslo", CANARY) == (self.client.key, self.place.name, self.plain)
        return Ends()


class Ends(Node):
    client: Annotated[Client, Dep(client)]
    place: Annotated[Place, Dep(place)]

    async def __call__(self) -> None:
        if broken:
            raise ValueError("not today")


graph = Graph(start=Starts)


def recorded(events: list[Event]) -> dict[str, Any]:
    return {e.key.rpartition(":")[2]: e.value for e in events if isinstance(e, DependencySucceeded) and e.key}


@pytest.mark.parametrize("schedule", ["levels", "eager"])
async def test_only_what_can_be_written_is_recorded_and_the_rest_is_called_again_once(schedule: Any) -> None:
    """A client, a secret, a context manager and what is marked so are called again, once in each resume."""
    graph, store = Graph(start=Starts, schedule=schedule), MemoryStore()
    broken.append(True)
    with pytest.raises(NodeError):
        await graph.run(Starts(), store=store, thread_id="t")
    everything = sorted(calls)
    events = await graph.thread("t", store=store).events()
    assert {"place": {"name": "Oslo"}, "as_any": {"a": 1}} == recorded(events)
    for _ in range(2):
        calls.clear()
        with pytest.raises(NodeError):
            await graph.resume("t", store=store)
        assert sorted(set(everything) - {"place", "as_any"}) == sorted(calls)
    calls.clear()
    broken.clear()
    result = await graph.resume("t", store=store)
    assert sorted(set(everything) - {"place", "as_any"}) == sorted(calls)
    assert ("complete", "close") == (result.status, calls[-1])


async def test_a_dependency_of_a_recorded_dependency_is_not_called() -> None:
    """What only a recorded one needs is not called again; what somebody else needs too is."""

    class Sees(Node):
        place: Annotated[Place, Dep(place)]

        async def __call__(self) -> None:
            if broken:
                raise ValueError("not today")

    graph, store = Graph(start=Sees, namespace=locals()), MemoryStore()
    broken.append(True)
    with pytest.raises(NodeError):
        await graph.run(Sees(), store=store, thread_id="t")
    assert ["key", "client", "place"] == calls
    broken.clear()
    result = await graph.resume("t", store=store)
    assert ["key", "client", "place"] == calls
    assert Place("Oslo") == result.node.place


def numbered(number: int) -> Callable[[], Any]:
    async def give() -> int:
        calls.append(f"give {number}")
        return number

    return give


async def add(a: int = 0, b: int = 0) -> int:
    calls.append(f"add {a} {b}")
    return a + b


class Counter:
    """Two of them have a method of the same name."""

    def __init__(self, number: int) -> None:
        self.number = number

    async def read(self) -> int:
        calls.append(f"read {self.number}")
        return self.number

    async def __call__(self) -> int:
        calls.append(f"call {self.number}")
        return self.number


def first_lambda() -> Callable[[], int]:
    return lambda: 100


def second_lambda() -> Callable[[], int]:
    return lambda: 200


seven, eight = Counter(7), Counter(8)


def typed(fn: Callable[[], int]) -> Callable[[], int]:
    fn.__annotations__["return"] = int
    return fn


class Many(Node):
    one: Annotated[int, Dep(numbered(1))]
    two: Annotated[int, Dep(numbered(2))]
    three: Annotated[int, Dep(functools.partial(add, 1, 2))]
    four: Annotated[int, Dep(functools.partial(add, 2, 2))]
    seven: Annotated[int, Dep(seven.read)]
    eight: Annotated[int, Dep(eight.read)]
    called: Annotated[int, Dep(seven)]
    called_too: Annotated[int, Dep(eight)]
    hundred: Annotated[int, Dep(typed(first_lambda()))]
    two_hundred: Annotated[int, Dep(typed(second_lambda()))]

    async def __call__(self) -> None:
        if broken:
            raise ValueError("not today")


async def test_callables_of_one_name_are_told_apart() -> None:
    """Closures, partials, methods, callable objects and lambdas have keys of their own, the same after a resume."""
    graph, store = Graph(start=Many), MemoryStore()
    broken.append(True)
    with pytest.raises(NodeError):
        await graph.run(Many(), store=store, thread_id="t")
    values = [1, 2, 3, 4, 7, 8, 7, 8, 100, 200]
    events = await graph.thread("t", store=store).events()
    keys = [event.key for event in events if isinstance(event, DependencySucceeded)]
    assert len(values) == len(set(keys)) == len(keys)
    assert all(keys)
    calls.clear()
    broken.clear()
    result = await Graph(start=Many).resume("t", store=store)
    assert values == [getattr(result.node, field.name) for field in attrs.fields(Many)]
    assert [] == calls


async def test_overrides_are_never_recorded() -> None:
    """What `deps=` gave holds for its run only: a resume without it calls the real one."""
    store = MemoryStore()
    broken.append(True)
    with pytest.raises(NodeError):
        await graph.run(Starts(), store=store, thread_id="t", deps={place: Place("Nowhere")})
    assert "place" not in calls
    assert "place" not in recorded(await graph.thread("t", store=store).events())
    with pytest.raises(NodeError):
        await graph.resume("t", store=store, deps={place: Place("Nowhere")})
    assert "place" not in calls
    broken.clear()
    result = await graph.resume("t", store=store)
    assert (1, Place("Oslo")) == (calls.count("place"), result.node.place)


async def tone() -> str:
    calls.append("tone")
    return "glad"


class Mood(Node):
    tone: Annotated[str, Dep(tone)]
    strength: int = 3


class Feels(Node):
    mood: Annotated[Mood, Dep(Mood)]

    async def __call__(self) -> None:
        if broken:
            raise ValueError("not today")


async def test_a_node_as_a_dependency_is_recorded_whole() -> None:
    """`Dep(NodeType)`: neither the node nor its dependencies are made again."""
    graph, store = Graph(start=Feels), MemoryStore()
    broken.append(True)
    with pytest.raises(NodeError):
        await graph.run(Feels(), store=store, thread_id="t")
    broken.clear()
    result = await graph.resume("t", store=store)
    assert (["tone"], Mood(tone="glad")) == (calls, result.node.mood)  # type: ignore[call-arg]  # a resolved field


def _number() -> int:
    calls.append("the module's own")
    return 1


def local_number() -> Callable[[], int]:
    def _number() -> int:
        calls.append("local")
        return 2

    return _number


local = local_number()


class Asks(Node):
    field: Annotated[int, Dep(local)]

    async def __call__(self) -> None:
        assert (2, 1, "Oslo") == (self.field, await resolve_dep(_number), (await resolve_dep(place)).name)
        assert CANARY == (await resolve_dep(client)).key
        if broken:
            raise ValueError("not today")


async def test_what_a_body_asks_for_is_recorded_too_under_a_name_of_its_own() -> None:
    """`resolve_dep` in a body: what has a name in its module is recorded, and never taken for one of the graph's."""
    graph, store = Graph(start=Asks), MemoryStore()
    broken.append(True)
    with pytest.raises(NodeError):
        await graph.run(Asks(), store=store, thread_id="t")
    broken.clear()
    before = list(calls)
    await graph.resume("t", store=store)
    again = calls[len(before) :]
    assert {"key", "client"} <= set(again)
    assert not {"place", "local"} & set(again)


keys: list[str] = []


async def charge() -> int:
    keys.append(idempotency_key())
    return 1


class Charges(Node):
    paid: Annotated[int, Dep(charge)]

    async def __call__(self) -> "Charges | None":
        keys.append(idempotency_key())
        if broken:
            raise ValueError("not today")
        return Charges() if len(keys) < 6 else None


async def test_idempotency_keys_name_the_work_and_not_the_attempt() -> None:
    """The same in every attempt and resume; another for each activation, dependency, thread and fork."""
    keys.clear()
    graph, store = Graph(start=Charges), MemoryStore()
    broken.append(True)
    for begin in (
        lambda: graph.run(Charges(), store=store, thread_id="t"),
        lambda: graph.resume("t", store=store),
        lambda: graph.resume("t", store=store),
    ):
        with pytest.raises(NodeError):
            await begin()
    charged, first, *more = keys
    assert charged != first
    assert [first, first] == more
    await graph.thread("t", store=store).fork("u")
    broken.clear()
    await graph.resume("t", store=store)
    rest = keys[4:]
    assert first == rest[0]
    assert len(rest) == len(set(rest))
    assert all(one.startswith("t/") for one in keys)
    position = len(keys)
    await graph.resume("u", store=store)
    assert all(one.startswith("u/") for one in keys[position:])
    with pytest.raises(RuntimeError, match="there is no run here"):
        idempotency_key()
