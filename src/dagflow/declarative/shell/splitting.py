"""Splitting the text of a command into arguments, by a shell's rules and without one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NoReturn

from dagflow.declarative.expressions.faults import Place

__all__ = ["split_command"]

# Possessive throughout, so that the time is linear in the text.
_BRACES: Final = re.compile(
    r"""\{\{ | \}\} | \{ (?: [^{}"']++ | "(?:[^"\\]|\\.)*+" | '(?:[^'\\]|\\.)*+' )*+ \}""", re.VERBOSE | re.DOTALL
)
_PLAIN: Final = re.compile(r"[A-Za-z0-9_./:@%+,^=-]+")
# The shell takes the backslash and the line end out before it looks at the dollar.
_EXPANSION: Final = re.compile(r"\$(?:\\\n)*+[A-Za-z_0-9({\[*@#?$!-]")
_QUOTING: Final = re.compile(r"\$(?:\\\n)*+[\"']")
_ASSIGNMENT: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\+?=")
_SPACE: Final = " \t"

OPERATORS: Final = {
    "|": "is how a shell joins programs",
    "&": "is how a shell joins or hides commands",
    ";": "is how a shell ends a command",
    "<": "is how a shell redirects input",
    ">": "is how a shell redirects output",
    "(": "is how a shell groups commands",
    ")": "is how a shell groups commands",
    "`": "is how a shell puts in the output of a command",
    "*": "is how a shell matches file names",
    "?": "is how a shell matches file names",
    "[": "is how a shell matches file names",
}
HOW: Final = (
    "and no shell reads this command; put it in single quotes where the character itself is meant, "
    'or start a shell, with values beside its script: ["sh", "-c", "grep -- \\"$1\\" notes | sort", "sh", "{word}"]'
)
OWN_COMMANDS: Final = {
    "cd": "and no shell reads this command; name the folder under cwd:",
    "export": "and no shell reads this command; set variables under env:",
    **dict.fromkeys([".", "source", "alias", "eval", "exec", "set", "unset", "trap", "ulimit", "umask", "wait"], HOW),
    **dict.fromkeys(["if", "for", "while", "until", "case", "function", "[["], HOW),
}


def split_command(command: str | Sequence[str]) -> tuple[str, ...]:
    """Split a command into its arguments, each the source of a template; a list is taken as it is.

    A text is split as a POSIX shell does it: at spaces, with single and double quotes and backslashes. Expressions in
    braces are kept whole, within quotes and outside of them, and so are `{{` and `}}`. What else a shell would do is
    not done, and refused wherever a shell would do it: operators, `$` and backticks, patterns of file names, `~`,
    comments, variables set before the program, and several lines.

    Raises `ExpressionError`, which has the column, for those and for a quote or brace without its end.
    """
    if not isinstance(command, str):
        return tuple(command)
    words = Splitter(command).split()
    if words and words[0] in OWN_COMMANDS:
        raise Place(command, 0).error(f"`{words[0]}` is a command of the shell's own, {OWN_COMMANDS[words[0]]}")
    return tuple(words)


class Splitter:
    """Reads a text from left to right; `word` holds the pieces of the argument that is being read."""

    def __init__(self, text: str) -> None:
        self.text: str = text
        self.offset: int = 0
        self.end: int = len(text.rstrip(" \t\n"))
        self.words: list[str] = []
        self.word: list[str] | None = None

    def split(self) -> list[str]:
        """Read the whole text."""
        while self.offset < len(self.text):
            character = self.text[self.offset]
            if character in "\"'":
                self._read_quoted(character)
            elif character == "\\":
                self._read_escaped()
            elif character in _SPACE:
                self._end_word()
                self.offset += 1
            elif character == "\n":
                self._read_line_end()
            else:
                self._read_unquoted(character)
        self._end_word()
        return self.words

    def _read_unquoted(self, character: str) -> None:
        if plain := _PLAIN.match(self.text, self.offset):
            self._check_assignment()
            self._add(plain[0])
            return
        self._check_expansion()
        if _QUOTING.match(self.text, self.offset):
            self._refuse("`$` before a quote means something else in each shell; put it in single quotes")
        if character in OPERATORS:
            self._refuse_shell(f"`{character}` {OPERATORS[character]}")
        if character in "~#" and (self.word is None or (character == "~" and self.word[-1][-1:] in ("=", ":"))):
            what = "stands for a home folder" if character == "~" else "begins a comment"
            self._refuse_shell(f"`{character}` {what} in a shell")
        if character == "\r":
            self._refuse("a carriage return is part of an argument for a shell, and is hardly meant; take it out")
        if character == "!" and not self.words and self.text[self.offset + 1 : self.offset + 2].strip() == "":
            self._refuse_shell("`!` is how a shell turns a status round")
        self._add(self._piece())

    def _read_quoted(self, quote: str) -> None:
        start = self.offset
        self._add("", 1)
        while self.text[self.offset : self.offset + 1] != quote:
            if self.offset == len(self.text):
                raise Place(self.text, start).error(f"the quote that begins here has no closing {quote}")
            if quote == '"':
                if self.text[self.offset] == "\\":
                    self._read_escaped_in_quotes()
                    continue
                if self.text[self.offset] == "`":
                    self._refuse_shell("a backtick works in double quotes too: it puts in the output of a command")
                self._check_expansion()
            self._add(self._piece())
        self.offset += 1

    def _read_escaped(self) -> None:
        escaped = self.text[self.offset + 1 : self.offset + 2]
        if not escaped:
            self._refuse("nothing follows the backslash; write \\\\ for one that is text")
        if escaped in "{}":
            self._refuse(f"a backslash does not make a brace text; write {escaped * 2}")
        if escaped == "\n":  # the command goes on in the next line
            self.offset += 2
        else:
            self._add(escaped, 2)

    def _read_escaped_in_quotes(self) -> None:
        escaped = self.text[self.offset + 1 : self.offset + 2]
        if escaped == "\n":
            self.offset += 2
        elif escaped and escaped in '"\\$`':
            self._add(escaped, 2)
        else:
            self._add("\\")

    def _read_line_end(self) -> None:
        self._end_word()
        if self.words and self.offset < self.end:
            self._refuse_shell("a line end is where a shell begins another command (`>` in YAML folds lines into one)")
        self.offset += 1

    def _piece(self) -> str:
        """The character that is next, or the whole expression that begins with it."""
        character = self.text[self.offset]
        if character not in "{}":
            return character
        if braces := _BRACES.match(self.text, self.offset):
            return braces[0]
        if character == "{":
            self._refuse("the expression that begins here has no closing }; write {{ for a brace that is text")
        return self._refuse("unexpected }; write }} for a brace that is text")

    def _add(self, piece: str, length: int | None = None) -> None:
        if self.word is None:
            self.word = []
        self.word.append(piece)
        self.offset += len(piece) if length is None else length

    def _end_word(self) -> None:
        if self.word is not None:
            self.words.append("".join(self.word))
            self.word = None

    def _check_assignment(self) -> None:
        if not self.words and self.word is None and _ASSIGNMENT.match(self.text, self.offset):
            self._refuse("a shell sets a variable so, and no shell reads this command; write it under env:")

    def _check_expansion(self) -> None:
        expansion = _EXPANSION.match(self.text, self.offset)
        if expansion is not None:
            self._refuse_shell(f"`{expansion[0]}` is how a shell puts in a value or the output of a command")

    def _refuse_shell(self, what: str) -> NoReturn:
        self._refuse(f"{what}, {HOW}")

    def _refuse(self, problem: str) -> NoReturn:
        raise Place(self.text, self.offset).error(problem)
