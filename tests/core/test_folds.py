"""Tests of the folds over a run's events."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagflow.core import folds
from dagflow.events import (
    DependencyCancelled,
    DependencyFailed,
    DependencyStarted,
    DependencySucceeded,
    Event,
    LMCalled,
    NodeCancelled,
    NodeFailed,
    NodeRetried,
    NodeStarted,
    NodeSucceeded,
    Progress,
    RunEnded,
    RunStarted,
)
from dagflow.types import Outcome, Span, Timeline, Usage

NONE = Usage()


class Script:
    """Writes events by hand, as a run would record them."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def add(self, kind: type[Event], at: float, run: str, **fields: Any) -> None:
        self.events.append(kind(seq=len(self.events) + 1, run=run, wall=1e9 + at, elapsed=at, **fields))

    def begin(self, at: float, run: str = "r", parent: str = "") -> None:
        self.add(RunStarted, at, run, graph="Graph", fingerprint="", parent=parent)

    def close(self, at: float, outcome: Outcome, run: str = "r") -> None:
        self.add(RunEnded, at, run, outcome=outcome)

    def start(self, at: float, node: str, *parents: str, run: str = "r", attempt: int = 1) -> None:
        name = node.partition("#")[0]
        self.add(NodeStarted, at, run, node=name, activation=node, attempt=attempt, parents=parents)

    def end(self, at: float, node: str, *, run: str = "r", value: object = None) -> None:
        name = node.partition("#")[0]
        self.add(
            NodeSucceeded,
            at,
            run,
            node=name,
            activation=node,
            attempt=1,
            value=value,
            result=None,
            targets=(),
            duration=0.0,
        )

    def call(self, at: float, dependency: str, node: str, *needs: str, run: str = "r") -> None:
        self.add(DependencyStarted, at, run, dependency=dependency, name=dependency, activation=node, needs=needs)

    def give(self, at: float, dependency: str, node: str, run: str = "r") -> None:
        self.add(
            DependencySucceeded,
            at,
            run,
            dependency=dependency,
            name=dependency,
            activation=node,
            duration=0.0,
        )

    def ask(self, at: float, node: str, seconds: float, *, usage: Usage = NONE, run: str = "r") -> None:
        self.add(
            LMCalled,
            at,
            run,
            node=node.partition("#")[0],
            activation=node,
            model="model",
            purpose="fill",
            usage=usage,
            duration=seconds,
        )

    @property
    def timeline(self) -> Timeline:
        return folds.timeline(self.events)

    @property
    def critical(self) -> list[str]:
        return [span.name for span in self.timeline.critical_path]

    def span(self, name: str) -> Span:
        (found,) = (span for span in self.timeline.spans if span.name == name)
        return found


def test_spans_of_nodes() -> None:
    """A node's span goes from its start to its end, after the activations that led to it."""
    script = Script()
    script.begin(0.0)
    script.start(0.1, "A#1")
    script.end(0.3, "A#1")
    script.start(0.4, "B#1", "A#1")
    script.end(0.9, "B#1")
    script.close(1.0, "complete")
    first = Span("r/A#1", "node", "A", 0.1, 0.3, "succeeded", critical=True)
    second = Span("r/B#1", "node", "B", 0.4, 0.9, "succeeded", after=("r/A#1",), critical=True)
    assert Timeline((first, second), 1.0) == script.timeline


def test_times_count_from_the_first_event() -> None:
    """A run nested in a journal that began earlier has a timeline that begins at nought."""
    script = Script()
    script.begin(5.0)
    script.start(5.5, "A#1")
    script.end(7.0, "A#1")
    assert (0.5, 2.0, 2.0) == (script.span("A").start, script.span("A").end, script.timeline.duration)


def test_no_events() -> None:
    """Nothing ran in a run without events."""
    assert Timeline() == folds.timeline([])
    assert Usage() == folds.usage([])
    assert {} == folds.usage_by_node([])
    assert None is folds.outcome([])
    assert () == folds.trace([])


