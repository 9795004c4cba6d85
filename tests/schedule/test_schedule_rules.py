"""Each rule of the schedule in a graph that a person can follow; the comparison with the reference has the rest."""

import gc
import weakref
from collections.abc import Sequence

import pytest

from dagflow.core.causality import Reducer
from dagflow.core.plan import Plan, PlanNode
from dagflow.core.schedule import Activation, Schedule
from dagflow.errors import StateConflict


class Driver:
    """Feeds a schedule by the names of activations."""

    def __init__(self, edges: dict[str, str], starts: str = "a", each: str = "", **reducers: Reducer) -> None:
        nodes = [PlanNode(n, tuple(to), join="each" if n in each else "all") for n, to in edges.items()]
        self.schedule = Schedule(Plan.build(nodes, starts, reducers=reducers), reducers=reducers)
        self.known: dict[str, Activation] = {}

    def begun(self, activations: Sequence[Activation]) -> str:
        self.known |= {activation.id: activation for activation in activations}
        return " ".join(activation.id for activation in activations)

    def start(self, **writes: object) -> str:
        return self.begun(self.schedule.start(writes))

    def over(self, identity: str, targets: str = "", **writes: object) -> str:
        return self.begun(self.schedule.succeeded(self.known[identity], targets, writes))

    def parents(self, identity: str) -> str:
        return " ".join(parent.id for parent in self.known[identity].parents)

    def view(self, identity: str) -> dict[str, object]:
        return dict(self.schedule.view(self.known[identity]))


def append(old: str, new: str) -> str:
    return old + new


def test_a_join_waits_for_the_longer_branch_and_starts_once() -> None:
    """Branches of different lengths meet in one activation, whose parents are in declared order."""
    driver = Driver({"a": "bc", "b": "d", "c": "e", "d": "e", "e": ""})
    assert "a#1" == driver.start()
    assert "b#1 c#1" == driver.over("a#1", "bc")
    assert "" == driver.over("c#1", "e")
    assert ("e",) == driver.schedule.waiting
    assert "d#1" == driver.over("b#1", "d")
    assert "e#1" == driver.over("d#1", "e")
    assert "c#1 d#1" == driver.parents("e#1")


def test_a_route_not_taken_holds_nothing_up() -> None:
    """A join starts as soon as the last branch that could still reach it turned elsewhere."""
    driver = Driver({"a": "bc", "b": "df", "c": "d", "d": "", "f": ""})
    driver.start()
    driver.over("a#1", "bc")
    assert "" == driver.over("c#1", "d")
    assert "d#1 f#1" == driver.over("b#1", "f")
    assert "c#1" == driver.parents("d#1")


def test_a_branch_never_waits_for_one_that_cannot_reach_it() -> None:
    """There is no barrier: the fast branch runs to its end while the slow one has just begun."""
    driver = Driver({"a": "bc", "b": "d", "d": "e", "e": "", "c": ""})
    driver.start()
    driver.over("a#1", "bc")
    assert "d#1" == driver.over("b#1", "d")
    assert "e#1" == driver.over("d#1", "e")


def test_the_start_of_the_run_counts_as_a_source() -> None:
    """A node that START leads to and that something else may reach is a join."""
    driver = Driver({"a": "b", "b": ""}, "ab")
    assert "a#1" == driver.start()
    assert "b#1" == driver.over("a#1", "b")
    assert "a#1" == driver.parents("b#1")


def test_a_loop_turns_when_everything_in_it_has_come_back() -> None:
    """The head's next start waits for both branches of this turn, and counts the turns."""
    driver = Driver({"a": "bc", "b": "a", "c": "ad", "d": ""})
    driver.start()
    assert "b#1 c#1" == driver.over("a#1", "bc")
    assert "" == driver.over("b#1", "a")
    assert "a#2" == driver.over("c#1", "a")
    assert "b#1 c#1" == driver.parents("a#2")
    assert "b#2 c#2" == driver.over("a#2", "bc")
    assert "a#3 d#2" == driver.over("b#2", "a") + driver.over("c#2", "ad"), "d follows c, and takes its k"


