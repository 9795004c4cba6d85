"""Tests of timelines as text and as a picture."""

from __future__ import annotations

import unicodedata
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagflow.core import folds
from dagflow.events import Event, NodeStarted, NodeSucceeded, RunEnded, RunStarted
from dagflow.report.timeline import human_duration, render_timeline, timeline_svg, without_waits
from dagflow.types import Span, Timeline

WAKE = Timeline(
    (
        Span("1", "node", "GetDressed", 0.0, 0.1, "succeeded", critical=True),
        Span("2", "node", "Outfit", 0.1, 0.9, "failed", after=("1",), critical=True),
        Span("3", "dependency", "locate", 0.1, 0.3, "succeeded", "2", critical=True),
        Span("4", "dependency", "read_calendar", 0.1, 0.2, "cancelled", "2"),
        Span("5", "lm", "model: fill", 0.3, 0.9, "succeeded", "2", ("3",), critical=True),
        Span("6", "node", "Notify", 0.1, 1.0, "running", after=("1",)),
    ),
    1.0,
)


def test_text() -> None:
    """Each span is a line: status, name below its parent, critical mark, duration, bar to scale."""
    expected = """\
                             0 ─────────────────────── 1.00 s
✓ GetDressed      ●   100 ms ███
✗ Outfit          ●   800 ms    ██████████████████████████
✓   locate        ●   200 ms    ███████
⊘   read_calendar     100 ms    ▒▒▒
✓   model: fill   ●   600 ms          ████████████████████
▸ Notify              900 ms    ▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒
✓ succeeded   ✗ failed   ⊘ cancelled   ▸ running
● critical path (███)
"""
    assert expected == render_timeline(WAKE, width=61)


def test_ascii_text() -> None:
    """With `ascii` the same is drawn without any other character, names included."""
    spans = (Span("1", "node", "naïve\n", 0.0, 0.00025, "succeeded", critical=True),)
    expected = """\
                            0 ------------- 250 us
+ na\\xefve\\u240a *   250 us ######################
+ succeeded   * critical path (###)
"""
    assert expected == render_timeline(Timeline(spans, 0.00025), width=50, ascii=True)
    assert render_timeline(WAKE, ascii=True).isascii()


def test_nothing_ran() -> None:
    """An empty timeline says so."""
    assert "nothing ran\n" == render_timeline(Timeline())


def test_no_time_passed() -> None:
    """A run that took no time, on a virtual clock say, is drawn all the same."""
    text = render_timeline(Timeline((Span("1", "node", "A", 0.0, 0.0, "succeeded"),), 0.0))
    assert "✓ A       0 µs ▒" == text.splitlines()[1]


def test_long_names_keep_both_ends() -> None:
    """A name that is too long is cut in its middle, and its line still fits."""
    spans = tuple(Span(str(n), "node", "x" * 90 + f"_{n}", 0.0, 1.0, "succeeded") for n in range(2))
    lines = render_timeline(Timeline(spans, 1.0), width=60).splitlines()
    assert ["✓ xxxxxxxxxxxx…xxx_0", "✓ xxxxxxxxxxxx…xxx_1"] == [line.split("  ")[0] for line in lines[1:3]]
    assert all(len(line) <= 60 for line in lines)


def test_wide_characters_take_two_columns() -> None:
    """Bars stand below each other though a name has characters of double width."""
    spans = (
        Span("1", "node", "改行", 0.0, 1.0, "succeeded"),
        Span("2", "node", "wide", 0.0, 1.0, "succeeded"),
    )
    _, first, second, _ = render_timeline(Timeline(spans, 1.0)).splitlines()
    assert first.index("▒") + 2 == second.index("▒")


def test_legend_fits() -> None:
    """The explanation of the signs takes a second line where one is not wide enough."""
    lines = render_timeline(WAKE, width=50).splitlines()
    assert ["✓ succeeded   ✗ failed   ⊘ cancelled   ▸ running", "● critical path (███)"] == lines[-2:]


def test_deep_nesting_fits() -> None:
    """Spans nested a hundred deep still have names, and their lines fit."""
    spans = tuple(Span(str(n), "node", f"N{n}", 0.0, 1.0, "succeeded", str(n - 1)) for n in range(100))
    lines = render_timeline(Timeline(spans, 1.0), width=60).splitlines()
    assert all(len(line) <= 60 for line in lines)
    assert "N99" in lines[-2]


def test_span_without_its_parent() -> None:
    """A span whose parent is not in the timeline is shown, at the top."""
    text = render_timeline(Timeline((Span("2", "lm", "call", 0.0, 1.0, "succeeded", "1"),), 1.0))
    assert text.splitlines()[1].startswith("✓ call ")


