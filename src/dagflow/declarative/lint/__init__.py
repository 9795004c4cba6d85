"""The linter of YAML graphs: everything that the compiler finds, and rules about what is likely not meant."""

from dagflow.declarative.lint.finding import Finding, Level, LintReport
from dagflow.declarative.lint.linting import lint_file
from dagflow.declarative.lint.rule import Rule
from dagflow.declarative.lint.rules import FAULTS, RULES

__all__ = ["FAULTS", "RULES", "Finding", "Level", "LintReport", "Rule", "lint_file"]