def test_ways_through_the_next_turn_do_not_count() -> None:
    """A join inside a loop does not wait for an activation that could reach it only by way of the head."""
    driver = Driver({"h": "ab", "a": "j", "b": "jc", "c": "h", "j": "h"}, "h")
    driver.start()
    driver.over("h#1", "ab")
    driver.over("a#1", "j")
    assert "c#1 j#1" == driver.over("b#1", "c"), "c leads to h, and h to j, but in the next turn"
    assert "" == driver.over("c#1", "h"), "the next turn waits for j"
    assert "h#2" == driver.over("j#1", "h")


def test_the_heads_of_a_loop_start_together() -> None:
    """Two heads that wait do not hold each other up, and neither goes ahead of the other."""
    driver = Driver({"a": "x", "b": "y", "x": "y", "y": "x"}, "ab")
    driver.start()
    assert "" == driver.over("a#1", "x")
    assert "x#1 y#1" == driver.over("b#1", "y")
    assert "" == driver.over("x#1", "y")
    assert "x#2 y#2" == driver.over("y#1", "x")


def test_a_nested_loop_turns_within_one_turn_of_the_outer() -> None:
    """The inner head starts again without the outer head, and goes on counting in the outer loop's next turn."""
    driver = Driver({"o": "i", "i": "b", "b": "ioe", "e": ""}, "o")
    driver.start()
    assert "i#1" == driver.over("o#1", "i")
    assert "b#1" == driver.over("i#1", "b")
    assert "i#2" == driver.over("b#1", "i")
    assert "b#2" == driver.over("i#2", "b")
    assert "o#2" == driver.over("b#2", "o")
    assert "i#3" == driver.over("o#2", "i")


def test_a_join_for_each_arrival_names_its_activations_by_their_source() -> None:
    """Each arrival starts it, at once; k tells the sources apart, `turn` is that of the parent."""
    for first, second in (("b", "c"), ("c", "b")):
        driver = Driver({"a": "bc", "b": "d", "c": "d", "d": "e", "e": ""}, each="d")
        driver.start()
        driver.over("a#1", "bc")
        names = {"b": "d#1", "c": "d#2"}
        assert names[first] == driver.over(f"{first}#1", "d")
        assert names[second] == driver.over(f"{second}#1", "d")
        assert ("b#1", "c#1") == (driver.parents("d#1"), driver.parents("d#2"))
        assert "e#2" == driver.over("d#2", "e")
        assert {1} == {activation.turn for activation in driver.known.values()}


def test_an_interrupted_activation_holds_joins_up_until_it_is_answered() -> None:
    """It stays live: nothing that it could reach starts before it succeeds, whatever else happens."""
    driver = Driver({"a": "bc", "b": "d", "c": "d", "d": ""})
    driver.start()
    driver.over("a#1", "bc")
    assert [] == driver.schedule.interrupted(driver.known["b#1"])
    assert "" == driver.over("c#1", "d")
    assert ((), (driver.known["b#1"],), False) == (
        driver.schedule.running,
        driver.schedule.open_interrupts,
        driver.schedule.done,
    )
    assert [] == driver.schedule.interrupted(driver.known["b#1"]), "it may ask again"
    assert "d#1" == driver.over("b#1", "d")
    assert () == driver.schedule.open_interrupts


def test_nothing_starts_after_a_failure() -> None:
    """What is live may still report, and the schedule is done when it has."""
    driver = Driver({"a": "bcd", "b": "e", "c": "e", "d": "f", "e": "", "f": ""})
    driver.start()
    driver.over("a#1", "bcd")
    assert [] == driver.schedule.failed(driver.known["b#1"])
    assert not driver.schedule.done
    assert "" == driver.over("c#1", "e")
    assert [] == driver.schedule.failed(driver.known["d#1"])
    assert driver.schedule.done


def test_an_activation_sees_its_ancestors_and_no_others() -> None:
    """A branch does not see what its sibling wrote before; the join sees both."""
    driver = Driver({"a": "bc", "b": "d", "c": "d", "d": ""})
    driver.start(given=0)
    driver.over("a#1", "bc", a=1)
    driver.over("b#1", "d", b=2)
    assert {"given": 0, "a": 1} == driver.view("c#1")
    driver.over("c#1", "d", c=3)
    assert {"given": 0, "a": 1, "b": 2, "c": 3} == driver.view("d#1")
    assert ["a", "b", "c", "given"] == list(driver.view("d#1")), "in alphabetical order, whoever wrote first"