def columns(line: str) -> int:
    """The columns that a line takes in a terminal: combining marks and format characters take none."""
    shown = [c for c in line if not unicodedata.combining(c) and unicodedata.category(c) != "Cf"]
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in shown)


@given(
    st.lists(st.tuples(st.text(max_size=30), st.floats(0, 1e5), st.floats(0, 1e5), st.integers(-1, 5)), max_size=8),
    st.integers(0, 130),
    st.booleans(),
)
@settings(max_examples=40)
def test_any_timeline(rows: list[tuple[str, float, float, int]], width: int, ascii: bool) -> None:
    """Whatever ran, each span is one line that fits, and has a bar of at least one character."""
    spans = tuple(
        Span(str(index), "node", name, min(times), max(times), "succeeded", str(parent) if parent < index else "")
        for index, (name, *times, parent) in enumerate(rows)
    )
    timeline = Timeline(spans, max((span.end for span in spans), default=0.0))
    lines = render_timeline(timeline, width=width, ascii=ascii).split("\n")
    assert (len(spans) + 3 if spans else 2) == len(lines)
    assert all(columns(line) <= max(width, 50) for line in lines)
    assert all(line[-1] in "▒=" for line in lines[1 : 1 + len(spans)])
    assert len(spans) + 1 == len(list(ElementTree.fromstring(timeline_svg(timeline)).iter(f"{SVG}title")))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 µs"),
        (0.00085, "850 µs"),
        (0.0009999, "1.00 ms"),
        (0.0123, "12.3 ms"),
        (0.9994, "999 ms"),
        (0.9999, "1.00 s"),
        (12.34, "12.3 s"),
        (59.94, "59.9 s"),
        (59.96, "1m00s"),
        (125.0, "2m05s"),
        (3599.9, "1h00m"),
        (7500.0, "2h05m"),
        (400_000.0, "111h06m"),
    ],
)
def test_human_duration(seconds: float, text: str) -> None:
    """A duration has the unit that suits it, also just below the next one."""
    assert text == human_duration(seconds)


SVG = "{http://www.w3.org/2000/svg}"


def test_picture() -> None:
    """The picture has a bar for each span, to scale, in strong colours along the critical path."""
    picture = ElementTree.fromstring(timeline_svg(WAKE))
    titles = [title.text for title in picture.iter(f"{SVG}title")]
    assert "6 spans in 1.00 s" == titles[0]
    assert "locate: succeeded, 200 ms, on the critical path" == titles[3]
    assert "read_calendar: cancelled, 100 ms" == titles[4]
    bars = [group[2] for group in picture.iter(f"{SVG}g")]
    lengths = [float(bar.get("width", "0")) for bar in bars]
    assert [68.0, 544.0, 136.0, 68.0, 408.0, 612.0] == lengths
    assert 5 == len({bar.get("fill") for bar in bars})


def test_picture_of_nothing() -> None:
    """An empty timeline has a picture that says so."""
    assert "nothing ran" in timeline_svg(Timeline())


def test_the_time_before_a_resume_is_left_out() -> None:
    """A run that waited a day shows the seconds of its work: only what the outermost run waited for is left out."""
    common: dict[str, Any] = {"seq": 1, "run": "r", "wall": 0.0}
    node: dict[str, Any] = {"node": "A", "activation": "A#1", "attempt": 1, **common}
    events: list[Event] = [
        RunStarted(elapsed=1.0, graph="A", fingerprint="", **common),
        NodeStarted(elapsed=2.0, parents=(), **node),
        RunEnded(elapsed=3.0, outcome="interrupted", **common),
        RunStarted(elapsed=90_003.0, graph="A", fingerprint="", resumed=True, **common),
        RunStarted(elapsed=90_003.5, graph="B", fingerprint="", resumed=True, parent="A#1", **common),
        NodeSucceeded(elapsed=90_004.0, value=1, targets=(), duration=2.0, **node),
        RunStarted(elapsed=180_004.0, graph="A", fingerprint="", resumed=True, **common),
        RunEnded(elapsed=180_005.0, outcome="complete", **common),
    ]
    assert [1.0, 2.0, 3.0, 3.0, 3.5, 4.0, 4.0, 5.0] == [event.elapsed for event in without_waits(events)]
    timeline = folds.timeline(without_waits(events))
    assert (4.0, 2.0) == (timeline.duration, timeline.spans[0].duration)
    assert events[:3] == without_waits(events[:3])
