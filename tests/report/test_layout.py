"""Tests of the layered layout: pure geometry."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import dist

from hypothesis import given, settings
from hypothesis import strategies as st

from dagflow.core.drawing.layout import Box, Layout, Link, lay_out

SIZE = (80.0, 40.0)


def overlap(one: Box, two: Box) -> bool:
    return (
        abs(one.x - two.x) < (one.width + two.width) / 2 - 0.01
        and abs(one.y - two.y) < (one.height + two.height) / 2 - 0.01
    )


def layers(layout: Layout) -> list[float]:
    return [box.y for box in layout.boxes]


def chain(count: int) -> list[Link]:
    return [Link(index, index + 1) for index in range(count - 1)]


def at_border(point: tuple[float, float], box: Box) -> bool:
    x, y = abs(point[0] - box.x), abs(point[1] - box.y)
    inside = x <= box.width / 2 + 0.01 and y <= box.height / 2 + 0.01
    return inside and (abs(x - box.width / 2) < 0.01 or abs(y - box.height / 2) < 0.01)


graphs = st.integers(1, 9).flatmap(
    lambda count: st.tuples(
        st.lists(st.tuples(st.floats(20, 200), st.floats(20, 90)), min_size=count, max_size=count),
        st.lists(
            st.builds(
                Link,
                st.integers(0, count - 1),
                st.integers(0, count - 1),
                st.none() | st.just((60.0, 18.0)),
            ),
            max_size=14,
        ),
        st.lists(st.integers(0, count - 1), max_size=2),
    )
)


@given(graphs)
@settings(max_examples=30)
def test_any_graph(graph: tuple[Sequence[tuple[float, float]], Sequence[Link], Sequence[int]]) -> None:
    """In any graph: boxes keep their size, lie within the picture, apart, and curves join the right borders."""
    sizes, links, anchors = graph
    layout = lay_out(sizes, links, anchors=anchors)
    assert list(sizes) == [(box.width, box.height) for box in layout.boxes]
    assert not any(overlap(one, two) for one, two in combinations(layout.boxes, 2))
    for box in layout.boxes:
        assert box.width / 2 < box.x < layout.width - box.width / 2
        assert box.height / 2 < box.y < layout.height - box.height / 2
    for link, curve in zip(links, layout.curves, strict=True):
        assert at_border(curve.start, layout.boxes[link.source])
        assert at_border(curve.segments[-1][2], layout.boxes[link.target])
        assert dist(*curve.segments[-1][1:]) > 0.001  # else an arrow head has no direction


@given(graphs)
@settings(max_examples=30)
def test_labels_are_apart(
    graph: tuple[Sequence[tuple[float, float]], Sequence[Link], Sequence[int]],
) -> None:
    """No label lies on a box or on another label."""
    sizes, links, anchors = graph
    layout = lay_out(sizes, links, anchors=anchors)
    labels = [
        Box(*curve.label, *link.label)
        for link, curve in zip(links, layout.curves, strict=True)
        if link.label and link.source != link.target
    ]
    assert not any(overlap(one, two) for one, two in combinations([*layout.boxes, *labels], 2))


def test_same_arguments_same_layout() -> None:
    """The layout depends on nothing but its arguments."""
    links = [Link(0, 1), Link(0, 2), Link(2, 1), Link(1, 0), Link(2, 2)]
    assert lay_out([SIZE] * 3, links) == lay_out([SIZE] * 3, links)


def test_nothing_to_lay_out() -> None:
    """A graph without boxes has an empty picture."""
    layout = lay_out([], [])
    assert ((), ()) == (layout.boxes, layout.curves)
    assert layout.width > 0


def test_links_lead_down() -> None:
    """Without cycles every link leads from a layer to a lower one."""
    links = [Link(0, 1), Link(0, 2), Link(1, 3), Link(2, 4), Link(4, 3)]
    y = layers(lay_out([SIZE] * 5, links))
    assert all(y[link.source] < y[link.target] for link in links)


def test_back_link_leads_up() -> None:
    """In a loop, the link back to where it was entered is the one that leads up."""
    y = layers(lay_out([SIZE] * 3, [Link(0, 1), Link(1, 2), Link(2, 1)], anchors=[0]))
    assert sorted(y) == y


def test_a_chain_is_straight() -> None:
    """The boxes of a chain stand below each other, and its curves are straight."""
    layout = lay_out([SIZE, (120.0, 40.0), SIZE], chain(3))
    assert 1 == len({round(box.x, 3) for box in layout.boxes})
    (curve, _) = layout.curves
    assert 1 == len({round(point[0], 3) for segment in curve.segments for point in segment})


def test_avoidable_crossings_are_avoided() -> None:
    """Links that need not cross do not."""
    layout = lay_out([SIZE] * 4, [Link(0, 3), Link(0, 2), Link(1, 3)])
    x = [box.x for box in layout.boxes]
    assert (x[0] < x[1]) == (x[2] < x[3])


def test_long_links_are_straight() -> None:
    """A long link keeps to one line past the layers between, though shorter links cross it."""
    links = [*chain(4), Link(0, 3), Link(1, 4), Link(3, 4)]
    long = lay_out([SIZE] * 5, links).curves[3]
    assert 1 == len({round(end[0], 3) for _, _, end in long.segments[1:-1]})


def test_parents_are_centred() -> None:
    """A box stands in the middle above the boxes that it leads to."""
    x = [box.x for box in lay_out([SIZE] * 5, [Link(0, index) for index in range(1, 5)]).boxes]
    assert abs(x[0] - sum(x[1:]) / 4) < 0.01


def test_inputs_stand_by_their_reader() -> None:
    """A box that no anchor leads to stands in the layer above the first that it leads to."""
    y = layers(lay_out([SIZE] * 5, [*chain(4), Link(4, 3)], anchors=[0]))
    assert y[2] == y[4]


def test_parallel_links_do_not_coincide() -> None:
    """Parallel links leave and enter at different places."""
    first, second = lay_out([SIZE] * 2, [Link(0, 1), Link(0, 1)]).curves
    assert first.start != second.start
    assert first.segments[-1][2] != second.segments[-1][2]


def test_self_loops_have_room() -> None:
    """The label of a self loop stands clear of its box and of the neighbour."""
    links = [Link(0, 1), Link(0, 2), Link(1, 1, (60.0, 18.0)), Link(2, 2, (60.0, 18.0))]
    layout = lay_out([SIZE] * 3, links)
    labels = [Box(*curve.label, 60.0, 18.0) for curve in layout.curves[2:]]
    assert not any(overlap(one, two) for one, two in combinations([*layout.boxes, *labels], 2))


def test_long_links_are_bounded() -> None:
    """Three hundred readers of the first box of a chain need no 45,000 way points."""
    links = [*chain(300), *(Link(0, index) for index in range(2, 300))]
    layout = lay_out([SIZE] * 300, links)
    assert sum(len(curve.segments) for curve in layout.curves) < 20_000
