"""Write what was measured as Markdown: the targets first, then the tables."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.section import Section, Table

LIBRARIES = (
    *(
        "dagflow",
        "anyio",
        "trio",
        "attrs",
        "httpx",
        "coredis",
        "fastapi",
        "starlette",
        "uvicorn",
        "hypercorn",
        "sf-hamilton",
    ),
    "langgraph",
    *("langgraph-checkpoint-sqlite", "pydantic-graph", "openai", "anthropic", "pydantic-ai-slim"),
    *("prefect", "distributed"),
)


def render(sections: Sequence[Section], *, seconds: float, chart: str, campaign: str = "") -> str:
    """Write the report; `campaign` is the section of what a campaign has counted, which comes last."""
    verdicts = [verdict for section in sections for verdict in section.verdicts]
    missed = sum(not verdict.meets for verdict in verdicts)
    rows = [[v.claim, v.measured, v.target, v.word if v.meets else f"**{v.word}**"] for v in verdicts]
    parts = [
        "# Benchmarks",
        "Written by `nox -s bench` (`python -m benchmarks`); do not edit. Every figure is the median of at least 7 "
        "repetitions in one run, unless its section says otherwise; the variants of a table take turns, and ratios "
        "compare medians of that run. Garbage is collected before each repetition.",
        _machine(seconds),
        f"![Microseconds a node, by engine]({chart})",
        "## Targets",
        f"{len(verdicts) - missed} of {len(verdicts)} are met.",
        markdown(Table(["what", "measured", "target", "verdict"], rows)),
    ]
    for section in sections:
        parts += [f"## {section.title}", section.text.strip(), *map(markdown, section.tables)]
    return "\n\n".join([*parts, campaign] if campaign else parts) + "\n"


def section_in(text: str, title: str) -> str:
    """A section of a report that was written before, to be kept; empty where it has none of that title."""
    _, _, rest = f"\n{text}".partition(f"\n## {title}\n")
    return f"## {title}\n{rest.partition(chr(10) + '## ')[0].rstrip()}" if rest else ""


def markdown(table: Table) -> str:
    lines = [f"**{table.caption}**\n"] if table.caption else []
    lines += [_line(table.header), _line(["---"] * len(table.header)), *map(_line, table.rows)]
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _machine(seconds: float) -> str:
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    facts = [
        ["date", f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {seconds:.0f} s"],
        ["processor", f"{_processor()}, {os.cpu_count()} cores, load {load}"],
        ["system", f"{platform.system()} {platform.release()}"],
        ["Python", f"{platform.python_implementation()} {platform.python_version()}"],
        ["libraries", ", ".join(f"{name} {version(name)}" for name in LIBRARIES)],
    ]
    return markdown(Table(["", ""], facts))


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())
