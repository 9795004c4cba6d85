"""The commands of docs/command-line.md that work on a store, run as the page has them."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "command-line.md"


@pytest.mark.slow
def test_commands_of_recorded_runs_print_what_the_page_says(tmp_path: Path) -> None:
    """In order, with the page's own `orders.py`, each command prints the page's lines, but for times and progress."""
    section = PAGE.read_text(encoding="utf-8").partition("\n## Runs\n")[2].partition("\n## ")[0]
    (program,) = re.findall(r"^```python\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    (tmp_path / "orders.py").write_text(program)
    blocks = re.findall(r"^```text\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    commands = re.findall(r"^\$ dagflow (.*)\n((?:[^$].*\n)*)", "".join(blocks), re.MULTILINE)
    assert 6 == len(commands)
    for command, expected in commands:
        done = subprocess.run(
            [sys.executable, "-m", "dagflow", *shlex.split(command)], cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == (3 if command.startswith("run ") else 0), done.stderr
        lines = iter(without_times(done.stdout + done.stderr))
        assert [] == [line for line in without_times(expected) if line not in lines], f"not printed by {command}"


def without_times(text: str) -> list[str]:
    return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "(time)", text).splitlines()
