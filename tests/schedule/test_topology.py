"""Levels, cycles, components and reachability, against definitions that are slow and plain."""

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagflow.core.topology import CycleFound, find_cycle, levels, reachable, strongly_connected

Edges = dict[int, list[int]]
graphs = st.integers(1, 7).flatmap(
    lambda size: st.fixed_dictionaries(
        {node: st.lists(st.integers(0, size - 1), unique=True, max_size=3) for node in range(size)}
    )
)


def reaches(edges: Edges, start: int) -> set[int]:
    """What can be reached from a node in one step or more."""
    found = set(edges[start])
    for _ in edges:
        found |= {other for node in found for other in edges[node]}
    return found


@given(graphs)
def test_levels_put_each_node_one_below_its_lowest_predecessor(predecessors: Edges) -> None:
    """A node's level is the longest way to it; where there is a cycle, a real one is named."""
    if any(node in reaches(predecessors, node) for node in predecessors):
        with pytest.raises(CycleFound) as caught:
            levels(predecessors)
        assert find_cycle(predecessors) is not None
        assert caught.value.cycle[0] == caught.value.cycle[-1]
        return
    found = levels(predecessors)
    level = {node: depth for depth, nodes in enumerate(found) for node in nodes}
    assert set(predecessors) == set(level)
    for node, before in predecessors.items():
        assert 1 + max((level[other] for other in before), default=-1) == level[node]
    order = list(predecessors)
    assert all(list(nodes) == sorted(nodes, key=order.index) for nodes in found), "in the mapping's order"


@given(graphs)
def test_a_cycle_is_found_exactly_when_there_is_one(edges: Edges) -> None:
    """`find_cycle` gives a closed walk without repeats, or `None` where no node reaches itself."""
    cycle = find_cycle(edges)
    if cycle is None:
        assert not any(node in reaches(edges, node) for node in edges)
        return
    assert cycle[0] == cycle[-1]
    assert len(set(cycle)) == len(cycle) - 1
    assert all(after in edges[node] for node, after in pairwise(cycle))


@given(graphs)
def test_components_are_the_sets_of_nodes_that_reach_each_other(edges: Edges) -> None:
    """Components are maximal, come in topological order, and keep the mapping's order inside."""
    components = strongly_connected(edges)
    assert sorted(edges) == sorted(node for component in components for node in component)
    place = {node: number for number, component in enumerate(components) for node in component}
    for node in edges:
        together = {node} | {other for other in reaches(edges, node) if node in reaches(edges, other)}
        assert tuple(other for other in edges if other in together) == components[place[node]]
        assert all(place[node] <= place[other] for other in edges[node])


@given(graphs, st.sets(st.integers(0, 6)))
def test_reachable_includes_where_it_starts(edges: Edges, origins: set[int]) -> None:
    """What can be reached is the origins and all that they reach; unknown keys lead nowhere."""
    expected = origins.union(*(reaches(edges, node) for node in origins if node in edges))
    assert expected == reachable(edges, origins)


def test_cycles_are_spelled_out() -> None:
    """The error names the cycle from a node back to itself, in the mapping's direction."""
    with pytest.raises(CycleFound, match="b -> c -> b") as caught:
        levels({"a": ["b"], "b": ["c"], "c": ["b"], "d": []})
    assert ("b", "c", "b") == caught.value.cycle
    assert ("x", "x") == find_cycle({"x": ["x"]})


def test_an_empty_graph_has_no_levels() -> None:
    """Nothing in, nothing out."""
    assert () == levels({})
    assert () == strongly_connected({})
    assert find_cycle({}) is None


@pytest.mark.slow
def test_long_chains_need_no_recursion() -> None:
    """A chain, and a ring, of 100,000 nodes is as good as a short one."""
    size = 100_000
    chain = {node: [node + 1] if node + 1 < size else [] for node in range(size)}
    ring = {node: [(node + 1) % size] for node in range(size)}
    assert size == len(levels(chain))
    assert find_cycle(chain) is None
    assert size == len(strongly_connected(chain))
    assert 1 == len(strongly_connected(ring))
    assert size + 1 == len(find_cycle(ring) or ())
    assert size == len(reachable(ring, [random.randrange(size)]))
