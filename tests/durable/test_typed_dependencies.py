"""Dependencies of recorded runs: which are recorded, and which are called again, once in each resume."""

import functools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

import attrs
import pytest

from dagflow import Dep, Graph, MemoryStore, Node, NodeError, Secret, dep, idempotency_key, resolve_dep
from dagflow.core.inputs import inputs
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


async def give_key() -> Secret:
    calls.append("key")
    return Secret(CANARY)


async def connect(key: Annotated[Secret, Dep(give_key)]) -> Client:
    calls.append("client")
    return Client(key.reveal())


async def locate(client: Annotated[Client, Dep(connect)]) -> Place:
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
    place: Place = dep(locate)
    client: Client = dep(connect)
    secret: Secret = dep(give_key)
    number: int = dep(opened)
    plain: str = dep(kept_out, record=False)
    free: Any = dep(as_any)
    other: Any = dep(sometimes)

    async def __call__(self) -> "Ends":
        if broken:
            raise ValueError("not today")
        assert (CANARY, "Oslo", CANARY) == (self.client.key, self.place.name, self.plain)
        return Ends()


class Ends(Node):
    client: Client = dep(connect)
    place: Place = dep(locate)

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
    assert {"locate": {"name": "Oslo"}, "as_any": {"a": 1}} == recorded(events)
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
        place: Place = dep(locate)

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


SEVEN, EIGHT = Counter(7), Counter(8)


def typed(fn: Callable[[], int]) -> Callable[[], int]:
    fn.__annotations__["return"] = int
    return fn


class Many(Node):
    one: int = dep(numbered(1))
    two: int = dep(numbered(2))
    three: int = dep(functools.partial(add, 1, 2))
    four: int = dep(functools.partial(add, 2, 2))
    seven: int = dep(SEVEN.read)
    eight: int = dep(EIGHT.read)
    called: int = dep(SEVEN)
    called_too: int = dep(EIGHT)
    hundred: int = dep(typed(first_lambda()))
    two_hundred: int = dep(typed(second_lambda()))

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
    assert values == [getattr(result.node, item.name) for item in inputs(Many)]
    assert [] == calls


async def test_overrides_are_never_recorded() -> None:
    """What `deps=` gave holds for its run only: a resume without it calls the real one."""
    store = MemoryStore()
    broken.append(True)
    with pytest.raises(NodeError):
        await graph.run(Starts(), store=store, thread_id="t", deps={locate: Place("Nowhere")})
    assert "place" not in calls
    assert "locate" not in recorded(await graph.thread("t", store=store).events())
    with pytest.raises(NodeError):
        await graph.resume("t", store=store, deps={locate: Place("Nowhere")})
    assert "place" not in calls
    broken.clear()
    result = await graph.resume("t", store=store)
    assert (1, Place("Oslo")) == (calls.count("place"), result.node.place)


async def get_tone() -> str:
    calls.append("tone")
    return "glad"


class Mood(Node):
    tone: str = dep(get_tone)
    strength: int = 3


class Feels(Node):
    mood: Mood = dep(Mood)

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
    assert (["tone"], "glad", 3) == (calls, result.node.mood.tone, result.node.mood.strength)


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
    field: int = dep(local)

    async def __call__(self) -> None:
        assert (2, 1, "Oslo") == (self.field, await resolve_dep(_number), (await resolve_dep(locate)).name)
        assert CANARY == (await resolve_dep(connect)).key
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
    paid: int = dep(charge)

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
    with pytest.raises(NodeError):
        await graph.run(Charges(), store=store, thread_id="t")
    for _ in range(2):
        with pytest.raises(NodeError):
            await graph.resume("t", store=store)
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
