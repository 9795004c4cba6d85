"""Turn the rows that `schedule_cost` and `fanout_cost` measure into sections."""

from __future__ import annotations

from importlib import import_module
from inspect import signature

from benchmarks.section import Section, Table


def measure(module: str, title: str, *, short: bool) -> Section:
    """Call `measure` of a module, which gives a dictionary for each row; a module that is not there is skipped."""
    try:
        found = import_module(f"benchmarks.{module}")
    except ImportError as error:
        print(f"skipped {title}: {error}", flush=True)
        return Section(title, f"Not measured: {error}.")
    options = {"short": short} if "short" in signature(found.measure).parameters else {}
    rows = found.measure(**options)
    header = list(dict.fromkeys(key for row in rows for key in row))
    table = Table(header, [[_text(row.get(key, "-")) for key in header] for row in rows])
    return Section(title, (found.__doc__ or "").strip(), [table])


def _text(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