def test_dependencies_and_calls_belong_to_their_node() -> None:
    """Dependencies and model calls are inside the node that asked for them."""
    script = Script()
    script.start(0.0, "A#1")
    script.call(0.0, "locate", "A#1")
    script.give(0.2, "locate", "A#1")
    script.call(0.2, "forecast", "A#1", "locate")
    script.give(0.3, "forecast", "A#1")
    script.ask(0.75, "A#1", 0.25)
    script.end(0.8, "A#1")
    assert ["r/A#1", "r/A#1", "r/A#1"] == [script.span(n).parent for n in ("locate", "forecast", "model: fill")]
    assert (script.span("locate").id,) == script.span("forecast").after
    call = script.span("model: fill")
    assert ("lm", 0.5, 0.75) == (call.kind, call.start, call.end)


def test_nested_runs_are_inside_the_node_that_ran_them() -> None:
    """A nested run's nodes belong to the activation of the outer run, however their names repeat."""
    script = Script()
    script.begin(0.0)
    script.start(0.0, "A#1")
    script.begin(0.1, "r/A#1/inner.1", parent="A#1")
    script.start(0.1, "A#1", run="r/A#1/inner.1")
    script.begin(0.2, "r/A#1/inner.1/A#1/inner.1", parent="A#1")
    script.start(0.2, "B#1", run="r/A#1/inner.1/A#1/inner.1")
    script.end(0.3, "B#1", run="r/A#1/inner.1/A#1/inner.1")
    script.end(0.4, "A#1", run="r/A#1/inner.1")
    script.end(0.5, "A#1")
    ids = [span.id for span in script.timeline.spans]
    assert ["r/A#1", "r/A#1/inner.1/A#1", "r/A#1/inner.1/A#1/inner.1/B#1"] == ids
    assert ["", *ids[:2]] == [span.parent for span in script.timeline.spans]
    assert ["A", "A", "B"] == script.critical


def test_statuses() -> None:
    """Each way to end has its status, and what has not ended runs until the last event, a live one too."""
    script = Script()
    common = {"attempt": 1, "duration": 0.0}
    script.start(0.0, "Failed#1")
    script.start(0.0, "Cancelled#1")
    script.start(0.0, "Running#1")
    for name in ("failed", "cancelled", "running"):
        script.call(0.1, name, "Running#1")
    call = {"activation": "Running#1", "duration": 0.0}
    script.add(DependencyFailed, 0.2, "r", dependency="failed", name="failed", error="no", **call)
    script.add(DependencyCancelled, 0.3, "r", dependency="cancelled", name="cancelled", **call)
    script.add(NodeFailed, 0.4, "r", node="Failed", activation="Failed#1", error="no", **common)
    script.add(NodeCancelled, 0.5, "r", node="Cancelled", activation="Cancelled#1", **common)
    script.add(Progress, 0.9, "r", node="Running", activation="Running#1", message="half")
    for name in ("failed", "cancelled", "running"):
        assert (name, name) == (script.span(name).status, script.span(name.title()).status)
    ends = [script.span(name).end for name in ("failed", "cancelled", "Failed", "Cancelled", "running", "Running")]
    assert [0.2, 0.3, 0.4, 0.5, 0.9, 0.9] == ends


def test_attempts_are_one_span() -> None:
    """A node that is tried again has one span over all its attempts."""
    script = Script()
    script.start(0.0, "A#1")
    script.add(NodeRetried, 0.2, "r", node="A", activation="A#1", attempt=1, error="no", delay=0.1)
    script.start(0.3, "A#1", attempt=2)
    script.end(0.5, "A#1")
    assert [(0.0, 0.5)] == [(span.start, span.end) for span in script.timeline.spans]


