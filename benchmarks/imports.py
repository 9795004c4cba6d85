"""Measure what `import dagflow` costs, each time in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from statistics import median
from typing import Any

from benchmarks.section import Section, Table, Verdict, at_most

LIMIT = 25.0
UNWANTED = ("httpx", "yaml", "sqlite3")
PROGRAM = """
import json, sys, time
began = time.perf_counter()
import anyio, attrs
middle, known = time.perf_counter(), set(sys.modules)
{statement}
ended = time.perf_counter()
new = sorted(set(sys.modules) - known)
print(json.dumps([(middle - began) * 1000, (ended - middle) * 1000, new]))
"""
STATEMENTS = {
    "import dagflow": "import dagflow",
    "Graph, Node, Dep and resolve_dep": "from dagflow import Graph, Node, Dep, resolve_dep",
}
ADAPTERS = {
    "Graph, Node and OpenAIBackend": "from dagflow import Graph, Node, OpenAIBackend",
    "httpx alone": "import httpx",
}
"""These import httpx, which is what they are for; they have no target."""
TEXT = """\
Milliseconds after `import anyio, attrs`. The names of dagflow are imported when they are first used, so what
programs use is measured too, and held to the same target.
"""


def measure(*, short: bool) -> Section:
    repeats = 3 if short else 15
    statements = STATEMENTS | ADAPTERS
    found: dict[str, list[Any]] = {name: [] for name in statements}
    for turn in range(repeats + 1):
        for name, statement in statements.items():
            took = _import(statement)
            if turn:  # the first one writes the byte code
                found[name].append(took)
    rows, verdicts = [], []
    for name, times in found.items():
        before, after = median(t[0] for t in times), median(t[1] for t in times)
        new = times[0][2]
        ours = sum(module.partition(".")[0] == "dagflow" for module in new)
        roots = sorted({module.partition(".")[0] for module in new} - {"dagflow"})
        rows.append([name, f"{before:.1f}", f"{after:.1f}", str(ours), " ".join(roots)])
        if name in ADAPTERS:
            continue
        verdicts.append(at_most(f"import time above anyio and attrs: {name}", after, LIMIT, " ms"))
        bad = [module for module in UNWANTED if module in new]
        verdicts.append(
            Verdict(f"imports none of {', '.join(UNWANTED)}: {name}", ", ".join(bad) or "none", "none", not bad)
        )
    header = ["statement", "anyio and attrs, ms", "dagflow, ms", "modules of dagflow", "other new packages"]
    return Section("Imports", TEXT, [Table(header, rows)], verdicts)


def _import(statement: str) -> Any:
    program = PROGRAM.format(statement=statement)
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)
