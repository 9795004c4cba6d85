"""What a plan finds out about a graph, and what it refuses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagflow.core.plan import Plan, PlanNode
from dagflow.errors import GraphError


def plan(edges: dict[str, str], starts: str = "a", **options: object) -> Plan:
    """Build a plan from one-letter names: `{"a": "bc"}` leads from a to b and c."""
    each = options.pop("each", "")
    assert isinstance(each, str)
    assert not options
    return Plan.build([PlanNode(n, tuple(to), join="each" if n in each else "all") for n, to in edges.items()], starts)


def faults(*nodes: PlanNode, starts: str = "a", reducers: tuple[str, ...] = ()) -> list[str]:
    with pytest.raises(GraphError) as caught:
        Plan.build(nodes, starts, reducers=reducers)
    return list(caught.value.faults)


def names(built: Plan, numbers: tuple[int, ...]) -> str:
    return "".join(built.nodes[number].name for number in numbers)


def test_sources_count_the_start() -> None:
    """START is a source like any other, so a start node that something leads back to is a join."""
    built = plan({"a": "b", "b": "ac", "c": ""}, "a")
    assert (None, "b") == built.sources["a"]
    assert ("b",) == built.predecessors["a"]
    assert frozenset("a") == built.joins


def test_a_node_that_starts_for_each_arrival_is_no_join() -> None:
    """`join: each` takes a node with several sources out of the joins."""
    assert frozenset("d") == plan({"a": "bc", "b": "d", "c": "d", "d": ""}).joins
    assert frozenset() == plan({"a": "bc", "b": "d", "c": "d", "d": ""}, each="d").joins


def test_loops_are_nested_by_taking_out_heads() -> None:
    """A loop's heads are where it is entered; what still loops without them is nested in it."""
    outer, inner, other = sorted(
        plan({"a": "b", "b": "c", "c": "d", "d": "ce", "e": "bx", "x": "y", "y": "xz", "z": ""}).loops,
        key=lambda loop: loop.nodes[0] + 10 * (loop.nodes[0] > 4),
    )
    built = plan({"a": "b", "b": "c", "c": "d", "d": "ce", "e": "bx", "x": "y", "y": "xz", "z": ""})
    assert ("bcde", "b", None) == (names(built, outer.nodes), names(built, outer.heads), outer.parent)
    assert ("cd", "c", outer) == (names(built, inner.nodes), names(built, inner.heads), inner.parent)
    assert ("xy", "x", None) == (names(built, other.nodes), names(built, other.heads), other.parent)
    assert outer == inner.outermost


def test_a_node_that_leads_to_itself_is_a_loop() -> None:
    """A self-loop is a loop of one node, which is its head."""
    (loop,) = plan({"a": "ab", "b": ""}).loops
    assert ((0,), (0,)) == (loop.nodes, loop.heads)


def test_every_fault_is_told_at_once() -> None:
    """Unknown successors (with the nearest name), duplicates and a missing start are listed together."""
    found = faults(
        PlanNode("search", ("reed", "search2")),
        PlanNode("read", ("search", "search")),
        PlanNode("read"),
        starts="",
    )
    assert [
        "two nodes are named read; rename one of them",
        "no node is the start; name at least one node to start with",
        "node search leads to reed, which is no node of the graph; did you mean 'read'?",
        "node search leads to search2, which is no node of the graph; did you mean 'search'?",
        "node read leads to search more than once; name each successor once",
    ] == found


def test_faults_of_the_shape_are_told_at_once() -> None:
    """Nodes that nothing leads to, `join: each` on a head and certain conflicts are listed together."""
    found = faults(
        PlanNode("a", "bc", routes="all", writes=()),
        PlanNode("b", "b", join="each", writes=("x",)),
        PlanNode("c", "", writes=("x",)),
        PlanNode("d", "a"),
    )
    assert "nothing leads to node d; add an edge to it, or remove it" in found
    assert any(fault.startswith("node b is where a loop is entered, and cannot have join: each") for fault in found)
    assert any(fault.startswith("state key 'x' is written by ") for fault in found)
    assert 3 == len(found)


def test_a_loop_that_nothing_leads_to_is_a_fault() -> None:
    """Its nodes are named; without a head there is nothing to take out of it."""
    found = faults(PlanNode("a"), PlanNode("b", "c"), PlanNode("c", "b"))
    assert ["nothing leads to node b", "nothing leads to node c"] == [fault.split(";")[0] for fault in found]


def test_the_name_of_the_graph_is_in_the_error() -> None:
    """The error says which graph has the faults."""
    with pytest.raises(GraphError, match="graph nightly has a fault: no node is the start"):
        Plan.build([PlanNode("a")], [], name="nightly")


def diamond(**writes: tuple[str, ...]) -> list[PlanNode]:
    """Make a fork whose branches always run."""
    edges = {"a": "bc", "b": "d", "c": "d", "d": ""}
    return [PlanNode(n, tuple(to), routes="all", writes=writes.get(n)) for n, to in edges.items()]


