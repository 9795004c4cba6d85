"""Linting a graph file: it is read and compiled, its faults and the findings of all rules make one report."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from dagflow.core.structure import nearest
from dagflow.declarative.compiling.graph import compile_graph
from dagflow.declarative.compiling.loading import LoadedFile, Surroundings, load_file
from dagflow.declarative.graph import YamlGraph
from dagflow.declarative.lint.checks.durability import unset_names
from dagflow.declarative.lint.finding import Finding, LintReport
from dagflow.declarative.lint.gathering import gather
from dagflow.declarative.lint.rule import Hit, Rule
from dagflow.declarative.lint.rules import RULES
from dagflow.declarative.lint.subject import LintSubject
from dagflow.declarative.lint.suppression import Ignored, ignored_in, leave_out
from dagflow.source import Fault, SourceError, parse_path, read_file, show_path

__all__ = ["lint_file"]


def lint_file(
    path: str | Path,
    *,
    root: str | Path | None = None,
    functions: Mapping[str, Callable[..., Any]] | None = None,
    environment: Mapping[str, str] | None = None,
    ignore: Iterable[str] = (),
) -> LintReport:
    """Read a graph file, with its prompts and subgraphs, and tell everything that is wrong or likely not meant.

    `root`, `functions` and `environment` are those of `load_and_compile`; as there, modules that the file names are
    imported. `ignore` has codes of rules, or beginnings of them (`DF7`), that are left out; a comment
    `# dagflow: ignore DF203` leaves a finding of its line out, or of the next line where it stands alone. Faults that
    keep the graph from being compiled (`DF0..`) cannot be ignored. Where a variable of the checkpointer is not set, the
    checkpointer is not looked at any further. Blocks while it reads.

    Raises `GraphError` where there is no such file, `ValueError` for an unknown code.
    """
    ignored = _checked(ignore)
    path = Path(path)
    try:
        loaded = load_file(path)
    except SourceError as error:
        code = "DF001" if _cannot_be_read(path) else "DF002"
        return LintReport(str(path), tuple(_fault(code, fault) for fault in error.found))
    surroundings = Surroundings.of(
        loaded.path, root=root, functions=functions, environment=os.environ if environment is None else environment
    )
    return LintReport(str(path), tuple(_findings(loaded, surroundings, ignored)))


def _checked(ignore: Iterable[str]) -> tuple[str, ...]:
    codes = tuple(ignore)
    for code in codes:
        if len(code) < 3 or not any(rule.code.startswith(code) for rule in RULES):
            raise ValueError(f"there is no rule {code!r}{nearest(code, [rule.code for rule in RULES])}")
    return codes


def _cannot_be_read(path: Path) -> bool:
    try:
        read_file(path)
    except SourceError:
        return True
    return False


def _findings(loaded: LoadedFile, surroundings: Surroundings, ignored: tuple[str, ...]) -> list[Finding]:
    subject = gather(loaded, surroundings)
    graph: YamlGraph | None = None
    faults: tuple[Fault, ...] = ()
    try:
        graph = compile_graph(loaded, surroundings, with_store=not any(unset_names(subject)))
    except SourceError as error:
        faults = error.found
    if graph is not None:
        subject = subject.compiled(graph)
    chosen = [rule for rule in RULES if not rule.code.startswith(ignored)] if ignored else RULES
    found = dict.fromkeys(_finding(subject, rule, hit) for rule in chosen for hit in rule.check(subject))
    comments = list(_comments(subject))
    left = leave_out(found, comments, (rule.code for rule in RULES))
    if ignored:
        left = (finding for finding in left if not finding.code.startswith(ignored))
    told = [_fault(_code_of(fault), fault) for fault in faults]
    return sorted([*told, *left], key=lambda finding: (finding.mark.file != subject.document.file, finding.mark))


def _finding(subject: LintSubject, rule: Rule, hit: Hit) -> Finding:
    document = subject.document if hit.document is None else hit.document
    path = show_path(parse_path(hit.place))
    return Finding(rule.code, rule.level, document.key_mark(hit.place), path, hit.message)


def _fault(code: str, fault: Fault) -> Finding:
    return Finding(code, "error", fault.mark, fault.path, fault.problem)


_SECTIONS: Final = {
    "state": "DF003",
    "nodes": "DF004",
    "edges": "DF005",
    "loop_limits": "DF005",
    "loop_exits": "DF005",
    "checkpointer": "DF006",
}


def _code_of(fault: Fault) -> str:
    """The code of a fault that the compiler found, by the section that it is in."""
    steps = parse_path(fault.path)
    return _SECTIONS.get(str(steps[0]) if steps else "", "DF007")


def _comments(subject: LintSubject) -> Iterator[Ignored]:
    """The comments in the graph file and in its prompt files."""
    files = {subject.document.file: subject.path}
    for prompt in subject.prompts.values():
        if prompt.document is not None and prompt.file is not None:
            files[prompt.document.file] = prompt.file
    for name, path in files.items():
        yield from ignored_in(name, path.read_text(encoding="utf-8-sig"))
