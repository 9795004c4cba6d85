"""Typed graphs: routing, filling, recalling, and what a run gives back."""

from typing import Annotated, Any

import anyio
import attrs
import pytest

from dagflow import (
    Dep,
    DepError,
    Graph,
    GraphError,
    GraphResult,
    Node,
    NodeConfig,
    NodeError,
    Recall,
    RecallError,
    Retry,
    RunTimeout,
    StepLimitError,
    dep,
    field,
    recall,
)
from dagflow.kernel.context import current_activation


@attrs.frozen
class Place:
    name: str


@attrs.frozen
class Weather:
    celsius: float
    sky: str


async def locate() -> Place:
    return Place("Lisbon")


async def forecast(place: Annotated[Place, Dep(locate)]) -> Weather:
    return Weather(21.5, f"blue over {place.name}")


def read_calendar() -> list[str]:
    return ["stand-up"]


class GetDressed(Node):
    message: str

    async def __call__(self) -> "Outfit": ...


class Outfit(Node):
    weather: Annotated[Weather, Dep(forecast)]
    agenda: list[str] = dep(read_calendar)
    top: str = field(description="a garment for the upper body")

    async def __call__(self) -> None: ...


class FakeLM:
    """A language model that fills from a table and chooses by name; it counts what it is asked."""

    def __init__(self, answers: dict[str, Any] | None = None, choices: list[str | None] | None = None) -> None:
        self.answers = answers or {}
        self.choices = choices or []
        self.asked: list[str] = []

    async def fill(self, target: Any, resolved: Any, instruction: str, source: Any = None) -> Any:
        self.asked.append(f"fill {target.__name__}: {instruction}")
        await anyio.lowlevel.checkpoint()
        return target(**resolved, **self.answers.get(target.__name__, {}))

    async def choose_type(self, types: Any, context: Any) -> Any:
        self.asked.append("choose")
        name = self.choices.pop(0)
        return next(item for item in types if (item.__name__ if item else None) == name)

    async def make(self, node: Any, target: Any) -> Any:
        from dagflow.kernel.context import resolve_inputs

        return await self.fill(target, await resolve_inputs(target), target.__name__, node)

    async def decide(self, node: Any) -> Any:
        raise AssertionError("not used here")


async def test_the_documented_program_runs() -> None:
    """A message leads to a filled outfit, with its dependencies resolved and the trace in order."""
    lm = FakeLM({"Outfit": {"top": "linen shirt"}})
    result = await Graph(start=GetDressed).run(GetDressed(message="just got up"), lm=lm)
    outfit = Outfit(weather=Weather(21.5, "blue over Lisbon"), agenda=["stand-up"], top="linen shirt")  # type: ignore[call-arg]  # resolved fields are not in the constructor that type checkers see
    assert outfit == result.node
    assert (GetDressed(message="just got up"), outfit) == result.trace
    assert "complete" == result.status
    assert ["fill Outfit: Outfit"] == lm.asked


def test_run_sync_is_the_boundary_for_scripts() -> None:
    """`run_sync` runs a graph on the backend asked for, without an event loop around it."""
    graph = Graph(start=GetDressed)
    for backend in ("asyncio", "trio"):
        result = graph.run_sync(
            GetDressed(message="hi"),
            lm=FakeLM({"Outfit": {"top": "shirt"}}),
            backend=backend,
        )
        assert "shirt" == result.node.top
    with pytest.raises(ValueError, match="'asyncio' or 'trio', not 'curio'"):
        graph.run_sync(GetDressed(message="hi"), backend="curio")  # type: ignore[arg-type]  # the mistake


async def test_run_sync_says_so_inside_a_running_loop() -> None:
    """Inside an event loop `run_sync` refuses, and says what to write instead."""
    with pytest.raises(RuntimeError, match=r"use `await graph.run\(...\)`"):
        Graph(start=GetDressed).run_sync(GetDressed(message="hi"))