def test_a_conflict_that_every_run_has_is_a_fault() -> None:
    """Two nodes that always run, unordered, and write one key without a reducer are refused."""
    (fault,) = faults(*diamond(b=("x",), c=("x", "y")))
    assert "state key 'x' is written by b and by c, and neither comes after the other" in fault


@pytest.mark.parametrize(
    "nodes",
    [
        pytest.param(diamond(b=("x",), c=("y",)), id="other keys"),
        pytest.param(diamond(a=("x",), b=("x",), d=("x",)), id="one after the other"),
        pytest.param([PlanNode("a", "bc"), *diamond(b=("x",), c=("x",))[1:]], id="perhaps only one runs"),
        pytest.param(diamond(b=(), c=("x",)), id="one writer"),
    ],
)
def test_a_conflict_that_is_not_certain_is_left_to_the_run(nodes: list[PlanNode]) -> None:
    """Plans are refused only for conflicts that every run would have."""
    Plan.build(nodes, "a")


def test_a_reducer_settles_a_conflict() -> None:
    """A key with a reducer may be written by any number of branches."""
    Plan.build(diamond(b=("x",), c=("x",)), "a", reducers=["x"])


def test_a_node_for_each_arrival_behind_both_leaves_a_conflict_to_the_run() -> None:
    """Two branches may be overwritten by two activations of one node, of which the higher k counts."""
    nodes = diamond(b=("x",), c=("x",), d=("x",))
    Plan.build([*nodes[:3], PlanNode("d", "", join="each", writes=("x",))], "a")


def test_the_fingerprint_is_of_names_edges_joins_and_signatures() -> None:
    """Whatever changes what runs when changes the fingerprint; writes, routes and the plan's name do not."""
    nodes = [PlanNode("a", "bc"), PlanNode("b", "c"), PlanNode("c")]
    base = Plan.build(nodes, "a")
    assert 64 == len(base.fingerprint)
    same = [PlanNode("a", "cb", writes=("x",)), PlanNode("b", "c", routes="all"), PlanNode("c")]
    assert base.fingerprint == Plan.build(same, "a", name="other", reducers=["x"]).fingerprint
    others = [
        Plan.build([nodes[0], nodes[1], PlanNode("c", join="each")], "a"),
        Plan.build([nodes[0], nodes[1], PlanNode("c", signature="text: str")], "a"),
        Plan.build([nodes[0], PlanNode("b"), nodes[2]], "a"),
        Plan.build([nodes[0], nodes[2], nodes[1]], "a"),
        Plan.build(nodes, "ab"),
    ]
    assert 6 == len({base.fingerprint, *(other.fingerprint for other in others)})


def test_the_outline_tells_which_node_changed() -> None:
    """Two outlines differ exactly at the nodes that changed."""
    one = plan({"a": "b", "b": "c", "c": ""}).outline
    other = plan({"a": "b", "b": "bc", "c": ""}).outline
    assert ["b"] == [name for name in one if one[name] != other[name]]


@given(st.data())
def test_gates_hold_what_their_definition_says(data: st.DataObject) -> None:
    """A join in a loop is held up by exactly the nodes from which it is reached without starting a barred head."""
    size = data.draw(st.integers(1, 6))
    letters = "abcdef"[:size]
    edges = {n: "".join(sorted(data.draw(st.sets(st.sampled_from(letters), max_size=3)))) for n in letters}
    try:
        built = plan(edges)
    except GraphError:
        return
    for number, gate in built.tables.gates.items():
        around = [loop for loop in built.loops if number in loop.nodes]
        barred = {head for loop in around if number not in loop.heads for head in loop.heads}
        inside = built.tables.members[gate.home]
        assert gate.own == sum(built.tables.bits[member] for member in gate.members)
        for node in inside:
            found, pending = set(), [node]
            while pending:
                for name in built.nodes[pending.pop()].successors:
                    follower = built.index[name]
                    if follower not in found and follower not in barred:
                        found.add(follower)
                        pending.append(follower)
            holds = bool(found.intersection(gate.members))
            assert holds == bool(gate.running & built.tables.bits[node])
            waits = holds and built.nodes[node].name in built.joins and node not in barred.union(gate.members)
            assert waits == bool(gate.waiting & built.tables.bits[node])


@pytest.mark.slow
def test_large_plans_are_built() -> None:
    """A chain of 100,000 nodes, and one loop of 20,000, need neither recursion nor a mask for each node."""
    size = 100_000
    built = Plan.build([PlanNode(str(n), [str(n + 1)] if n + 1 < size else ()) for n in range(size)], ["0"])
    assert not built.loops
    size = 20_000
    (loop,) = Plan.build([PlanNode(str(n), [str((n + 1) % size)]) for n in range(size)], ["0"]).loops
    assert ((0,), size) == (loop.heads, len(loop.nodes))
