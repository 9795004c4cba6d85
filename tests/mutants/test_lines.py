"""The mutants stay where the library is."""

from __future__ import annotations

import pytest

from mutants.run import MUTANTS, ROOT, SHORT


@pytest.mark.parametrize("name", MUTANTS)
def test_the_line_to_break_is_there_once(name: str) -> None:
    """Each mutant changes one line that stands once in its module, and its tests exist."""
    mutant = MUTANTS[name]
    assert 1 == (ROOT / "src/dagflow" / mutant.module).read_text(encoding="utf-8").count(mutant.line)
    assert mutant.broken != mutant.line
    assert (ROOT / mutant.tests.split()[0].split("::")[0]).exists()


def test_the_short_campaign_is_part_of_the_long_one() -> None:
    """What runs with `--short` is among all."""
    assert set(SHORT) <= MUTANTS.keys()