def test_a_view_is_a_mapping() -> None:
    """Views answer as dictionaries do, and cannot be written to."""
    driver = Driver({"a": ""})
    [activation] = driver.schedule.start({"x": 1})
    view = driver.schedule.view(activation)
    assert (1, 1, None, True, {"x": 1}) == (view["x"], len(view), view.get("y"), "x" in view, view)
    with pytest.raises(KeyError, match="y"):
        view["y"]
    assert not hasattr(view, "__setitem__")


def test_a_join_takes_the_write_that_no_branch_has_seen_overwritten() -> None:
    """The branch that wrote wins over the branch that saw what was there before, in either position."""
    for writer in "bc":
        driver = Driver({"a": "bc", "b": "d", "c": "d", "d": ""})
        driver.start(x="start")
        driver.over("a#1", "bc", x="a")
        for node in "bc":
            driver.over(f"{node}#1", "d", **({"x": node} if node == writer else {}))
        assert {"x": writer} == driver.view("d#1")


def test_branches_that_wrote_one_key_conflict_where_they_meet() -> None:
    """The error names the key, the writers and the join; the join can then be reported as failed."""
    driver = Driver({"a": "bc", "b": "d", "c": "d", "d": "e", "e": ""})
    driver.start()
    driver.over("a#1", "bc")
    driver.over("c#1", "d", x=1)
    driver.over("b#1", "d", x=1)
    for report in (lambda: driver.view("d#1"), lambda: driver.over("d#1", "e")):
        with pytest.raises(StateConflict, match="state key 'x' was written by b#1 and by c#1, which meet at d#1"):
            report()
    assert (driver.known["d#1"],) == driver.schedule.running
    driver.schedule.failed(driver.known["d#1"])
    assert driver.schedule.done


def test_of_one_nodes_writes_the_highest_k_counts() -> None:
    """What a loop sends out each turn does not conflict where it is collected, nor later where one of it is seen."""
    driver = Driver({"h": "hs", "s": "jz", "j": "", "z": ""}, "hj")
    driver.start()
    driver.over("h#1", "hs")
    driver.over("h#2", "s")
    driver.over("s#2", "j", x="s#2")
    assert "j#1 z#1" == driver.over("s#1", "jz", x="s#1")
    assert ("s#1 s#2", {"x": "s#2"}) == (driver.parents("j#1"), driver.view("j#1"))
    assert {"x": "s#1"} == driver.view("z#1")
    driver.over("z#1")
    driver.over("j#1", x="j#1")
    assert {"x": "j#1"} == driver.schedule.final_state(), "j has overwritten what z has seen"


def test_a_reducer_folds_the_history_of_the_first_parent_then_what_the_second_adds() -> None:
    """Each write once, in the order of the parents, whichever branch was faster."""
    for faster, slower in (("b", "c"), ("c", "b")):
        driver = Driver({"a": "bc", "b": "d", "c": "d", "d": "e", "e": ""}, log=append)
        driver.start(log="s")
        driver.over("a#1", "bc", log="a")
        driver.over(f"{faster}#1", "d", log=faster)
        driver.over(f"{slower}#1", "d", log=slower)
        assert {"log": "sabc"} == driver.view("d#1")
        driver.over("d#1", "e", log="d")
        assert {"log": "sabcd"} == driver.view("e#1")


def test_the_end_of_a_run_joins_whatever_nothing_followed() -> None:
    """Branches that ended early, and in a loop, are in the final state; those that conflict are told."""
    driver = Driver({"a": "bc", "b": "", "c": "d", "d": ""}, log=append)
    driver.start()
    driver.over("a#1", "bc", x=1)
    driver.over("c#1", "d", log="c")
    driver.over("d#1", log="d")
    assert {"x": 1, "log": "cd"} == driver.schedule.final_state(), "before the end, what it would be now"
    driver.over("b#1", log="b", x=2)
    assert {"x": 2, "log": "bcd"} == driver.schedule.final_state()
    driver = Driver({"a": "bc", "b": "", "c": ""})
    driver.start()
    driver.over("a#1", "bc")
    driver.over("b#1", x=1)
    driver.over("c#1", x=2)
    with pytest.raises(StateConflict, match="b#1 and by c#1, which meet at the end of the run"):
        driver.schedule.final_state()


