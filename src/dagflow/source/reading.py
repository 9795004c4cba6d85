"""Reading a document from text, from bytes or from a file, within limits."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import NoReturn

from dagflow.source.compose import Composer
from dagflow.source.document import Document
from dagflow.source.faults import Fault, Mark, SourceError
from dagflow.source.files import UnreadableFile, read_bytes
from dagflow.source.limits import DEFAULT_LIMITS, Limits
from dagflow.source.paths import show_path
from dagflow.source.problems import Problem
from dagflow.source.scan import MakeParser, best_parser
from dagflow.source.text import Lines, decode, unwanted_character
from dagflow.source.type_texts import Quoted, QuotedLines

__all__ = ["read_document", "read_file", "read_text"]


def read_document(text: str | bytes, *, file: str, limits: Limits = DEFAULT_LIMITS) -> Document:
    """Read the one document of a text; `file` is its name in marks and errors.

    Scalars are read by the core schema of YAML 1.2: `yes` is a text. Refused are anchors, aliases, tags, merge keys,
    duplicate keys, keys that are no texts, more than one document, and whatever passes `limits`. One thing is taken
    that YAML does not know: a type such as `list[str]` need not be quoted in a flow mapping (`type_texts`).

    Raises `SourceError` with everything that was found wrong, in the order of the text.
    """
    return read_text(text, file=file, limits=limits, make_parser=best_parser())


def read_file(path: str | os.PathLike[str], *, file: str | None = None, limits: Limits = DEFAULT_LIMITS) -> Document:
    """Read the document of a file, see `read_document`; `file` is its name in marks, the path if it is not given.

    Blocks while it reads. Never reads more than `limits.max_bytes` and one, and nothing but regular files.

    Raises `SourceError` also where the file cannot be read.
    """
    name = os.fspath(path) if file is None else file
    try:
        data = read_bytes(path, limits.max_bytes)
    except UnreadableFile as error:
        _refuse(name, f"the file cannot be read: {error}", error)
    return read_document(data, file=name, limits=limits)


def read_text(text: str | bytes, *, file: str, limits: Limits, make_parser: MakeParser) -> Document:
    """Read a document with a certain parser."""
    if len(text) > limits.max_bytes:
        _refuse_large(file, limits)
    if isinstance(text, bytes):
        text, problem = decode(text)
        if problem is not None:
            _raise(Lines(file, text), [Problem(len(text), (), problem)])
    else:
        text = text.removeprefix("\ufeff")
    lines = Lines(file, text)
    unwanted = unwanted_character(text)
    if unwanted is not None:
        _raise(lines, [Problem(unwanted[0], (), unwanted[1])])
    if len(text.encode()) > limits.max_bytes:
        _refuse_large(file, limits)
    composed = Composer(lines, text, limits, make_parser).compose()
    quoted = Quoted(text)
    while any(quoted.quote_at(problem.offset) for problem in composed.problems):
        lines = QuotedLines(file, text, quoted)
        composed = Composer(lines, quoted.text, limits, make_parser).compose()
    if composed.problems:
        _raise(lines, composed.problems)
    return Document(file, composed.data, composed.places, lines)


def _refuse_large(file: str, limits: Limits) -> NoReturn:
    _refuse(file, f"the file has more than {limits.max_bytes} bytes, the limit set by max_bytes")


def _refuse(file: str, problem: str, cause: BaseException | None = None) -> NoReturn:
    raise SourceError([Fault(Mark(file, 1, 1), "", problem)], subject=file) from cause


def _raise(lines: Lines, problems: Iterable[Problem]) -> NoReturn:
    faults = [Fault(lines.mark(problem.offset), show_path(problem.path), problem.text) for problem in problems]
    raise SourceError(faults, subject=lines.file)
