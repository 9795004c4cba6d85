"""The tests of typed graphs hold when every run is dropped after each commit and gone on with by a new one."""

import re
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from durable.evicting import FILES, LEFT_OUT

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.chaos
async def test_the_tests_of_typed_graphs_hold_for_runs_that_are_dropped_after_each_commit(anyio_backend: str) -> None:
    """`pytest --evict` passes, runs were really dropped, and no more tests are left out than is said."""
    command = [sys.executable, "-m", "pytest", "-q", "--evict", "-p", "no:cacheprovider", "-k", anyio_backend, *FILES]
    done = await anyio.run_process(command, cwd=ROOT, stderr=subprocess.STDOUT, check=False)
    told = done.stdout.decode()
    assert 0 == done.returncode, told
    dropped = re.search(r"runs were dropped (\d+) times", told)
    assert dropped is not None
    assert int(dropped[1]) > 50
    passed = re.search(r"(\d+) passed", told)
    assert passed is not None
    assert int(passed[1]) > 40


def test_the_tests_that_are_left_out_are_there() -> None:
    """A test that was renamed or removed is not left out any more."""
    text = "".join((ROOT / file).read_text() for file in FILES)
    assert [] == [name for name in LEFT_OUT if f"def {name}(" not in text]