def test_activation_begun_again_has_a_second_span() -> None:
    """What was cancelled and is begun again later has two spans, told apart by their ids."""
    script = Script()
    script.start(0.0, "A#1")
    script.add(NodeCancelled, 0.2, "r", node="A", activation="A#1", attempt=1, duration=0.2)
    script.start(0.3, "A#1")
    script.end(0.5, "A#1")
    assert ["cancelled", "succeeded"] == [span.status for span in script.timeline.spans]
    assert 2 == len({span.id for span in script.timeline.spans})


def test_spans_are_in_order_of_start() -> None:
    """A model call is recorded when it ends, and stands where it began."""
    script = Script()
    script.start(0.0, "A#1")
    script.start(0.3, "B#1")
    script.ask(0.5, "A#1", 0.4)
    assert ["A", "model: fill", "B"] == [span.name for span in script.timeline.spans]


def test_critical_path_takes_the_slower_branch() -> None:
    """Of two branches that meet, the one that ended last is critical."""
    script = Script()
    script.start(0.0, "Start#1")
    script.end(0.1, "Start#1")
    script.start(0.1, "Fast#1", "Start#1")
    script.start(0.1, "Slow#1", "Start#1")
    script.end(0.2, "Fast#1")
    script.end(0.7, "Slow#1")
    script.start(0.7, "Join#1", "Fast#1", "Slow#1")
    script.end(0.8, "Join#1")
    assert ["Start", "Slow", "Join"] == script.critical


def test_critical_path_ignores_what_a_node_did_not_wait_for() -> None:
    """A node follows its parents, though another node happened to end just before it began."""
    script = Script()
    script.start(0.0, "A#1")
    script.start(0.0, "Other#1")
    script.end(0.5, "A#1")
    script.end(0.6, "Other#1")
    script.start(0.61, "B#1", "A#1")
    script.end(0.9, "B#1")
    assert ["A", "B"] == script.critical


def test_critical_path_of_eager_dependencies() -> None:
    """A dependency that starts as soon as its own input is there follows that input."""
    script = Script()
    script.start(0.0, "N#1")
    script.call(0.0, "a", "N#1")
    script.call(0.0, "b", "N#1")
    script.give(0.1, "a", "N#1")
    script.call(0.1, "c", "N#1", "a")
    script.give(0.5, "b", "N#1")
    script.give(0.6, "c", "N#1")
    script.end(0.6, "N#1")
    assert ["N", "a", "c"] == script.critical


def test_critical_path_ignores_what_ended_meanwhile() -> None:
    """A dependency follows its own input, though another happened to end in the instant before it began."""
    script = Script()
    script.start(0.0, "N#1")
    script.call(0.0, "a", "N#1")
    script.call(0.0, "b", "N#1")
    script.give(0.1, "a", "N#1")
    script.give(0.1001, "b", "N#1")
    script.call(0.1005, "c", "N#1", "a")
    script.give(0.6, "c", "N#1")
    script.end(0.6, "N#1")
    assert ["N", "a", "c"] == script.critical


def test_critical_path_of_levels() -> None:
    """A dependency that waited for the rest of a level follows the slowest of the level."""
    script = Script()
    script.start(0.0, "N#1")
    script.call(0.0, "a", "N#1")
    script.call(0.0, "b", "N#1")
    script.give(0.1, "a", "N#1")
    script.give(0.5, "b", "N#1")
    script.call(0.5, "c", "N#1", "a")
    script.give(1.0, "c", "N#1")
    script.end(1.0, "N#1")
    assert ["N", "b", "c"] == script.critical


def test_critical_path_through_model_calls() -> None:
    """A model call follows what its node did before, and the first of it what the node waited for."""
    script = Script()
    script.start(0.0, "A#1")
    script.end(0.1, "A#1")
    script.start(0.1, "B#1", "A#1")
    script.call(0.1, "quick", "B#1")
    script.call(0.1, "slow", "B#1")
    script.give(0.2, "quick", "B#1")
    script.give(0.3, "slow", "B#1")
    script.ask(0.7, "B#1", 0.4)
    script.end(0.8, "B#1")
    assert ["A", "B", "slow", "model: fill"] == script.critical