async def test_a_run_without_a_model_is_refused_before_it_starts() -> None:
    """A graph that needs a language model says for what, before anything runs."""
    with pytest.raises(GraphError, match=r"Outfit \(top\) is filled by the language model; pass lm="):
        await Graph(start=GetDressed).run(GetDressed(message="hi"))


class Pick(Node):
    async def __call__(self) -> "Left | Right | None": ...


class Left(Node):
    async def __call__(self) -> None: ...


class Right(Node):
    async def __call__(self) -> None: ...


@pytest.mark.parametrize(("choice", "last"), [("Left", Left), ("Right", Right), (None, Pick)])
async def test_the_model_chooses_among_types_and_stopping(choice: str | None, last: type[Node]) -> None:
    """Several candidates are one choice call; a chosen node without plain fields costs no further call."""
    lm = FakeLM(choices=[choice])
    result = await Graph(start=Pick).run(Pick(), lm=lm)
    assert last is type(result.node)
    assert ["choose"] == lm.asked


async def test_a_choice_outside_the_hint_is_an_error() -> None:
    """A model that chooses what may not follow fails the run, naming both."""

    class Wild(FakeLM):
        async def choose_type(self, types: Any, context: Any) -> Any:
            return Outfit

    with pytest.raises(NodeError, match=r"chose Outfit, but Left \| Right \| None may follow"):
        await Graph(start=Pick).run(Pick(), lm=Wild())


class Count(Node):
    number: int

    async def __call__(self) -> "Count | Counted":
        return Count(number=self.number + 1) if self.number < 3 else Counted(total=self.number)


class Counted(Node):
    total: int
    history: list[int] = recall()

    async def __call__(self) -> None: ...


class Counting(Node):
    number: int

    async def __call__(self) -> "Counting | None":
        return Counting(number=self.number + 1) if self.number < 5 else None


async def test_a_body_decides_for_itself_and_may_loop() -> None:
    """A body's own choice is followed, loops included, and every activation is in the trace."""
    result = await Graph(start=Counting).run(Counting(number=1))
    assert [1, 2, 3, 4, 5] == [node.number for node in result.trace]  # type: ignore[attr-defined]  # all Counting


async def test_the_step_limit_ends_a_loop() -> None:
    """A run that would start more nodes than `max_steps` fails, with the nodes so far in the error."""
    graph = Graph(start=Counting, max_steps=3)
    with pytest.raises(StepLimitError, match="max_steps=3 and node Counting#4 was to start next") as caught:
        await graph.run(Counting(number=1))
    assert [1, 2, 3] == [node.number for node in caught.value.trace]
    assert 5 == len((await graph.run(Counting(number=1), max_steps=5)).trace)
    assert 5 == len((await graph.run(Counting(number=1), max_steps=None)).trace)


async def test_a_recall_without_a_match_names_type_and_field() -> None:
    """A recalled type that no earlier plain field has fails the run, saying where it looked."""
    with pytest.raises(RecallError, match=r"Counted.history recalls list\[int\].*Count, Count, Count") as caught:
        await Graph(start=Count).run(Count(number=1))
    assert ("Counted", "history") == (caught.value.node, caught.value.field)
    assert 3 == len(caught.value.trace)


class Animal:
    """A base class to recall by."""


class Dog(Animal):
    """A subclass."""


class Start(Node):
    words: list[str]
    maybe: str | None = None
    pet: Dog
    number: int = 1

    async def __call__(self) -> "Middle":
        return Middle(words=["newer"], other=2.5)


class Middle(Node):
    words: list[str]
    other: float

    async def __call__(self) -> "End": ...


class End(Node):
    newest: list[str] = recall()
    pet: Annotated[Animal, Recall()]
    number: Annotated[int, Recall()]
    missing: Annotated[bytes | None, Recall()] = None
    maybe: Annotated[str | None, Recall()]

    async def __call__(self) -> None: ...


