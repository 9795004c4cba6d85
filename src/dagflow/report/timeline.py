"""Timelines of runs as plain text and as a picture: a tree of what ran, with a bar for when."""

from __future__ import annotations

import html
import math
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator

import attrs

from dagflow.core.drawing.svg import DETAIL_INK, document
from dagflow.core.drawing.text import printable, shorten, text_width
from dagflow.events import Event, RunStarted
from dagflow.types import Span, Timeline

__all__ = ["human_duration", "render_timeline", "text_columns", "timeline_svg", "without_waits"]

NARROWEST = 50
TIME_WIDTH = 8


@attrs.frozen
class Signs:
    """The characters that a timeline is drawn with."""

    marks: dict[str, str]
    critical: str
    critical_bar: str
    bar: str
    rule: str
    ellipsis: str
    micro: str


UNICODE = Signs(
    {"succeeded": "✓", "failed": "✗", "cancelled": "⊘", "waiting": "?", "running": "▸"}, "●", "█", "▒", "─", "…", "µs"
)
ASCII = Signs(
    {"succeeded": "+", "failed": "x", "cancelled": "~", "waiting": "?", "running": ">"}, "*", "#", "=", "-", "...", "us"
)


def render_timeline(timeline: Timeline, *, width: int = 100, ascii: bool = False) -> str:
    """Draw a timeline as lines of text, at most `width` columns wide (not below 50).

    Each line has the status, the name (indented below what it belongs to), `●` for a span of the critical
    path, the duration and a bar in the scale of the run; the last lines explain the signs. With `ascii` no
    other characters are used. The text ends with a newline and has no colours.
    """
    signs = ASCII if ascii else UNICODE
    if not timeline.spans:
        return "nothing ran\n"
    rows = list(_tree(timeline))
    width = max(width, NARROWEST)
    longest = max(2 * depth + text_columns(_name(span, ascii)) for depth, span in rows)
    name_width = min(longest, (width - 13) * 2 // 5)
    bar_width = width - name_width - 6 - TIME_WIDTH
    lines = [_ruler(timeline, name_width, bar_width, signs)]
    for depth, span in rows:
        indent = min(2 * depth, name_width // 2)
        name = _fit(_name(span, ascii), name_width - indent, signs.ellipsis)
        critical = signs.critical if span.critical else " "
        took = human_duration(span.duration, micro=signs.micro).rjust(TIME_WIDTH)
        bar = _bar(span, timeline.duration, bar_width, signs)
        lines.append(f"{signs.marks[span.status]} {' ' * indent}{name} {critical} {took} {bar}".rstrip())
    return "\n".join([*lines, *_legend(timeline, width, signs)]) + "\n"


def without_waits(events: Iterable[Event]) -> list[Event]:
    """Leave out the time in which nobody worked on a run, before each resume, so that its timeline shows its work.

    A run that waited a day for an answer took no day. `elapsed` counts on without a gap then, and the rest of the
    events stays as it is.
    """
    shown: list[Event] = []
    left_out = last = 0.0
    for event in events:
        if isinstance(event, RunStarted) and event.resumed and not event.parent and shown:
            left_out += event.elapsed - last
        last = event.elapsed
        shown.append(attrs.evolve(event, elapsed=event.elapsed - left_out) if left_out else event)
    return shown


def human_duration(seconds: float, *, micro: str = "µs") -> str:
    """Write a duration in the unit that suits it, in at most eight characters: `850 µs`, `1.25 s`, `2h05m`."""
    if seconds < 0.0009995:
        return f"{seconds * 1e6:.0f} {micro}"
    if seconds < 0.9995:
        return f"{_digits(seconds * 1e3)} ms"
    if seconds < 59.95:
        return f"{_digits(seconds)} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m"


def _digits(number: float) -> str:
    """Write a number with three digits that matter."""
    return f"{number:.2f}" if number < 9.995 else f"{number:.1f}" if number < 99.95 else f"{number:.0f}"


def _tree(timeline: Timeline) -> Iterator[tuple[int, Span]]:
    """Give each span with its depth, those inside it right after it."""
    known = {span.id for span in timeline.spans}
    inside: dict[str, list[Span]] = defaultdict(list)
    for span in timeline.spans:
        inside[span.parent if span.parent in known else ""].append(span)
    waiting = [(0, span) for span in reversed(inside[""])]
    while waiting:
        depth, span = waiting.pop()
        yield depth, span
        waiting += [(depth + 1, child) for child in reversed(inside[span.id])]


def _name(span: Span, ascii: bool) -> str:
    name = printable(span.name)
    return name.encode("ascii", "backslashreplace").decode() if ascii else name


def text_columns(text: str) -> int:
    """Count the columns that a text takes in a terminal."""
    return sum(_cells(character) for character in text)


def _cells(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) == "Cf":
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _fit(text: str, columns: int, ellipsis: str) -> str:
    """Cut or fill a text to so many columns; of a long one the end stays too, where names often differ."""
    taken = text_columns(text)
    if taken <= columns:
        return text + " " * (columns - taken)
    room = columns - len(ellipsis)
    tail = _take(text[::-1], room // 3)[::-1]
    head = _take(text, room - text_columns(tail))
    cut = head + ellipsis + tail
    return cut + " " * (columns - text_columns(cut))


def _take(text: str, columns: int) -> str:
    for index, character in enumerate(text):
        columns -= _cells(character)
        if columns < 0:
            return text[:index]
    return text


def _bar(span: Span, duration: float, width: int, signs: Signs) -> str:
    if duration <= 0:
        return signs.critical_bar if span.critical else signs.bar
    first = min(int(span.start / duration * width), width - 1)
    last = min(max(round(span.end / duration * width), first + 1), width)
    return " " * first + (signs.critical_bar if span.critical else signs.bar) * (last - first)


def _ruler(timeline: Timeline, name_width: int, bar_width: int, signs: Signs) -> str:
    end = human_duration(timeline.duration, micro=signs.micro)
    rule = signs.rule * (bar_width - len(end) - 3)
    return f"{' ' * (name_width + 5 + TIME_WIDTH)} 0 {rule} {end}"


def _legend(timeline: Timeline, width: int, signs: Signs) -> list[str]:
    """Explain the signs that are used, in as few lines as fit."""
    present = {span.status for span in timeline.spans}
    entries = [f"{mark} {status}" for status, mark in signs.marks.items() if status in present]
    if timeline.critical_path:
        entries.append(f"{signs.critical} critical path ({signs.critical_bar * 3})")
    lines = [entries[0]]
    for entry in entries[1:]:
        if len(lines[-1]) + 3 + len(entry) <= width:
            lines[-1] += "   " + entry
        else:
            lines.append(entry)
    return lines


ROW = 24.0
BARS = 680.0
TEXT_SIZE = 12.0
INK = "#1e293b"
# A critical span has the strong colour of its kind, another one the pale colour.
COLOURS = {
    "node": ("#3f6fd8", "#c3d3f5"),
    "dependency": ("#c98a12", "#f3dfae"),
    "lm": ("#8a4fc4", "#e0cdf3"),
}
FRAMES = {
    "failed": ' stroke="#c81e1e" stroke-width="2"',
    "cancelled": ' stroke="#64748b" stroke-width="1.5" stroke-dasharray="3 3"',
    "waiting": ' stroke="#a21caf" stroke-width="1.5" stroke-dasharray="6 3"',
    "running": ' stroke="#0f766e" stroke-width="1.5"',
}


def timeline_svg(timeline: Timeline) -> str:
    """Draw a timeline as an SVG document: a Gantt chart, with the critical path in strong colours."""
    rows = list(_tree(timeline))
    names = [shorten(span.name, 40) for _, span in rows]
    indents = [min(depth, 8) * 14.0 for depth, _ in rows]
    widths = [indent + text_width(name, TEXT_SIZE) for indent, name in zip(indents, names, strict=True)]
    left = 44.0 + max(widths, default=0.0)
    height = 60.0 + ROW * max(len(rows), 1)
    scale = BARS / timeline.duration if timeline.duration > 0 else 0.0
    parts = _grid(timeline.duration, left, scale, height - 16)
    for place, ((_, span), name, indent) in enumerate(zip(rows, names, indents, strict=True)):
        parts.append(_gantt_row(span, name, indent, left, scale, 40 + ROW * place))
    if not rows:
        parts.append(_line_of_text(24, 56, DETAIL_INK, "nothing ran"))
    title = f"{len(rows)} spans in {human_duration(timeline.duration)}"
    return document(title, left + BARS + 90, height, parts)


def _grid(duration: float, left: float, scale: float, bottom: float) -> list[str]:
    """Draw a line for each step of 1, 2 or 5 times a power of ten, four to ten of them."""
    if duration <= 0:
        return []
    power = 10.0 ** math.floor(math.log10(duration / 4))
    step = max(power * factor for factor in (1, 2, 5) if power * factor <= duration / 4)
    parts = []
    for index in range(math.floor(duration / step + 1e-9) + 1):
        x = left + index * step * scale
        label = human_duration(index * step) if index else "0"
        parts.append(f'<path d="M{x:.1f},34V{bottom:.1f}" stroke="#e2e8f0"/>')
        parts.append(_line_of_text(x, 26, DETAIL_INK, label, anchor="middle"))
    return parts


def _gantt_row(span: Span, name: str, indent: float, left: float, scale: float, top: float) -> str:
    x, width = left + span.start * scale, max(span.duration * scale, 2.0)
    fill = COLOURS[span.kind][0 if span.critical else 1]
    took = human_duration(span.duration)
    said = took if span.status == "succeeded" else f"{took}, {span.status}"
    path = ", on the critical path" if span.critical else ""
    told = html.escape(printable(f"{span.name}: {span.status}, {took}{path}"))
    weight = "600" if span.critical else "400"
    return (
        f"<g><title>{told}</title>"
        f"{_line_of_text(20 + indent, top + 16, INK, name, weight=weight)}"
        f'<rect x="{x:.1f}" y="{top + 4:.1f}" width="{width:.1f}" height="{ROW - 8:.1f}" rx="3" '
        f'fill="{fill}"{FRAMES.get(span.status, "")}/>'
        f"{_line_of_text(x + width + 6, top + 16, DETAIL_INK, said)}</g>"
    )


def _line_of_text(x: float, y: float, ink: str, text: str, *, anchor: str = "start", weight: str = "400") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{TEXT_SIZE:g}" font-weight="{weight}" fill="{ink}" '
        f'text-anchor="{anchor}">{html.escape(text)}</text>'
    )