def test_critical_path_of_model_calls_at_once() -> None:
    """Of two model calls that a node made at once, the one that ended last is critical."""
    script = Script()
    script.start(0.0, "A#1")
    script.call(0.0, "dependency", "A#1")
    script.give(0.1, "dependency", "A#1")
    script.ask(0.5, "A#1", 0.4)
    script.ask(0.7, "A#1", 0.6)
    script.end(0.8, "A#1")
    assert [("A", 0.8), ("dependency", 0.1), ("model: fill", 0.7)] == [
        (span.name, span.end) for span in script.timeline.critical_path
    ]


def test_critical_path_within_a_node() -> None:
    """A shared dependency that outlives the node that called it first did not hold that node up."""
    script = Script()
    script.start(0.0, "A#1")
    script.call(0.0, "own", "A#1")
    script.call(0.0, "shared", "A#1")
    script.give(0.1, "own", "A#1")
    script.end(0.2, "A#1")
    script.start(0.2, "B#1", "A#1")
    script.give(0.4, "shared", "A#1")
    script.end(0.6, "B#1")
    assert ["A", "own", "B"] == script.critical


def test_critical_path_through_a_shared_dependency() -> None:
    """A dependency that another node had begun is on the path of the one that needs it."""
    script = Script()
    script.start(0.0, "A#1")
    script.start(0.0, "B#1")
    script.call(0.0, "shared", "A#1")
    script.end(0.1, "A#1")
    script.give(0.4, "shared", "A#1")
    script.call(0.4, "own", "B#1", "shared")
    script.give(0.6, "own", "B#1")
    script.end(0.6, "B#1")
    assert ["B", "shared", "own"] == script.critical


def test_critical_path_of_simultaneous_work() -> None:
    """Where times are equal, as on a virtual clock, the order of the events decides."""
    script = Script()
    script.start(0.0, "A#1")
    script.start(0.0, "B#1")
    script.end(0.0, "A#1")
    script.end(0.0, "B#1")
    assert ["B"] == script.critical


def test_critical_path_of_a_run_under_way() -> None:
    """While a run is under way, what has run the longest is taken for the last to end."""
    script = Script()
    script.start(0.0, "A#1")
    script.end(0.1, "A#1")
    script.start(0.1, "Long#1", "A#1")
    script.call(0.2, "dependency", "Long#1")
    script.start(0.3, "Short#1", "A#1")
    assert ["A", "Long", "dependency"] == script.critical


def test_a_long_chain_is_no_recursion() -> None:
    """A chain far longer than Python's recursion limit is critical from end to end."""
    script = Script()
    for step in range(3_000):
        script.start(float(step), f"N#{step}", f"N#{step - 1}")
        script.end(step + 0.5, f"N#{step}")
    assert 3_000 == len(script.critical)


@given(st.data())
@settings(max_examples=15)
def test_timeline_of_any_run(data: st.DataObject) -> None:
    """In any run: spans end no earlier than they begin, lie within the run, and the critical path has no two
    spans of one level at the same time."""
    script = Script()
    waiting: list[tuple[str, str]] = []
    nodes = [f"N#{index}" for index in range(data.draw(st.integers(1, 8)))]
    done: list[str] = []
    moment, called = 0.0, 0
    while nodes or waiting:
        moment += data.draw(st.sampled_from([0.0, 0.25, 1.0]))
        if nodes and (not waiting or data.draw(st.booleans())):
            node = nodes.pop()
            parents = data.draw(st.lists(st.sampled_from(done), unique=True)) if done else []
            script.start(moment, node, *parents)
            waiting.append(("node", node))
            for _ in range(data.draw(st.integers(0, 2))):
                called += 1
                script.call(moment, f"d{called}", node)
                waiting.append((f"d{called}", node))
            continue
        kind, node = waiting.pop(data.draw(st.integers(0, len(waiting) - 1)))
        if kind != "node":
            script.give(moment, kind, node)
        elif any(other == node for _, other in waiting):
            waiting.append((kind, node))
        else:
            script.end(moment, node)
            done.append(node)
    timeline = script.timeline
    assert all(0 <= span.start <= span.end <= timeline.duration for span in timeline.spans)
    path = [span for span in timeline.critical_path if not span.parent]
    assert path
    assert max(span.end for span in timeline.spans if not span.parent) == path[-1].end
    assert all(one.end <= two.start for one, two in pairwise(path))