async def test_recall_finds_the_newest_value_by_type() -> None:
    """Recall searches plain fields, newest first: generics by type, subclasses match, a default covers none."""
    dog = Dog()
    result = await Graph(start=Start).run(Start(words=["older"], pet=dog))
    end = result.node
    assert (["newer"], dog, 1, None, None) == (end.newest, end.pet, end.number, end.missing, end.maybe)


async def test_the_callers_instance_is_not_changed_and_given_values_are_kept() -> None:
    """A value that the caller gives a dependency field is kept; the instance itself stays as it was."""

    class Given(Node):
        place: Place = dep(locate)
        weather: Weather = dep(forecast)

        async def __call__(self) -> None: ...

    start = Given(place=Place("Porto"))  # type: ignore[call-arg]  # see above
    result = await Graph(start=Given).run(start)
    assert Place("Porto") == result.node.place
    assert Weather(21.5, "blue over Lisbon") == result.node.weather
    assert "UNSET" == repr(start.weather)


async def test_a_dependency_is_called_once_in_a_run_and_again_in_the_next() -> None:
    """Nodes of a run share their dependencies' values; two runs never do."""
    calls = 0

    async def expensive() -> list[int]:
        nonlocal calls
        calls += 1
        return [calls]

    class One(Node):
        value: list[int] = dep(expensive)

        async def __call__(self) -> "Two":
            return Two()

    class Two(Node):
        value: list[int] = dep(expensive)

        async def __call__(self) -> None: ...

    graph = Graph(start=One, namespace=locals())
    first = await graph.run(One())
    assert first.trace[0].value is first.trace[1].value  # type: ignore[attr-defined]  # One and Two have it
    assert 1 == calls
    assert [2] == (await graph.run(One())).node.value


async def test_overrides_replace_dependencies_and_unknown_ones_are_refused() -> None:
    """`deps=` stands for callables of the graph; one that no node depends on is an error with a suggestion."""
    graph = Graph(start=GetDressed)
    lm = FakeLM({"Outfit": {"top": "coat"}})
    cold = Weather(-5.0, "white")
    result = await graph.run(GetDressed(message=""), lm=lm, deps={forecast: cold})
    assert cold == result.node.weather

    async def forecasts() -> Weather:
        return cold

    with pytest.raises(GraphError, match=r"overrides forecasts, which no node depends on; did you mean 'forecast'\?"):
        await graph.run(GetDressed(message=""), lm=lm, deps={forecasts: cold})


async def test_a_failing_dependency_carries_the_partial_trace() -> None:
    """A dependency of a node about to be filled fails the run with node, field, callable and the trace so far."""

    async def broken() -> Place:
        raise OSError("no signal")

    class Asks(Node):
        async def __call__(self) -> "Needs": ...

    class Needs(Node):
        place: Place = dep(broken)
        text: str

        async def __call__(self) -> None: ...

    lm = FakeLM()
    with pytest.raises(DepError, match=r"dependency Needs.place \(broken\): OSError: no signal") as caught:
        await Graph(start=Asks, namespace=locals()).run(Asks(), lm=lm)
    (failure,) = caught.value.failures
    assert ("Needs", "place", broken) == (failure.node, failure.field, failure.callable)
    assert (Asks(),) == caught.value.trace
    assert [] == lm.asked


class Raises(Node):
    async def __call__(self) -> None:
        raise KeyError("lost")


async def test_a_raising_body_is_a_node_error_with_its_cause() -> None:
    """What a body raises is kept as the cause of a NodeError that names the node."""
    with pytest.raises(NodeError, match="node Raises#1 failed: KeyError: 'lost'") as caught:
        await Graph(start=Raises).run(Raises())
    assert "Raises" == caught.value.node
    assert isinstance(caught.value.__cause__, KeyError)
    assert caught.value.failures[0].exception is caught.value.__cause__


