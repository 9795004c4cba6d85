"""Comments that say what the linter is to leave alone: `# dagflow: ignore DF203`, on the line or on the one above."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import attrs

from dagflow.core.structure import nearest
from dagflow.declarative.lint.finding import Finding
from dagflow.source import Mark

__all__ = ["Ignored", "ignored_in", "leave_out"]

UNUSED: Final = "DF009"

_COMMENT: Final = re.compile(r"(?:^|\s)#\s*dagflow:\s*ignore\b((?:[\s,]*\bDF\w*)*)")
_CODE: Final = re.compile(r"DF\w*")
_BREAK: Final = re.compile(r"\r\n?|\n")


@attrs.frozen
class Ignored:
    """A code in a comment: where it stands, and the line that it is for."""

    code: str
    mark: Mark
    line: int


def ignored_in(file: str, text: str) -> Iterator[Ignored]:
    """Find the comments of a file. A comment that has a line for itself is for the next line.

    The lines are searched as they are: in a text of the file, the same words would count too.
    """
    for number, line in enumerate(_BREAK.split(text), 1):
        comment = _COMMENT.search(line)
        if comment is None:
            continue
        target = number if line[: comment.start()].strip() else number + 1
        codes = [(code[0], code.start()) for code in _CODE.finditer(comment[1])]
        for code, start in codes or [("", 0)]:
            yield Ignored(code, Mark(file, number, comment.start(1) + start + 1), target)


def leave_out(findings: Iterable[Finding], ignored: Sequence[Ignored], known: Iterable[str]) -> Iterator[Finding]:
    """Give the findings that no comment is about, and one for each comment that is about nothing."""
    by_place = {(one.mark.file, one.line, one.code): one for one in ignored}
    used: set[Ignored] = set()
    for finding in findings:
        comment = by_place.get((finding.mark.file, finding.mark.line, finding.code))
        if comment is None:
            yield finding
        else:
            used.add(comment)
    codes = sorted(known)
    for one in ignored:
        if not one.code:
            problem = "names no rule; write which one is to be ignored, as in `# dagflow: ignore DF203`"
        elif one.code not in codes:
            problem = f"there is no rule {one.code}{nearest(one.code, codes)}"
        elif one in used:
            continue
        else:
            problem = f"{one.code} finds nothing on line {one.line}; take the comment away"
        yield Finding(UNUSED, "warning", one.mark, "", problem)
