"""Turn the rows that `schedule_cost` and `fanout_cost` measure into sections."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any

from benchmarks.section import FLAT, Section, Table, Verdict, at_most

Rows = Sequence[Mapping[str, Any]]
ACTIVATION = 5.0  # microseconds


def schedule(*, short: bool) -> Section:
    return _section("schedule_cost", "Schedule", short=short)


def fanout(*, short: bool) -> Section:
    return _section("fanout_cost", "Fan-out", short=short)


def _section(module: str, title: str, *, short: bool) -> Section:
    """Call `measure` of a module, which gives a mapping for each row; a module that is not there is skipped."""
    try:
        found = import_module(f"benchmarks.{module}")
    except ImportError as error:
        print(f"skipped {title}: {error}", flush=True)
        return Section(title, f"Not measured: {error}.")
    rows: Rows = found.measure(short=short)
    header = list(dict.fromkeys(key for row in rows for key in row))
    table = Table(header, [[_text(row.get(key, "-")) for key in header] for row in rows])
    verdicts = list(_verdicts(rows)) if module == "schedule_cost" else []
    return Section(title, (found.__doc__ or "").strip(), [table], verdicts)


def _verdicts(rows: Rows) -> Iterator[Verdict]:
    """Judge each shape and kind of writes, at its largest size and by how it grew from a hundred."""
    for shape, writes in dict.fromkeys((row["shape"], row["writes"]) for row in rows):
        by_size = {row["size"]: row["microseconds"] for row in rows if (row["shape"], row["writes"]) == (shape, writes)}
        size = max(by_size)
        claim = f"{size:,} activations of the schedule alone: {shape}, writing {writes}"
        yield at_most(claim, by_size[size], ACTIVATION, " us")
        yield at_most(f"{claim}, / at 100", by_size[size] / by_size[100], FLAT)


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
