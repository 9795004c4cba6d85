"""What the journals in this folder were written by; see test_golden_journals.py.

`PYTHONPATH=src:tests python tests/durable/journals/scenarios.py` writes the files that are missing. A file that is
there is never written again: it is what an earlier dagflow wrote, and every later one must read it.
"""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import anyio
import attrs

from dagflow import (
    Dep,
    Graph,
    Map,
    MemoryStore,
    Node,
    NodeConfig,
    NodeError,
    Pipeline,
    PythonTask,
    Retry,
    YamlGraph,
    dep,
    gate,
    load_and_compile,
    recall,
)
from dagflow.core.storage import Head, Record, Store
from dagflow.kernel.fault_points import armed
from dagflow.testing import ScriptedLM
from durable.plain_graph import Here, PlainGraph

FOLDER = Path(__file__).parent

broken: set[str] = set()
"""What fails now."""


@attrs.frozen
class Place:
    name: str
    tags: tuple[str, ...] = ()


async def place() -> Place:
    return Place("Málaga", ("sea", "sun"))


class Client:
    """What no store can hold."""


async def client(place: Annotated[Place, Dep(place)]) -> Client:
    if "dependency" in broken:
        raise OSError("no route")
    return Client()


@asynccontextmanager
async def opened(client: Annotated[Client, Dep(client)]) -> AsyncIterator[int]:
    yield 7


class Begin(Node):
    message: str
    large: str = ""

    async def __call__(self) -> "Flaky":
        return Flaky(large=self.large)


class Flaky(Node):
    large: str
    number: int = dep(opened)

    node_config = NodeConfig(retry=Retry(attempts=2, delay=0))

    async def __call__(self) -> "Subject":
        if "once" in broken:
            broken.remove("once")
            raise ValueError("once")
        if "flaky" in broken:
            raise ValueError("not today")
        return Subject(text="the sea")


class Subject(Node):
    text: str

    async def __call__(self) -> "Poem": ...


class Poem(Node):
    lines: list[str]
    place: Annotated[Place, Dep(place)]

    async def __call__(self) -> "Ask": ...


class Ask(Node):
    size: int = gate("Which size?")
    place: Place | None = gate("Where to?", description="a place, or none")

    async def __call__(self) -> "Nests":
        return Nests(size=self.size)


class Nests(Node):
    size: int

    async def __call__(self) -> "End":
        if "hang" in broken:
            await anyio.sleep_forever()
        first = await inner.run(Small(number=self.size))
        second = await inner.run(Small(number=self.size + 1))
        return End(total=first.node.number + second.node.number)


class Small(Node):
    number: int

    async def __call__(self) -> "Confirm":
        return Confirm(number=self.number * 10)


class Confirm(Node):
    number: int
    really: bool = gate("Really?")

    async def __call__(self) -> "Smaller":
        return Smaller(number=self.number if self.really else 0)


class Smaller(Node):
    number: int

    async def __call__(self) -> None: ...


class End(Node):
    total: int
    message: str = recall()

    async def __call__(self) -> None: ...


graph, inner = Graph(start=Begin), Graph(start=Small)


def lm() -> ScriptedLM:
    return ScriptedLM({"Poem": {"lines": ["O tide", "ü\u2028\n"]}})


ANSWERS: dict[str, Any] = {
    "Ask#1.size": 4,
    "Ask#1.place": {"name": "Faro"},
    "Nests#1/Small.1/Confirm#1.really": True,
    "Nests#1/Small.2/Confirm#1.really": False,
}


async def go_on(store: Store, count: int = 9, thread_id: str = "t") -> Any:
    """Resume with up to `count` answers, one at a time, and give the result."""
    result = await graph.resume(thread_id, store=store, lm=lm())
    while result.interrupts and count:
        asked = result.interrupts[0].id
        result = await graph.resume(thread_id, {asked: ANSWERS[asked]}, store=store, lm=lm())
        count -= 1
    return result


async def begin(store: Store, message: str = "hello") -> None:
    start = Begin(message=message, large="läng" * 1000)
    with suppress(NodeError):
        await graph.run(start, store=store, thread_id="t", lm=lm())


async def interrupted(store: Store) -> None:
    broken.add("once")
    await begin(store)


async def nested(store: Store) -> None:
    await begin(store)
    await go_on(store, 3)


async def complete(store: Store) -> None:
    await begin(store)
    await go_on(store)


async def failed(store: Store) -> None:
    broken.add("flaky")
    await begin(store)
    broken.clear()


async def failed_dependency(store: Store) -> None:
    broken.add("dependency")
    with suppress(Exception):
        await begin(store)
    broken.clear()


async def cancelled(store: Store) -> None:
    await begin(store)
    await go_on(store, 1)
    broken.add("hang")
    async with anyio.create_task_group() as group:
        answers = {"Ask#1.place": None}
        group.start_soon(lambda: graph.resume("t", answers, store=store, lm=lm()))
        with anyio.fail_after(10):
            while '"Nests#1"' not in (await read(store))[0][-1].text:  # noqa: ASYNC110 (a store tells nobody)
                await anyio.sleep(0.01)
        group.cancel_scope.cancel()
    broken.clear()