def test_a_reducer_that_raises_leaves_the_activation_live() -> None:
    """Its error reaches whoever reports the write, and the activation can be reported as failed."""
    driver = Driver({"a": "b", "b": ""}, log=append)
    driver.start(log="s")
    with pytest.raises(TypeError):
        driver.over("a#1", "b", log=7)
    assert (driver.known["a#1"],) == driver.schedule.running
    assert "b#1" == driver.over("a#1", "b", log="a")
    assert {"log": "sa"} == driver.view("b#1")


def test_misuse_is_told_with_names() -> None:
    """Reporting twice, unknown activations, wrong or repeated targets and a second start are errors."""
    driver = Driver({"a": "bc", "b": "", "c": ""})
    driver.start()
    with pytest.raises(ValueError, match="has started already"):
        driver.schedule.start()
    with pytest.raises(ValueError, match=r"a#1 leads to x, which may not follow node a \(its successors: b, c\)"):
        driver.over("a#1", "bx")
    with pytest.raises(ValueError, match="a#1 leads to b twice"):
        driver.over("a#1", "bb")
    driver.over("a#1", "b")
    for report in (driver.schedule.failed, driver.schedule.interrupted, driver.schedule.view):
        with pytest.raises(ValueError, match=r"activation a#1 is not live: .* \(live now: b#1\)"):
            report(driver.known["a#1"])
    with pytest.raises(ValueError, match="activation c#7 is not live"):
        driver.schedule.succeeded(Activation("c", 7), [])


def test_activations_are_equal_by_name() -> None:
    """An activation of a replayed schedule equals the recorded one, whatever its parents are."""
    assert Activation("a", 1) == Activation("a", 1, (Activation("b", 1),))
    assert len({Activation("a", 1), Activation("a", 1), Activation("a", 2)}) == 2
    assert "a#2" == Activation("a", 2).id


def test_values_that_nobody_can_see_any_more_are_let_go() -> None:
    """A loop does not keep the values of its past turns."""

    class Value:
        pass

    driver = Driver({"a": "b", "b": "ac", "c": ""})
    driver.start()
    seen: list[weakref.ref[Value]] = []
    for turn in range(1, 6):
        value = Value()
        seen.append(weakref.ref(value))
        driver.over(f"a#{turn}", "b", x=value)
        driver.over(f"b#{turn}", "a" if turn < 5 else "c")
        del value
    gc.collect()
    # The first write of a key is kept for the run, the last one is seen.
    assert [False, True, True, True, False] == [ref() is None for ref in seen]


def test_the_lengths_that_a_list_had_are_let_go() -> None:
    """What a reducer made is kept only while somebody sees it, or a long list would cost its square."""

    class Folded(list[int]):
        pass

    made: list[weakref.ref[Folded]] = []

    def add(old: list[int], new: list[int]) -> Folded:
        value = Folded([*old, *new])
        made.append(weakref.ref(value))
        return value

    driver = Driver({"a": "ab", "b": ""}, log=add)
    driver.start(log=[])
    for turn in range(1, 6):
        driver.over(f"a#{turn}", "a", log=[turn])
    gc.collect()
    assert {"log": [1, 2, 3, 4, 5]} == driver.view("a#6")
    assert [False, True, True, True, False] == [ref() is None for ref in made]


@pytest.mark.slow
def test_a_long_loop_keeps_no_more_than_its_activations() -> None:
    """Destroying a chain of many thousand activations does not exhaust the stack."""
    driver = Driver({"a": "ab", "b": ""}, log=lambda old, new: new)
    [activation] = driver.schedule.start({"log": 0})
    for turn in range(20_000):
        [activation] = driver.schedule.succeeded(activation, "a", {"log": turn, "x": turn})
    assert "a#20001" == activation.id
    assert {"log": 19_999, "x": 19_999} == driver.schedule.view(activation)
