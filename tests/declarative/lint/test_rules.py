"""Every rule finds what its failing example shows, and not what its passing one does."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from dagflow.declarative.lint import FAULTS, RULES, Finding, LintReport, Rule, lint_file
from declarative.lint.example_tools import FUNCTIONS


def linted(folder: Path, text: str) -> LintReport:
    path = folder / "graph.yaml"
    path.write_text(text, encoding="utf-8")
    return lint_file(path, root=folder, functions=FUNCTIONS, environment={})


def found_by(rule: Rule, report: LintReport) -> list[Finding]:
    return [finding for finding in report.findings if finding.code == rule.code]


def by_code(rule: Rule) -> str:
    return rule.code


SLOW = ("DF501", "DF504")
"""Their examples name Redis, whose client takes a second to import."""

EACH = [pytest.param(rule, id=rule.code, marks=[pytest.mark.slow] if rule.code in SLOW else []) for rule in RULES]


@pytest.mark.parametrize("rule", EACH)
def test_a_rule_finds_something_in_its_failing_example(rule: Rule, tmp_path: Path) -> None:
    """The failing example has a finding of the rule's level, in words, and no fault beside it."""
    report = linted(tmp_path, rule.example.failing)
    found = found_by(rule, report)
    assert found
    assert {rule.level} == {finding.level for finding in found}
    assert all(finding.message[0] != " " and "None" not in finding.message for finding in found)
    assert [] == [finding for finding in report.findings if finding.code in FAULTS]


@pytest.mark.parametrize("rule", EACH)
def test_a_rule_finds_nothing_in_its_passing_example(rule: Rule, tmp_path: Path) -> None:
    """The passing example, which is sound, has no finding of the rule."""
    report = linted(tmp_path, rule.example.passing)
    assert [] == found_by(rule, report)
    assert [] == [finding for finding in report.findings if finding.code in FAULTS]
    assert sorted(report.findings, key=lambda finding: finding.mark) == list(report.findings)


@pytest.mark.parametrize("rule", EACH)
def test_a_comment_leaves_a_finding_out(rule: Rule, tmp_path: Path) -> None:
    """Each finding of a rule can be ignored where it stands, and the comment is then of use."""
    lines = rule.example.failing.split("\n")
    for finding in found_by(rule, linted(tmp_path, rule.example.failing)):
        lines[finding.mark.line - 1] += f"  # dagflow: ignore {rule.code}"
    codes = {finding.code for finding in linted(tmp_path, "\n".join(lines)).findings}
    assert not codes & {rule.code, "DF009", *(fault for fault in FAULTS)}


@pytest.mark.parametrize("rule", RULES, ids=by_code)
def test_a_rule_says_what_it_finds_and_why(rule: Rule) -> None:
    """Title and reason are there, the title without a full stop, the reason with one."""
    assert rule.title
    assert not rule.title.endswith(".")
    assert rule.why.endswith((".", ".)"))


def test_codes_are_sorted_and_used_once() -> None:
    """The table is in the order of the codes, no code is there twice, and there are more than thirty."""
    codes = [rule.code for rule in RULES]
    assert sorted(codes) == codes
    assert {1} == set(Counter(codes).values())
    assert len(codes) > 30


def test_every_example_belongs_to_a_rule() -> None:
    """No example is left behind by a rule that was given up."""
    import dagflow.declarative.lint as package

    files = (Path(str(package.__file__)).parent / "examples").iterdir()
    assert {rule.code for rule in RULES} == {file.stem for file in files}
