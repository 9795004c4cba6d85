"""The example of async pipelines runs as a user would run it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "async-execution" / "simple_async.py"


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_simple_async_fetches_processes_and_saves(backend: str, tmp_path: Path) -> None:
    """Three tasks run in order, each on what the one before it returned, without a warning, from any folder."""
    command = [sys.executable, "-W", "error", "-X", "utf8", str(EXAMPLE), "--backend", backend]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf-8", timeout=60)
    assert (0, "") == (found.returncode, found.stderr)
    assert "Summary(station='Pier 7', count=4, mean=3.75)" == found.stdout.splitlines()[0]
    assert ["fetch", "process", "save"] == [line.partition(":")[0] for line in found.stdout.splitlines()[1:4]]
    assert {"station": "Pier 7", "count": 4, "mean": 3.75} == json.loads((tmp_path / "summary.json").read_text())