class Wrong(Node):
    what: Any

    async def __call__(self) -> "Left":
        return self.what() if self.what is coroutine else self.what  # type: ignore[return-value]  # wrong on purpose


async def coroutine() -> None:
    """Returned instead of awaited."""


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (Right(), "declared to return Left, but it returned an instance of Right"),
        (None, r"returned None; declare `-> Left \| None`"),
        (Left, "returned the class Left itself; return an instance"),
        (coroutine, "an `await` is missing"),
        (object(), "an instance of object"),
    ],
)
async def test_an_undeclared_return_is_refused(what: Any, message: str) -> None:
    """A body that returns what its hint does not declare fails, naming what it returned and what it may."""
    with pytest.raises(NodeError, match=message):
        await Graph(start=Wrong).run(Wrong(what=what))


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
async def test_base_exceptions_of_a_body_are_never_wrapped(kind: type[BaseException]) -> None:
    """An interrupt from a body reaches the caller as it is."""

    class Quits(Node):
        async def __call__(self) -> None:
            raise kind("out")

    with pytest.raises(kind, match="out"):
        await Graph(start=Quits).run(Quits())


class Sleeps(Node):
    async def __call__(self) -> "Sleeper":
        return Sleeper()


class Sleeper(Node):
    async def __call__(self) -> None:
        await anyio.sleep_forever()


class Stubborn(Node):
    async def __call__(self) -> None:
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            pass


@pytest.mark.slow
async def test_a_run_timeout_keeps_the_partial_trace() -> None:
    """A run that passes its timeout says what ran, and carries the nodes that had completed."""
    with pytest.raises(RunTimeout, match="timeout of 0.2 s passed while Sleeper#1 ran") as caught:
        await Graph(start=Sleeps).run(Sleeps(), timeout=0.2)
    assert (Sleeps(),) == caught.value.trace
    assert isinstance(caught.value, TimeoutError)


async def test_a_body_that_swallows_cancellation_is_still_timed_out() -> None:
    """What a body returns after it was cancelled does not count, and the run ends as timed out."""
    with pytest.raises(RunTimeout):
        await Graph(start=Stubborn).run(Stubborn(), timeout=0.01)


async def test_a_node_timeout_is_a_node_error() -> None:
    """A node that passes its own timeout fails the run with a TimeoutError as its cause."""

    class Slow(Node):
        node_config = NodeConfig(timeout=0.01)

        async def __call__(self) -> None:
            await anyio.sleep_forever()

    with pytest.raises(NodeError, match=r"Slow#1 failed: TimeoutError: it passed its timeout of 0.01 s") as caught:
        await Graph(start=Slow).run(Slow())
    assert isinstance(caught.value.__cause__, TimeoutError)


async def test_a_node_is_tried_again_as_its_config_says() -> None:
    """A node with a retry runs again after a failure, and its dependencies are not called again."""
    attempts = called = 0

    async def called_once() -> int:
        nonlocal called
        called += 1
        return 1

    class Flaky(Node):
        node_config = NodeConfig(retry=Retry(attempts=3, delay=0))
        value: int = dep(called_once)

        async def __call__(self) -> None:
            nonlocal attempts
            attempts += 1
            if attempts < 3:
                raise OSError("again")

    result = await Graph(start=Flaky).run(Flaky())
    assert (3, 1) == (attempts, called)
    names = [type(event).__name__ for event in result.events]
    assert 2 == names.count("NodeRetried")


async def test_a_node_config_is_inherited_by_no_sibling() -> None:
    """A node's own model and instruction are its own; the others use the run's."""
    own = FakeLM({"Special": {"text": "own"}})

    class First(Node):
        async def __call__(self) -> "Special": ...

    class Special(Node):
        node_config = NodeConfig(lm=own, instruction="Write something special")
        text: str

        async def __call__(self) -> "Ordinary": ...

    class Ordinary(Node):
        text: str

        async def __call__(self) -> None: ...

    shared = FakeLM({"Ordinary": {"text": "shared"}})
    result = await Graph(start=First, namespace=locals()).run(First(), lm=shared)
    assert ["fill Special: Write something special"] == own.asked
    assert ["fill Ordinary: Ordinary"] == shared.asked
    assert "shared" == result.node.text


