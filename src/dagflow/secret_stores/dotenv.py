"""Secrets out of a dotenv file, with a small strict reader of that format.

The format has no standard. What all readers agree on is read: `NAME=value` lines, `export` before them, quotes,
comments. What they read differently is refused, so that no secret is silently another one: a name twice, a quote
that does not end, text after one, unknown escapes. A `$` is a plain character: nothing is put in for a variable.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from typing import Final, NoReturn

import attrs
from anyio.to_thread import run_sync

from dagflow.core.secrets import Secret
from dagflow.errors import DagflowError
from dagflow.source.files import UnreadableFile, read_text

__all__ = ["DotenvError", "DotenvSecrets", "parse_dotenv"]

_NAME: Final = re.compile(r"[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*")
_SINGLE: Final = re.compile(r"'([^']*)'")
_DOUBLE: Final = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_PLAIN: Final = re.compile(r"[^\n]*")
_REST: Final = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\n|\Z)")
_BLANK: Final = re.compile(r"[ \t]*(?:#[^\n]*)?\n|[ \t]+(?:#[^\n]*)?\Z|#[^\n]*\Z")
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$", "'": "'"}


class DotenvError(DagflowError):
    """Raised when a dotenv file cannot be read, or is not written as it should be; no value is in the message."""


def _path(path: str | os.PathLike[str]) -> str:
    return os.fspath(path)


@attrs.frozen(eq=False)
class DotenvSecrets:
    """Gives secrets out of a dotenv file, which is read anew for each secret: it may be changed between two runs.

    Raises `DotenvError` when a secret is asked for and the file is missing or malformed.
    """

    path: str = attrs.field(converter=_path)

    @property
    def place(self) -> str:
        """The file."""
        return f"the file {self.path}"

    async def find(self, name: str) -> Secret | None:
        """Read the file, in a worker thread, and look the name up."""
        found = (await self._read()).get(name)
        return found if found is not None and found.reveal() else None

    async def names(self) -> Collection[str]:
        """Give the names in the file."""
        return (await self._read()).keys()

    async def _read(self) -> Mapping[str, Secret]:
        return await run_sync(_read_file, self.path)


def _read_file(path: str) -> dict[str, Secret]:
    try:
        text = read_text(path)
    except UnreadableFile as error:
        raise DotenvError(f"the secrets in {path} cannot be read: {error}") from error
    return parse_dotenv(text, file=path)


def parse_dotenv(text: str, *, file: str) -> dict[str, Secret]:
    """Read the text of a dotenv file; `file` is its name for messages.

    In double quotes `\\n`, `\\r`, `\\t`, `\\"`, `\\\\` and `\\$` are escapes, and a value may have several lines; in
    single quotes everything stands for itself. Without quotes a value ends with the line, or before a `#` that
    follows a blank. Raises `DotenvError` with the line.
    """
    text = text.replace("\r\n", "\n")
    found: dict[str, Secret] = {}
    position = 0
    while position < len(text):
        blank = _BLANK.match(text, position)
        if blank is not None:
            position = blank.end()
            continue
        reader = _Line(text, position, file)
        name, value, position = reader.read()
        if name in found:
            reader.refuse(f"{name} is set a second time; set it once")
        found[name] = Secret(value)
    return found


@attrs.frozen
class _Line:
    text: str = attrs.field(repr=False)
    start: int
    file: str

    def read(self) -> tuple[str, str, int]:
        """Give a name, its value, and where the next line begins."""
        named = _NAME.match(self.text, self.start)
        if named is None:
            self.refuse("expected NAME=value, a comment or nothing")
        value, end = self._value(named[1], named.end())
        rest = _REST.match(self.text, end)
        if rest is None:
            self.refuse(f"there is more after the quoted value of {named[1]}; quote all of it")
        return named[1], value, rest.end()

    def _value(self, name: str, start: int) -> tuple[str, int]:
        quote = self.text[start : start + 1]
        if quote not in ("'", '"'):
            plain = _PLAIN.match(self.text, start)
            assert plain is not None
            return re.split(r"(?:^|[ \t])#", plain[0], maxsplit=1)[0].rstrip(" \t"), plain.end()
        quoted = (_SINGLE if quote == "'" else _DOUBLE).match(self.text, start)
        if quoted is None:
            self.refuse(f"the quoted value of {name} does not end; it lacks a {quote}")
        if quote == "'":
            return quoted[1], quoted.end()
        return _ESCAPE.sub(lambda escape: self._character(name, escape[1]), quoted[1]), quoted.end()

    def _character(self, name: str, letter: str) -> str:
        if letter not in _ESCAPES:
            self.refuse(f"the value of {name} has an unknown escape; write \\\\ for a backslash, or use single quotes")
        return _ESCAPES[letter]

    def refuse(self, problem: str) -> NoReturn:
        line = self.text.count("\n", 0, self.start) + 1
        raise DotenvError(f"{self.file}:{line}: {problem}")
