"""Faults of a graph: each is found when the graph is built, all of them at once, with where and what to do."""

import contextlib
import functools
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

import pytest

from dagflow import Dep, Graph, GraphError, Node, Recall, dep, field, recall, resolve_dep


async def number() -> int:
    return 1


def unannotated():  # type: ignore[no-untyped-def]  # the fault that is tested
    return 1


def slow() -> int:
    return 1


def faults_of(start: Any, **options: Any) -> tuple[str, ...]:
    with pytest.raises(GraphError) as caught:
        Graph(start=start, **options)
    return caught.value.faults


class Terminal(Node):
    async def __call__(self) -> None: ...


def test_all_faults_are_reported_at_once() -> None:
    """A graph with many faults is told all of them in one error, each with its node and field."""

    class Faulty(Node):
        recalled: Annotated[str, Recall()]
        wrong: Annotated[str, Dep(number)]
        silent: int = dep(unannotated)
        nothing: Annotated[int, Dep(3)]

        def __call__(self) -> "Loop": ...  # type: ignore[override]  # the fault that is tested

    class Loop(Node):
        async def __call__(self) -> "Loop": ...

    faults = faults_of(Faulty, namespace=locals())
    assert [
        "Faulty has a sync __call__; write `async def __call__`",
        "Faulty.wrong is str, but number returns int",
        "Faulty.silent: unannotated has no return annotation; say what it returns, as `def unannotated(...) -> T`",
        "Faulty.nothing depends on 3, which is not callable; write Dep(fn), not Dep(fn())",
        "Faulty.recalled recalls from the trace, which is empty at the start node; pass it instead",
        "Faulty has no path to a terminal node; let it, or a node after it, return None",
        "Loop has no path to a terminal node; let it, or a node after it, return None",
    ] == list(faults)


def test_a_dependency_cycle_is_spelled_out() -> None:
    """A cycle of dependencies is told as the way that it goes."""

    async def one(value: "Annotated[int, Dep(two)]") -> int:
        return value

    async def two(value: "Annotated[int, Dep(three)]") -> int:
        return value

    async def three(value: "Annotated[int, Dep(one)]") -> int:
        return value

    class Asks(Node):
        value: Annotated[int, Dep(one)]

        async def __call__(self) -> None: ...

    (fault,) = faults_of(Asks, namespace=locals())
    assert "Asks.value depends on itself: one -> two -> three -> one" == fault


@pytest.mark.parametrize(
    ("given", "wanted", "fits"),
    [
        (int, int, True),
        (bool, int, True),
        (int, float, True),
        (str, int, False),
        (list[int], list[int], True),
        (list[int], list[str], False),
        (int, int | None, True),
        (int | None, int, False),
        (int | str, int | str | None, True),
        (dict[str, int], dict[str, str], False),
        (tuple[int, str], tuple[int, ...], False),
        (tuple[int, int], tuple[int, ...], True),
        (Any, int, True),
    ],
)
def test_a_dependency_must_fit_its_field(given: Any, wanted: Any, fits: bool) -> None:
    """A dependency's return type is compared with the field's, generics and unions too."""

    async def source() -> Any:
        return None

    source.__annotations__["return"] = given

    class Asks(Node):
        value: Annotated[wanted, Dep(source)]

        async def __call__(self) -> None: ...

    if fits:
        Graph(start=Asks)
    else:
        assert "Asks.value is" in faults_of(Asks)[0]


def test_two_nodes_of_one_name_are_refused() -> None:
    """Node names are unique in a graph; both classes are told."""

    class Other(Node):
        async def __call__(self) -> "Terminal": ...

    def make() -> type[Node]:
        class Terminal(Node):
            async def __call__(self) -> Other: ...

        return Terminal

    faults = faults_of(make(), namespace={"Terminal": Terminal, "Other": Other})
    assert faults[0].startswith("two nodes are named Terminal: ")


def test_options_that_cannot_work_are_refused() -> None:
    """A timeout on a thread, an offloaded coroutine, and two sets of options for one callable are faults."""

    class Asks(Node):
        timed: int = dep(slow, timeout=1)
        offloaded: int = dep(number, offload="thread")
        in_process: int = dep(lambda: 1, offload="process")
        again: int = dep(number)

        async def __call__(self) -> None: ...

    faults = "\n".join(faults_of(Asks))
    assert 'slow is a sync function with a timeout, but a thread cannot be stopped; give it offload="process"' in faults
    assert "number is async, so offload='thread' does not apply to it" in faults
    assert "it is a lambda, and another process finds a function by the name of its module" in faults
    assert "mark number with different options" in faults


def test_options_that_contradict_across_nodes_are_refused() -> None:
    """One callable with two sets of options is a fault in two nodes as well."""

    class First(Node):
        value: int = dep(number, timeout=1)

        async def __call__(self) -> "Second": ...

    class Second(Node):
        value: int = dep(number, timeout=2)

        async def __call__(self) -> None: ...

    (fault,) = faults_of(First, namespace=locals())
    assert "First.value and Second.value mark number with different options" in fault


def test_generators_are_no_dependencies() -> None:
    """A bare generator is refused, with the decorator that makes it a context manager."""

    async def yields() -> AsyncIterator[int]:
        yield 1

    def yields_sync() -> Iterator[int]:
        yield 1

    class Asks(Node):
        one: AsyncIterator[int] = dep(yields)
        two: Iterator[int] = dep(yields_sync)

        async def __call__(self) -> None: ...

    faults = "\n".join(faults_of(Asks))
    assert "yields is an async generator; decorate it with contextlib.asynccontextmanager" in faults
    assert "yields_sync is a generator" in faults


