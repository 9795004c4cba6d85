"""PyYAML's parser in Python, made to read texts as libyaml does where the two differ.

libyaml takes tabs between the parts of a line, and question marks in texts within brackets; it refuses `{a:}`; and
it tells a character that does not exist as an error like any other. The methods below follow its `scanner.c`.
"""

from __future__ import annotations

import re
from typing import Any

from yaml.parser import Parser
from yaml.reader import Reader
from yaml.scanner import Scanner, ScannerError
from yaml.tokens import ScalarToken

from dagflow.source.limits import DEEPEST

__all__ = ["PythonParser"]

_VERSION_DIGITS = 10
_BLANK = " \t"
_BREAK = "\r\n"
_BLANK_OR_END = "\0 \t\r\n"
# The buffer ends with a NUL, which no text holds.
_IN_BLOCK = re.compile(r"(?:[^\0 \t\r\n:]++|:(?![\0 \t\r\n]))*+")
_IN_FLOW = re.compile(r"(?:[^\0 \t\r\n:,\[\]{}]++|:(?![\0 \t\r\n,?\[\]{}]))*+")


class PythonParser(Reader, Scanner, Parser):
    """Gives the events of a text that has been searched for unwanted characters."""

    allow_simple_key: bool

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)

    def get_event(self) -> Any:
        """Give the next event, `None` after the last."""
        try:
            return super().get_event()  # type: ignore[no-untyped-call]  # here and below, the stubs do not say
        except (ValueError, OverflowError) as error:  # from `chr`, for an escape code that is too large
            raise ScannerError(None, None, "found invalid Unicode character escape code", self.get_mark()) from error

    def fetch_flow_collection_start(self, TokenClass: Any) -> None:  # noqa: N803  # its name there
        """Begin a list or mapping in brackets; too many of them are refused even while looking for a colon ahead."""
        if self.flow_level >= DEEPEST:
            raise ScannerError(None, None, "exceeded maximum nesting depth", self.get_mark())
        super().fetch_flow_collection_start(TokenClass)

    def scan_yaml_directive_number(self, start_mark: Any) -> Any:
        """Read a number of a version, unless Python would refuse it as an integer."""
        if self.prefix(_VERSION_DIGITS).isdigit():
            told = "found extremely long version number"
            raise ScannerError("while scanning a %YAML directive", start_mark, told, self.get_mark())
        return super().scan_yaml_directive_number(start_mark)

    def scan_to_next_token(self) -> None:
        """Skip white space and comments; a tab counts as white space where no indentation is."""
        while True:
            while self.peek() == " " or (self.peek() == "\t" and (self.flow_level or not self.allow_simple_key)):
                self.forward()
            if self.peek() == "#":
                while self.peek() not in "\0\r\n":
                    self.forward()
            if not self.scan_line_break():  # type: ignore[no-untyped-call]
                return
            if not self.flow_level:
                self.allow_simple_key = True

    def scan_plain(self) -> ScalarToken:
        """Read a text without quotes."""
        start = end = self.get_mark()
        indent = self.indent + 1
        chunks: list[str] = []
        spaces, after_break = "", False
        while not self._at_document_mark() and self.peek() != "#":
            length = self._plain_length(start)
            if length:
                chunks += [spaces, self.prefix(length)]
                self.forward(length)
                end = self.get_mark()
                after_break = False
            if self.peek() not in _BLANK + _BREAK:
                break
            spaces, after_break = self._plain_spaces(start, indent)
            if not self.flow_level and self.column < indent:
                break
        self.allow_simple_key = after_break
        return ScalarToken("".join(chunks), True, start, end)

    def _at_document_mark(self) -> bool:
        return self.column == 0 and self.prefix(3) in ("---", "...") and self.peek(3) in _BLANK_OR_END

    def _plain_length(self, start: Any) -> int:
        found = (_IN_FLOW if self.flow_level else _IN_BLOCK).match(self.buffer, self.pointer)
        length = found.end() - self.pointer if found is not None else 0
        if self.flow_level and self.peek(length) == ":" and self.peek(length + 1) in ",?[]{}":
            self.forward(length)
            raise ScannerError("while scanning a plain scalar", start, "found unexpected ':'", self.get_mark())
        return length

    def _plain_spaces(self, start: Any, indent: int) -> tuple[str, bool]:
        """Skip white space, folding line ends; tells whether there were any."""
        spaces, breaks = "", 0
        while (character := self.peek()) in _BLANK + _BREAK:
            if character in _BREAK:
                self.scan_line_break()  # type: ignore[no-untyped-call]
                breaks += 1
                continue
            if not breaks:
                spaces += character
            elif character == "\t" and self.column < indent:
                told = "found a tab character that violates indentation"
                raise ScannerError("while scanning a plain scalar", start, told, self.get_mark())
            self.forward()
        return ("\n" * (breaks - 1) or " ", True) if breaks else (spaces, False)
