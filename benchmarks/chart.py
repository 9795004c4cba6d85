"""Draw the points of the report as an SVG file: one panel for each shape, on a logarithmic scale."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import log10

from benchmarks.section import Point

LEFT, WIDTH, ROW, TOP = 210, 640, 20, 56
SCALE = (0.1, 10_000.0)  # microseconds
OURS = ("resolve_dep", "graph.run", "dagflow")


def draw(points: Sequence[Point]) -> str:
    """Give an SVG document; a dot further left is a cheaper node."""
    parts, y = [], TOP
    for panel in dict.fromkeys(point.panel for point in points):
        parts.append(text(12, y + 14, panel, "start", bold=True))
        y += ROW + 6
        for point in sorted((p for p in points if p.panel == panel), key=lambda p: p.microseconds):
            parts.append(_row(point, y))
            y += ROW
        y += 14
    grid = [_grid_line(10.0**power, y) for power in range(round(log10(SCALE[0])), round(log10(SCALE[1])) + 1)]
    title = text(12, 22, "Microseconds a no-op node on asyncio, logarithmic: less is better", "start", bold=True)
    size = f'width="{WIDTH + LEFT + 90}" height="{y + 10}" viewBox="0 0 {WIDTH + LEFT + 90} {y + 10}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">\n'
        f'<rect width="100%" height="100%" fill="#ffffff"/>\n' + "\n".join([title, *grid, *parts]) + "\n</svg>\n"
    )


def text(x: float, y: float, words: str, anchor: str, *, bold: bool = False, color: str = "#222222") -> str:
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{color}"{weight}>{escape(words)}</text>'


def _x(microseconds: float) -> float:
    low, high = map(log10, SCALE)
    return LEFT + WIDTH * (log10(min(max(microseconds, SCALE[0]), SCALE[1])) - low) / (high - low)


def _row(point: Point, y: float) -> str:
    ours = point.engine.startswith(OURS)
    color = "#0b6e4f" if ours else "#7a7f87"
    x, middle = _x(point.microseconds), y + ROW / 2
    return "\n".join(
        [
            text(LEFT - 10, middle + 4, point.engine, "end", bold=ours, color=color),
            f'<line x1="{LEFT}" y1="{middle}" x2="{x:.1f}" y2="{middle}" stroke="{color}" stroke-opacity="0.35"/>',
            f'<circle cx="{x:.1f}" cy="{middle}" r="5" fill="{color}"/>',
            text(x + 10, middle + 4, f"{point.microseconds:.3g}", "start", color=color),
        ]
    )


def _grid_line(value: float, bottom: float) -> str:
    x = _x(value)
    label = text(x, TOP - 8, f"{value:,g}", "middle", color="#7a7f87")
    return f'<line x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{bottom}" stroke="#e3e5e8"/>\n{label}'