def test_usage() -> None:
    """Usage is summed over all calls, those of nested runs included, and for each node's name."""
    script = Script()
    script.ask(0.1, "A#1", 0.1, usage=Usage(1, 10, 5, 0.5))
    script.ask(0.2, "B#1", 0.1, usage=Usage(1, 1, 1))
    script.ask(0.3, "A#2", 0.1, usage=Usage(1, 20, 5, 0.25))
    script.ask(0.4, "B#1", 0.1, usage=Usage(1, 2, 2), run="r/A#1/inner.1")
    assert Usage(4, 33, 13, 0.75) == folds.usage(script.events)
    assert {"A": Usage(2, 30, 10, 0.75), "B": Usage(2, 3, 3)} == folds.usage_by_node(script.events)


@pytest.mark.parametrize("ended", ["complete", "interrupted", "failed", "cancelled"])
def test_outcome(ended: Outcome) -> None:
    """The outcome is that of the outermost run, whatever became of those inside it."""
    script = Script()
    script.begin(0.0)
    script.begin(0.1, "r/A#1/inner.1", parent="A#1")
    assert None is folds.outcome(script.events)
    script.close(0.2, "failed", "r/A#1/inner.1")
    assert None is folds.outcome(script.events)
    script.close(0.3, ended)
    assert ended == folds.outcome(script.events)


def test_outcome_of_a_resumed_run() -> None:
    """A run that goes on has no outcome until it ends again."""
    script = Script()
    script.begin(0.0)
    script.close(0.3, "interrupted")
    script.begin(0.5)
    assert None is folds.outcome(script.events)
    script.close(0.6, "complete")
    assert "complete" == folds.outcome(script.events)


def test_trace() -> None:
    """The trace has the values of one run in the order in which they were made, the outermost by default."""
    script = Script()
    script.begin(0.0)
    script.begin(0.1, "r/A#1/inner.1", parent="A#1")
    script.end(0.2, "X#1", value="inner", run="r/A#1/inner.1")
    script.end(0.3, "B#1", value="first")
    script.end(0.4, "A#1", value="second")
    assert ("first", "second") == folds.trace(script.events)
    assert ("inner",) == folds.trace(script.events, run="r/A#1/inner.1")


def test_events_may_be_any_iterable() -> None:
    """Each fold goes through the events once, so that a generator will do."""
    script = Script()
    script.begin(0.0)
    script.end(0.4, "A#1", value=1)
    script.close(0.5, "complete")
    assert (1,) == folds.trace(iter(script.events))
    assert "complete" == folds.outcome(iter(script.events))
    assert 0.5 == folds.timeline(iter(script.events)).duration


def test_a_request_without_an_answer_is_drawn_as_failed() -> None:
    """A model that did not answer is a failed span of its node, and needs no name."""
    asked: dict[str, Any] = {
        "run": "r",
        "wall": 0.0,
        "node": "A",
        "activation": "A#1",
        "purpose": "fill",
        "usage": Usage(1),
    }
    called = [
        LMCalled(seq=seq, elapsed=float(seq), model="", duration=0.5, answered=seq == 2, **asked) for seq in (1, 2)
    ]
    assert [("language model: fill", "failed"), ("language model: fill", "succeeded")] == [
        (span.name, span.status) for span in folds.timeline(called).spans
    ]