async def test_a_body_may_take_the_model_and_make_a_node_with_it() -> None:
    """`lm.make` resolves the target's dependencies through the run, and fills its plain fields."""

    class Custom(Node):
        async def __call__(self, lm: FakeLM) -> Outfit:
            made: Outfit = await lm.make(self, Outfit)
            return made

    lm = FakeLM({"Outfit": {"top": "jumper"}})
    result = await Graph(start=Custom).run(Custom(), lm=lm)
    assert ("jumper", Weather(21.5, "blue over Lisbon")) == (result.node.top, result.node.weather)


async def test_a_node_type_can_be_a_dependency() -> None:
    """`Dep(NodeType)` resolves that node's fields, fills its plain ones, and gives the node."""

    class Mood(Node):
        place: Place = dep(locate)
        words: str

    class Asks(Node):
        mood: Mood = dep(Mood)
        calendar: list[str] = dep(read_calendar)

        async def __call__(self) -> None: ...

    lm = FakeLM({"Mood": {"words": "cheerful"}})
    result = await Graph(start=Asks).run(Asks(), lm=lm)
    assert Mood(place=Place("Lisbon"), words="cheerful") == result.node.mood  # type: ignore[call-arg]  # see above


async def test_nested_runs_inherit_model_journal_and_limit() -> None:
    """A run inside a body or dependency records into the outer journal, and lends its permit while it waits."""
    inner = Graph(start=GetDressed)

    async def dress() -> Outfit:
        node: Outfit = (await inner.run(GetDressed(message="nested"))).node
        return node

    class Outer(Node):
        outfit: Outfit = dep(dress)

        async def __call__(self) -> None:
            await inner.run(GetDressed(message="from the body"))

    lm = FakeLM({"Outfit": {"top": "vest"}})
    with anyio.fail_after(5):
        result = await Graph(start=Outer, max_concurrency=1).run(Outer(), lm=lm)
    assert "vest" == result.node.outfit.top
    runs = [event.run for event in result.events if type(event).__name__ == "RunStarted"]
    assert [result.run, f"{result.run}/Outer#1/dress/GetDressed.1", f"{result.run}/Outer#1/GetDressed.1"] == runs


async def test_an_error_of_a_nested_run_keeps_both_traces() -> None:
    """A nested run's error is the cause of the outer one, each with its own trace."""
    inner = Graph(start=Raises)

    class Outer(Node):
        async def __call__(self) -> None:
            await inner.run(Raises())

    with pytest.raises(NodeError, match=r"node Outer#1 failed: NodeError: node Raises#1 failed") as caught:
        await Graph(start=Outer).run(Outer())
    assert isinstance(caught.value.__cause__, NodeError)
    assert "Raises" == caught.value.__cause__.node


async def test_a_limit_bounds_what_works_at_once() -> None:
    """`max_concurrency` bounds the dependencies that are under way at once."""
    working = most = 0

    def one(number: int) -> Any:
        async def work() -> int:
            nonlocal working, most
            working += 1
            most = max(most, working)
            await anyio.sleep(0.001)
            working -= 1
            return number

        return work

    async def gather(
        a: Annotated[int, Dep(one(1))],
        b: Annotated[int, Dep(one(2))],
        c: Annotated[int, Dep(one(3))],
        d: Annotated[int, Dep(one(4))],
    ) -> int:
        return a + b + c + d

    class Sums(Node):
        total: int = dep(gather)

        async def __call__(self) -> None: ...

    result = await Graph(start=Sums, max_concurrency=2).run(Sums())
    assert (10, 2) == (result.node.total, most)