class Killed(BaseException):
    """The end of the process."""


async def killed(store: Store) -> None:
    await begin(store)

    def kill(point: str, what: str) -> None:
        if (point, what) == ("before", "Nests#1"):
            raise Killed

    whole = MemoryStore()
    await copy(store, whole)
    with suppress(Killed), armed(kill):
        await graph.resume("t", {"Ask#1.size": 4, "Ask#1.place": None}, store=whole, lm=lm())
    records, values = await read(whole)
    known = len((await read(store))[0])
    # What comes behind the last success never was written.
    last = max(number for number, record in enumerate(records) if '"kind":"NodeSucceeded"' in record.text)
    await write(store, records[known : last + 1], values, "running")


async def forked(store: Store) -> None:
    other = MemoryStore()
    await begin(other)
    await go_on(other)
    thread = graph.thread("t", store=other)
    asked = next(step.seq for step in await thread.steps() if step.kind == "NodeInterrupted")
    await thread.fork("u", at=asked)
    result = await graph.resume("u", {"Ask#1.size": 1, "Ask#1.place": None}, store=other, lm=lm())
    assert result.interrupts
    records, values = await read(other, "u")
    await write(store, records, values, "interrupted")


async def two_runs(store: Store) -> None:
    await complete(store)
    await begin(store, "again")


async def left(here: Here) -> dict[str, Any]:
    return {"left": here.ask("left")[0]}


async def right(here: Here) -> dict[str, Any]:
    return {"right": "r" * 2_000, "$value": {"$value": 1}}


async def plain_body(here: Here) -> dict[str, Any]:
    return {}


plain = PlainGraph(
    {"start": ["left", "right"], "left": ["join"], "right": ["join"], "join": []},
    {"left": left, "right": right},
    plain_body,
)


async def branches(store: Store) -> None:
    await plain.run(store, "t", {"begun": 1})


YAML = """\
version: "1"
name: parcels
state:
  kind: str
  place: "scenarios:Place"
  names: list[str]
  age: int
  size: int
  notes: {type: list[str], reducer: add}
nodes:
  sort:
    type: router
    prompt: {user: "Sort it"}
    route_field: kind
    routes: {letter: early, parcel: early}
    state_key: kind
  early: {type: passthrough, output: {notes: ["a {kind} for {place.name}"]}}
  risky: {type: python, function: risky, state_key: size, on_error: skip}
  ask: {type: interrupt, message: "Where to, if not to {place.name}?", resume_key: place}
  fan:
    type: map
    over: "{names}"
    as: name
    collect: ages
    node: {type: interrupt, message: "How old is {name}?", resume_key: age}
  move: {type: python, function: move, state_key: place}
  inner: {type: subgraph, graph: inner.yaml, output: {size: size}}
edges:
  - {from: early, to: risky}
  - {from: risky, to: ask}
  - {from: ask, to: fan}
  - {from: fan, to: move}
  - {from: move, to: inner}
  - {from: START, to: sort}
  - {from: inner, to: END}
"""

INNER_YAML = """\
version: "1"
name: inner
state: {place: "scenarios:Place", size: int}
nodes:
  weigh: {type: interrupt, message: "What does it weigh, in {place.name}?", resume_key: size}
  double: {type: passthrough, output: {size: "{size * 2}"}}
edges: [{from: START, to: weigh}, {from: weigh, to: double}, {from: double, to: END}]
"""


async def risky() -> int:
    raise ValueError("not ever")


async def move(place: Place, ages: list[int]) -> Place:
    return Place(place.name, (*place.tags, *map(str, ages)))


def yaml_graph() -> YamlGraph:
    """The graph of the two texts, which are needed no longer than it takes to read them."""
    with TemporaryDirectory() as folder:
        Path(folder, "inner.yaml").write_text(INNER_YAML, encoding="utf-8")
        path = Path(folder, "graph.yaml")
        path.write_text(YAML, encoding="utf-8")
        return load_and_compile(
            path,
            functions={"risky": risky, "move": move, "scenarios:Place": Place},
            root=Path(folder),
            environment={},
        )


YAML_ANSWERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "Where to, if not to Málaga?": ({"name": "Faro"}, {"notes": ["told"]}),
    "How old is Ada?": (36, {}),
    "How old is Bób?": (40, {}),
    "What does it weigh, in Faro?": (4, {}),
}
"""By question: the answer, and other state keys that are given with it."""


async def yaml_go_on(store: Store, count: int = 9) -> Any:
    """Resume with up to `count` answers, one at a time, and give the result."""
    routes = ScriptedLM({"sort": {"kind": "parcel"}})
    result = await yaml_graph().resume("t", store=store, lm=routes)
    while result.interrupts and count:
        asked = result.interrupts[0]
        answer, state = YAML_ANSWERS[asked.question]
        result = await yaml_graph().resume("t", {asked.id: answer, **state}, store=store, lm=routes)
        count -= 1
    return result