def test_a_parameter_that_nothing_fills_is_refused() -> None:
    """A dependency's parameter needs a Dep, a default, or a partial that binds it."""

    async def needs(value: int) -> int:
        return value

    class Asks(Node):
        value: int = dep(needs)
        bound: int = dep(functools.partial(needs, 1))

        async def __call__(self) -> None: ...

    (fault,) = faults_of(Asks)
    assert "needs: parameter 'value' has no default and no Dep; annotate it as `value: Annotated[T, Dep(fn)]`" in fault


def test_a_field_with_two_sources_is_refused() -> None:
    """Two markers, a marker class without its call, and a default beside a dependency are faults."""

    class Asks(Node):
        two: Annotated[int, Dep(number), Recall()]
        bare: Annotated[int, Recall]
        both: Annotated[int, Dep(number)] = 3

        async def __call__(self) -> None: ...

    faults = "\n".join(faults_of(Asks))
    assert "Asks.two has 2 markers" in faults
    assert "Asks.bare is marked with a class; write Dep(fn), Recall() or Gate('...?')" in faults


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("async def __call__(self): ...", "has no return hint on __call__"),
        ("async def __call__(self) -> 'Missing': ...", "returns Missing, where the name 'Missing' is not known"),
        ("async def __call__(self) -> int: ...", "may return int, which is no node type"),
        ("async def __call__(self) -> None:\n  yield 1", "has a __call__ that yields"),
        ("async def __call__(self, extra) -> None: ...", "has a __call__ parameter 'extra' that nothing can fill"),
        (
            "value: 'Missing'\n async def __call__(self) -> None: ...",
            "N.value: the name 'Missing' in its hint is not known",
        ),
        ("pass", "has no __call__; write `async def __call__"),
    ],
)
def test_a_node_that_cannot_run_is_refused(source: str, message: str) -> None:
    """What is wrong with a node's hints or body is told by name."""
    namespace: dict[str, Any] = {"Node": Node}
    exec(f"class N(Node):\n {source}", namespace)
    assert message in "\n".join(faults_of(namespace["N"]))


def test_wrong_options_of_a_graph_are_refused() -> None:
    """A graph takes a node type, a known schedule, and limits of at least one."""
    with pytest.raises(TypeError, match="takes a subclass of Node, not 3"):
        Graph(start=3)  # type: ignore[arg-type]  # the mistake
    with pytest.raises(ValueError, match="'levels' or 'eager', not 'lazy'"):
        Graph(start=Terminal, schedule="lazy")  # type: ignore[arg-type]  # the mistake
    for option in ("max_concurrency", "max_steps"):
        with pytest.raises(ValueError, match=f"{option} must be at least 1"):
            Graph(start=Terminal, **{option: 0})  # type: ignore[arg-type]  # by name


REPL = """
import anyio
from dagflow import Graph, Node, dep, field
async def number() -> int: return 41
class First(Node):
    value: int = dep(number)
    async def __call__(self) -> "Second":
        return Second(total=self.value + 1)
class Second(Node):
    total: int
    async def __call__(self) -> None:
        '''An empty body with a docstring.'''

print(Graph(start=First).run_sync(First()).node.total)
"""


def test_nodes_typed_into_a_repl_work() -> None:
    """Node types need no source file: a program on standard input runs."""
    ended = subprocess.run([sys.executable, "-"], input=REPL, capture_output=True, text=True, check=True)
    assert "42" == ended.stdout.strip()


async def test_nodes_made_by_exec_and_in_functions_work() -> None:
    """Node types made by `exec`, or in a function with `namespace=locals()`, work, empty bodies included."""
    namespace: dict[str, Any] = {"__name__": "made_by_exec"}
    exec(REPL.replace("print(", "result = (").replace(".run_sync(First()).node.total", ""), namespace)
    assert 42 == (await namespace["result"].run(namespace["First"]())).node.total

    class Local(Node):
        async def __call__(self) -> "Other | Local": ...

    class Other(Node):
        async def __call__(self) -> None: ...

    graph = Graph(start=Local, namespace=locals())
    assert (Local, Other) == graph.nodes
    assert ((Local, Other), (Local, Local)) == graph.edges
    assert (Other,) == graph.terminal_nodes


async def test_the_annotated_form_and_the_field_form_are_the_same() -> None:
    """`Annotated[T, Dep(fn)]` and `= dep(fn)` declare the same input, and so do the forms of recall."""

    class Both(Node):
        one: Annotated[int, Dep(number)]
        two: int = dep(number)
        three: Annotated[str, Recall()] = "default"
        four: str = recall()
        five: str = field(description="plain", default="x")

        async def __call__(self) -> None: ...

    from dagflow.core.inputs import inputs

    assert ["dep", "dep", "recall", "recall", "plain"] == [item.kind for item in inputs(Both)]
    assert inputs(Both)[0].marker == inputs(Both)[1].marker


async def test_a_sync_context_manager_is_refused() -> None:
    """A sync context manager would never be closed in time; the async one is named."""

    @contextlib.contextmanager
    def opens() -> Iterator[int]:
        yield 1

    with pytest.raises(GraphError, match="contextlib.asynccontextmanager"):
        await resolve_dep(opens)