async def test_a_result_tells_usage_and_timings() -> None:
    """The timeline has a span for each node and dependency, and its critical path ends with the last node."""
    result = await Graph(start=GetDressed).run(GetDressed(message=""), lm=FakeLM({"Outfit": {"top": "x"}}))
    assert isinstance(result, GraphResult)
    assert {"GetDressed", "Outfit", "locate", "forecast", "read_calendar"} == {s.name for s in result.timeline.spans}
    assert 0 == result.usage.requests
    assert result.critical_path


async def test_a_body_sees_its_activation_and_nobody_else_does() -> None:
    """The current activation is set inside a body, and unset around the run."""
    seen: list[Any] = []

    class Looks(Node):
        async def __call__(self) -> None:
            seen.append(current_activation())

    await Graph(start=Looks).run(Looks())
    assert ("Looks", "Looks#1", 1) == (seen[0].node, seen[0].activation, seen[0].attempt)
    assert current_activation() is None


async def test_a_wrong_start_is_refused() -> None:
    """A graph starts with an instance of its start node, and says what it was given instead."""
    graph = Graph(start=GetDressed)
    for given, said in ((Left(), "a Left"), (GetDressed, "the class GetDressed")):
        with pytest.raises(TypeError, match=f"starts with an instance of GetDressed, not {said}"):
            await graph.run(given)  # type: ignore[arg-type]  # the mistake
    with pytest.raises(TypeError, match="missing 1 required keyword-only argument: 'message'"):
        GetDressed()  # type: ignore[call-arg]  # the mistake
    with pytest.raises(TypeError, match="unexpected keyword argument 'massage'"):
        GetDressed(massage="x")  # type: ignore[call-arg]  # the mistake


async def test_cancellation_from_outside_passes_through() -> None:
    """A cancelled run waits for the clean-up of its nodes, passes the cancellation on, and says so in its events."""
    cleaned = False

    class Waits(Node):
        async def __call__(self) -> None:
            nonlocal cleaned
            try:
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(0.001)
                cleaned = True

    with anyio.move_on_after(0.01) as scope:
        await Graph(start=Waits).run(Waits())
    assert scope.cancelled_caught
    assert cleaned


async def test_a_failure_during_cancellation_is_not_lost() -> None:
    """A node that fails while it is being cancelled replaces the cancellation, as a `finally` block would."""

    class Breaks(Node):
        async def __call__(self) -> None:
            try:
                await anyio.sleep_forever()
            finally:
                raise OSError("disk full")

    with pytest.raises(NodeError, match="disk full"), anyio.move_on_after(0.01):
        await Graph(start=Breaks).run(Breaks())


@pytest.mark.parametrize(
    ("lm", "message"), [(FakeLM, "not the class FakeLM itself; write FakeLM"), ("gpt", "lm='gpt' is no language model")]
)
async def test_what_is_no_language_model_is_refused(lm: Any, message: str) -> None:
    """A run, or a node's configuration, refuses a model that is none before anything starts."""
    with pytest.raises(TypeError, match=message):
        await Graph(start=GetDressed).run(GetDressed(message=""), lm=lm)
    with pytest.raises(TypeError, match=message):
        NodeConfig(lm=lm)


async def test_a_node_as_a_dependency_keeps_its_own_timeout() -> None:
    """The timeout that a node is configured with counts where the node is a dependency, too."""

    class Stalls(FakeLM):
        async def fill(self, target: Any, resolved: Any, instruction: str, source: Any = None) -> Any:
            await anyio.sleep_forever()

    class Slow(Node):
        node_config = NodeConfig(timeout=0.01)
        text: str

    class Asks(Node):
        slow: Slow = dep(Slow)

        async def __call__(self) -> None: ...

    with pytest.raises(DepError, match=r"Asks.slow \(Slow\): TimeoutError: no value within its timeout of 0.01 s"):
        await Graph(start=Asks).run(Asks(), lm=Stalls())