async def yaml_begin(store: Store) -> None:
    given = {"place": {"name": "Málaga", "tags": ["sea"]}, "names": ["Ada", "Bób"]}
    routes = ScriptedLM({"sort": {"kind": "parcel"}})
    await yaml_graph().run(given, store=store, thread_id="t", lm=routes)


async def yaml_interrupted(store: Store) -> None:
    await yaml_begin(store)
    await yaml_go_on(store, 2)


async def yaml_nested(store: Store) -> None:
    await yaml_begin(store)
    await yaml_go_on(store, 3)


async def yaml_complete(store: Store) -> None:
    await yaml_begin(store)
    await yaml_go_on(store)


async def fetch(url: str) -> list[int]:
    return [1, 2, 3]


async def weigh(item: int) -> Place:
    if item == 2 and "item" in broken:
        raise ValueError("ñot yet")
    return Place("Málaga", ("kg",) * item)


async def flawed(placed: list[Place]) -> str:
    raise OSError("no route")


def stand_in(placed: list[Place]) -> str:
    return placed[-1].name * len(placed)


def pipeline() -> Pipeline:
    steps = [
        PythonTask(fetch, returns=["items"]),
        Map("items", PythonTask(weigh, returns=["placed"], retry=Retry(attempts=2, delay=0)), max_concurrency=1),
        PythonTask(flawed, returns=["text"], on_failure=PythonTask(stand_in, returns=["text"])),
    ]
    return Pipeline(steps, name="weights")


@contextmanager
def outside_of_git() -> Iterator[None]:
    """Runs record the commit that they are of; there is one or not, depending on where the tests are."""
    before = os.environ.get("GIT_DIR")
    os.environ["GIT_DIR"] = os.devnull
    try:
        yield
    finally:
        if before is None:
            del os.environ["GIT_DIR"]
        else:
            os.environ["GIT_DIR"] = before


async def pipeline_failed(store: Store) -> None:
    broken.add("item")
    with outside_of_git(), suppress(NodeError):
        await pipeline().execute(parameters={"url": "u"}, store=store, run_id="t", tag="nightly")
    broken.clear()


async def pipeline_complete(store: Store) -> None:
    await pipeline_failed(store)
    await pipeline().retry("t", store=store)


SCENARIOS: dict[str, Callable[[Store], Awaitable[None]]] = {
    one.__name__: one
    for one in (
        interrupted,
        nested,
        complete,
        failed,
        failed_dependency,
        cancelled,
        killed,
        forked,
        two_runs,
        branches,
        yaml_interrupted,
        yaml_nested,
        yaml_complete,
        pipeline_failed,
        pipeline_complete,
    )
}


async def read(store: Store, thread_id: str = "t") -> tuple[list[Record], dict[str, str]]:
    """The records of a thread, and its values."""
    from dagflow.core import records as texts

    async with store.open() as session:
        records = list(await session.read(thread_id))
        digests = texts.references(texts.parse(records, thread_id=thread_id))
        return records, dict(await session.read_values(thread_id, digests))


async def write(store: Store, records: list[Record], values: dict[str, str], status: Any) -> None:
    """Append records to the thread `t`."""
    async with store.open() as session:
        lease = await session.acquire("t")
        await session.append(lease, records, values=values, head=Head("", status))
        await session.release(lease)


async def copy(store: Store, other: Store) -> None:
    """Copy the thread into another store."""
    records, values = await read(store)
    await write(other, records, values, "running")


def save(name: str, records: list[Record], values: dict[str, str]) -> None:
    """Write a journal to its files: a record, or a value, in each line."""
    (FOLDER / f"{name}.records").write_bytes("".join(f"{record.text}\n" for record in records).encode())
    (FOLDER / f"{name}.values").write_bytes("".join(f"{key} {values[key]}\n" for key in sorted(values)).encode())


def load(name: str) -> tuple[list[Record], dict[str, str]]:
    """Read a journal from its files."""
    # Not `splitlines`: a text may hold other line separators than "\n".
    lines = (FOLDER / f"{name}.records").read_bytes().decode().split("\n")[:-1]
    values = (FOLDER / f"{name}.values").read_bytes().decode().split("\n")[:-1]
    records = [Record(number, line) for number, line in enumerate(lines, 1)]
    return records, {digest: text for digest, _, text in (line.partition(" ") for line in values)}


async def main() -> None:
    """Write what is missing."""
    for name, scenario in SCENARIOS.items():
        if not (FOLDER / f"{name}.records").exists():
            store = MemoryStore()
            await scenario(store)
            save(name, *await read(store))
            print(name)


if __name__ == "__main__":
    # As a module of its own name, so that its functions are called the same as in the tests.
    from durable.journals import scenarios

    anyio.run(scenarios.main)
