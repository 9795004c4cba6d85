"""What a measurement hands to the report: tables, verdicts on targets, and points of the chart."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

FLAT = 1.25
"""By how much a cost that is called flat may grow: the noise of the machine stays below."""


@attrs.frozen
class Verdict:
    """Whether a figure meets its target; `measured` and `target` are text, with units."""

    claim: str
    measured: str
    target: str
    meets: bool

    @property
    def word(self) -> str:
        return "meets" if self.meets else "misses"


@attrs.frozen
class Table:
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""


@attrs.frozen
class Point:
    """Microseconds a node of one engine, in one panel of the chart."""

    panel: str
    engine: str
    microseconds: float


@attrs.frozen
class Section:
    title: str
    text: str
    tables: Sequence[Table] = ()
    verdicts: Sequence[Verdict] = ()
    points: Sequence[Point] = ()


def at_most(claim: str, value: float, limit: float, unit: str = "") -> Verdict:
    return Verdict(claim, f"{value:.3g}{unit}", f"at most {limit:g}{unit}", value <= limit)
