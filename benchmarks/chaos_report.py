"""Sum up the kill sweeps: `python -m benchmarks.chaos_report FILE` prints a table of what they counted.

The file is the one that `DAGFLOW_CHAOS_REPORT=FILE nox -s chaos` writes, one line of JSON for each test.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

COUNTS = ("runs", "kills", "bodies", "lost", "again", "twice", "differing", "seconds")
HEADINGS = ("runs", "kills", "bodies called", "lost", "run again", "recorded twice", "other end", "seconds")


def table(lines: Iterable[str]) -> str:
    """Make a Markdown table of a report, one line for each sweep, store and event loop, and their sum."""
    sums: dict[tuple[str, str, str], Counter[str]] = {}
    total: Counter[str] = Counter()
    for line in lines:
        counted = json.loads(line)
        counts = Counter({name: counted[name] for name in COUNTS})
        sums.setdefault((counted["sweep"], counted["store"], counted["backend"]), Counter()).update(counts)
        if "durability" not in counted["sweep"]:  # the others may lose what they did not promise
            total.update(counts)
    rows = [(*key, *cells(counts)) for key, counts in sorted(sums.items())]
    rows.append(("all of durability `sync`", "", "", *cells(total)))
    heading = ("sweep", "store", "event loop", *HEADINGS)
    rule = ("---",) * 3 + ("---:",) * len(HEADINGS)
    return "\n".join(f"| {' | '.join(row)} |" for row in (heading, rule, *rows))


def cells(counts: Counter[str]) -> list[str]:
    return [f"{counts[name]:,.0f}" for name in COUNTS]


if __name__ == "__main__":
    print(table(Path(sys.argv[1]).read_text().splitlines()))
