"""The tokens of an expression, one after the other: the first that is wrong is told, whatever follows it."""

from __future__ import annotations

import math
import re
from typing import Any, Final, NoReturn

from dagflow.declarative.expressions.faults import Place
from dagflow.declarative.expressions.limits import MAX_INTEGER, MAX_INTEGER_BITS, MAX_SOURCE

__all__ = ["KEYWORDS", "Tokens"]

KEYWORDS: Final = frozenset({"and", "or", "not", "in", "if", "else", "true", "false", "null", "True", "False", "None"})

# Nothing is tried twice, so that the time is linear in the text. (Possessive groups would say so more plainly, but
# match wrongly before Python 3.11.5: python/cpython#106052.)
_STRINGS: Final = {
    quote: rf"{quote}[^{quote}\\\x00-\x1f]*+(?:\\(?:[\"'\\/bfnrt]|u[0-9a-fA-F]{{4}})[^{quote}\\\x00-\x1f]*+)*"
    for quote in "\"'"
}
_TOKEN: Final = re.compile(
    rf"""[ \t\r\n]*+(?:
      (?P<name> [A-Za-z_][A-Za-z0-9_]*+ )
    | (?P<operator> [-](?!>) | [*](?![*]) | <=? (?![<>]) | >=? (?!>) | //? | [=!]= (?!=) | [+%()\[\],.] )
    | (?P<number> [0-9]++ (?:\.[0-9]++)? (?:[eE][-+]?[0-9]++)? (?![\w.]) )
    | (?P<string> {_STRINGS['"']}" | {_STRINGS["'"]}' )
    | (?P<end> \}} | \Z )
    )""",
    re.VERBOSE,
)
_SPACE: Final = re.compile(r"[ \t\r\n]*")
_NUMBER_LIKE: Final = re.compile(r"[\w.]{1,40}")
_WRONG: Final = re.compile(r"\*\*|[=!]==|<[<>]|>>|->|&&|\|\||:=|.", re.DOTALL)
_ESCAPE: Final = re.compile(r"\\(u[0-9a-fA-F]{4}|.)")
_ESCAPED: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_HINTS: Final = {
    "===": "write `==`",
    "!==": "write `!=`",
    "<>": "write `!=`",
    "&&": "write `and`",
    "&": "write `and`",
    "||": "write `or`",
    "|": "there are no filters; call a function, or write `or`",
    "!": "write `not`",
    "=": "write `==` to compare; nothing is assigned, and arguments have no names",
    ":=": "nothing is assigned in an expression",
    ":": "there are no slices, formats or objects in an expression",
    "?": "write `a if test else b`",
    "{": "there are no braces in an expression",
    "$": "write the name alone",
}


class Tokens:
    """The token that is to be read next: its `kind` and `text`, and where it begins and ends in the source.

    A closing brace ends an expression as the end of the source does: there are none in it.
    """

    __slots__ = ("end", "first", "kind", "offset", "previous", "source", "start", "text")

    def __init__(self, source: str, start: int) -> None:
        self.source: str = source
        self.start: int = start
        self.kind: str | None = ""
        self.text: str = ""
        self.offset: int = start
        self.end: int = start
        self.previous: int = start
        self.advance()
        self.first: int = self.offset

    def advance(self) -> None:
        """Go to the next token; `previous` is where the one before it ended."""
        match = _TOKEN.match(self.source, self.end)
        if match is None:
            self._refuse(_SPACE.match(self.source, self.end).end())  # type: ignore[union-attr]  # it matches nothing too
        self.kind = kind = match.lastgroup
        text: str = match[kind]  # type: ignore[index]  # each alternative is a group
        self.text = text
        self.previous, self.end = self.end, match.end()
        self.offset = self.end - len(text)
        if kind == "name" and text in KEYWORDS:
            self.kind = "keyword"
        if self.offset - self.start > MAX_SOURCE:
            raise Place(self.source, self.start).error(f"the expression has more than {MAX_SOURCE} characters")

    def fault(self, message: str) -> NoReturn:
        """Refuse the token."""
        raise Place(self.source, self.offset).error(message)

    def shown(self) -> str:
        """Name the token in a message."""
        if not self.text:
            return "the end"
        return f"`{self.text}`" if len(self.text) <= 40 else f"`{self.text[:37]}...`"

    def number(self) -> int | float:
        """The value of a number."""
        text = self.text
        if not text.isdigit():
            number = float(text)
            if math.isinf(number):
                self.fault("the number is too large for a float")
            return number
        if text[0] == "0" and len(text) > 1:
            self.fault(f"a number does not begin with a zero: {self.shown()}")
        # Python reads no more than 4300 digits, and takes its time for them.
        if len(text) > MAX_INTEGER_BITS // 3 or (integer := int(text)) >= MAX_INTEGER:
            self.fault(f"the integer is too large; it may have {MAX_INTEGER_BITS} bits")
        return integer

    def string(self) -> str:
        """The value of a string."""
        text = self.text[1:-1]
        if "\\" not in text:
            return text
        text = _ESCAPE.sub(_unescape, text)
        try:  # two escapes may be the halves of one character
            return text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            self.fault(r"a string holds half of a character: `\ud800` to `\udfff` stand in pairs")

    def _refuse(self, offset: int) -> NoReturn:
        character = self.source[offset]
        place = Place(self.source, offset)
        if character in _STRINGS:
            self._refuse_string(offset)
        if "0" <= character <= "9":
            found: Any = _NUMBER_LIKE.match(self.source, offset)
            raise place.error(f"`{found[0]}` is no number; write it as 12, 1.5 or 1e6")
        if not character.isascii():
            raise place.error(
                f"unexpected {character!r} (U+{ord(character):04X}); names are of ASCII letters, digits and _, "
                'any other key is written state["..."]'
            )
        wrong: Any = _WRONG.match(self.source, offset)
        text = wrong[0] if wrong[0].isprintable() else repr(wrong[0])
        hint = _HINTS.get(text, "there is no such operator" if text in {"**", "<<", ">>"} else "")
        raise place.error(f"unexpected `{text}`{hint and '; '}{hint}")

    def _refuse_string(self, offset: int) -> NoReturn:
        good: Any = re.compile(_STRINGS[self.source[offset]]).match(self.source, offset)
        wrong = self.source[good.end() : good.end() + 2]
        if wrong[:1] == "\\" and len(wrong) == 2:
            raise Place(self.source, good.end()).error(
                rf"`{wrong}` is no escape; there are \\ \/ \" \' \b \f \n \r \t and \u with four digits"
            )
        if wrong and wrong[0] != "\\":
            hint = r"; write \n for a line end" if wrong[0] == "\n" else ""
            raise Place(self.source, good.end()).error(f"a string holds no {wrong[0]!r}{hint}")
        raise Place(self.source, offset).error("the string that begins here does not end")


def _unescape(match: re.Match[str]) -> str:
    escaped = match[1]
    if len(escaped) == 5:
        return chr(int(escaped[1:], 16))
    return _ESCAPED.get(escaped, escaped)
