"""Hostile documents, each with what the reader has to say of it: bombs, tags, odd encodings, unfinished things."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import attrs

__all__ = ["CORPUS", "Hostile"]

Text: TypeAlias = str | bytes


@attrs.frozen
class Hostile:
    """A document that is refused, and a part of the error. A large one is made from the number of its characters."""

    name: str
    text: Text | Callable[[int], Text]
    told: str

    @property
    def is_large(self) -> bool:
        return callable(self.text)

    def made(self, many: int) -> Text:
        return self.text(many) if callable(self.text) else self.text


def laughs(levels: int, width: int) -> str:
    """Each list holds the one before it many times."""
    lines = ["l0: &l0 lol"]
    lines += [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * width)}]" for n in range(1, levels)]
    return "\n".join(lines)


def merges(levels: int, width: int) -> str:
    """Each mapping merges the one before it many times; 431 bytes take PyYAML half a minute."""
    lines = ["a0: &a0 {k: v}"]
    lines += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * width)}]}}" for n in range(1, levels)]
    return "\n".join(lines)


def stairs(steps: int) -> str:
    """Each line is indented more than the one above."""
    return "".join(f"{' ' * step}a:\n" for step in range(steps))


ANCHOR = "anchors (&) and aliases (*) are not allowed"
TAG = "tags (!) are not allowed"
DIRECTIVE = "the only directive that is allowed is %YAML 1.2"
SECOND = "a second document begins here"
DEEP = "are more than 50 deep inside of each other, the limit set by max_depth"
NODES = "the file has more than 100000 nodes, the limit set by max_nodes"
BYTES = "the file has more than 1048576 bytes, the limit set by max_bytes"
LONG = "the text has more than 262144 characters, the limit set by max_scalar"
DIGITS = "has more than 500 digits, the limit set by max_digits"
TWICE = "is there twice, first in line"
KEYS = "and keys are texts; put it in quotes"
TAB = "a tab may stand only inside of quotes, block texts and comments"
WIDE = "the file looks like UTF-16 or UTF-32; save it as UTF-8"
BYTE = "is not UTF-8 here; save the file as UTF-8"
CODE = "there is no character of that code"
OPEN_QUOTE = "that opens here is never closed"
BLOCK = "a block text begins in the line below its | or >"
NOT_FINITE = "is no JSON value; use a finite number or null"

ALIASES = [
    Hostile("billion laughs", laughs(10, 10), ANCHOR),
    Hostile("deep laughs", laughs(45, 2), ANCHOR),
    Hostile("quadratic blow-up", lambda many: f"a: &a {'x' * (many // 10)}\nb: [{'*a,' * (many // 10)}]", ANCHOR),
    Hostile("alias of itself", "&a [*a]", ANCHOR),
    Hostile("aliases of each other", "a: &a [*b]\nb: &b [*a]", ANCHOR),
    Hostile("alias of nothing", "a: *nothing", ANCHOR),
    Hostile("alias as a key", "*a : b", ANCHOR),
    Hostile("anchor of the document", "&a\nb: c", ANCHOR),
    Hostile("anchor with an odd name", "a: &\u00e9 b", ANCHOR),
    Hostile("glob", "files: *.py", ANCHOR),
    Hostile(
        "hundred thousand anchors", lambda many: f"[{'&a b,' * (many // 10)}]", "there are more than these 100 faults"
    ),
    Hostile("merge bomb", merges(9, 9), "merge keys (<<) are not allowed"),
    Hostile("merge without an alias", "a: {<<: {b: c}}", "merge keys (<<) are not allowed"),
]

TAGS = [
    Hostile("call of a function", "!!python/object/apply:os.system ['true']", TAG),
    Hostile("name of a function", "a: !!python/name:os.system ''", TAG),
    Hostile("module", "a: !!python/module:os ''", TAG),
    Hostile("tag in full", "!<tag:yaml.org,2002:python/object/new:subprocess.Popen> [[true]]", TAG),
    Hostile("binary", "a: !!binary aGVsbG8=", TAG),
    Hostile("set", "!!set {a, b}", TAG),
    Hostile("text", "a: !!str 1", TAG),
    Hostile("timestamp", "a: !!timestamp 2030-01-01", TAG),
    Hostile("tag of a key", "!!str a: b", TAG),
    Hostile("include", "a: !include /etc/passwd", TAG),
    Hostile("lone exclamation mark", "a: ! 12", TAG),
    Hostile("exclamation marks", lambda many: "!" * (many // 10), TAG),
]

DOCUMENTS = [
    Hostile("tag directive", "%TAG ! tag:yaml.org,2002:python/\n---\na: !name:os.system ''", DIRECTIVE),
    Hostile("unknown directive", "%FOO bar\n---\na: b", DIRECTIVE),
    Hostile("other version", "%YAML 1.1\n---\na: yes", DIRECTIVE),
    Hostile("version of many digits", lambda many: f"%YAML 1.{'9' * (many // 10)}\n---\na: b", DIRECTIVE),
    Hostile("two documents", "a: b\n---\nc: d", SECOND),
    Hostile("many documents", lambda many: "---\n" * (many // 4), SECOND),
    Hostile("text behind the end", "a: b\n...\nc", "'c' stands behind the end of the document"),
    Hostile("nothing", "", "there is nothing in the file"),
    Hostile("comments", lambda many: "#\n" * (many // 2), "there is nothing in the file"),
    Hostile("one long comment", lambda many: f"#{'x' * many}", "there is nothing in the file"),
    Hostile("spaces", lambda many: " " * many, "there is nothing in the file"),
    Hostile("line ends", lambda many: "\r\n" * (many // 2), "there is nothing in the file"),
]

DEPTH = [
    Hostile("deep lists", lambda many: "[" * many, DEEP),
    Hostile("deep mappings", lambda many: "{a: " * (many // 4), DEEP),
    Hostile("deep mappings, quoted", lambda many: '{"a":' * (many // 5), DEEP),
    Hostile("lists and mappings in turn", lambda many: "[{a: " * (many // 5), DEEP),
    Hostile("deep lists in a short line", "[" * 1000, DEEP),
    Hostile("just too deep", "[" * 51 + "]" * 51, DEEP),
    Hostile("deep lists in one line", lambda many: "- " * (many // 2), DEEP),
    Hostile("deep mappings in lines", stairs(1000), DEEP),
    Hostile("deep keys", lambda many: "? " * (many // 2), DEEP),
    Hostile("deep behind much", lambda many: f"[{'a, ' * (many // 200)}{'[' * (many // 2)}", DEEP),
    Hostile("many braces", "{" * 40 + "}" * 40, "a key is a text, not a mapping"),
]

SIZE = [
    Hostile("large file", "a" * (1024 * 1024 + 1), BYTES),
    Hostile("large file of bytes", lambda many: b"\xff" * 100 * many, BYTES),
    Hostile("few characters of many bytes", lambda many: "\U0001f600" * (many * 3 // 10), BYTES),
    Hostile("long text", lambda many: f"a: {'b' * (many * 3 // 10)}", LONG),
    Hostile("long text in quotes", lambda many: f'a: "{"b" * (many * 3 // 10)}"', LONG),
    Hostile("long text of many lines", lambda many: "a: |\n" + "  b\n" * (many // 5), LONG),
    Hostile("long text of escapes", lambda many: f'a: "{chr(92)}x41{"b" * (many * 3 // 10)}"', LONG),
    Hostile("long key", lambda many: f"? {'b' * (many * 3 // 10)}\n: c", LONG),
    Hostile("long key in one line", lambda many: f"{'b' * (many // 5)}: c", "a key has at most 1024 characters"),
    Hostile("long line of words", lambda many: f"a: {'b ' * (many * 2 // 5)}", LONG),
    Hostile("many digits", lambda many: f"a: {'9' * (many // 10)}", DIGITS),
    Hostile("many hexadecimal digits", lambda many: f"a: 0x{'f' * (many // 10)}", DIGITS),
    Hostile("many octal digits", lambda many: f"a: 0o{'7' * (many // 10)}", DIGITS),
    Hostile("many digits of a fraction", lambda many: f"a: 0.{'9' * (many // 10)}", DIGITS),
    Hostile("large exponent", "a: 1e999999999", "is too large"),
    Hostile("infinity", "a: -.inf", NOT_FINITE),
    Hostile("not a number", "a: [.nan]", NOT_FINITE),
    Hostile("many items", lambda many: f"[{'a,' * (many // 4)}]", NODES),
    Hostile("many items in lines", lambda many: "- a\n" * (many // 4), NODES),
    Hostile("many empty items", lambda many: "-\n" * (many // 2), NODES),
    Hostile("many empty lists", lambda many: f"[{'[],' * (many // 5)}]", NODES),
    Hostile("many keys", lambda many: "".join(f"k{n}: v\n" for n in range(many * 101 // 1000)), NODES),
    Hostile(
        "many keys in braces", lambda many: f"{{{','.join(f'k{n}: v' for n in range(many * 101 // 1000))}}}", NODES
    ),
]

KEY = [
    Hostile("key twice", "a: 1\nb: 2\na: 3", f"the key 'a' {TWICE} 1"),
    Hostile("key twice, once in quotes", "a: 1\n'a': 2", f"the key 'a' {TWICE} 1"),
    Hostile("key twice, once by an escape", '{a: 1, "\\x61": 2}', f"the key 'a' {TWICE} 1"),
    Hostile("key twice, deep", "x: [{y: {a: 1, a: 2}}]", "x[0].y: the key 'a' is there twice"),
    Hostile("key many times", lambda many: "a: 1\n" * (many // 25), "there are more than these 100 faults"),
    Hostile("null as a key", "~: a", f"the key ~ is null, {KEYS}"),
    Hostile("no key", "{: a}", "there is no key before the colon"),
    Hostile("number as a key", "1: a", f"the key 1 is an integer, {KEYS}"),
    Hostile("fraction as a key", "{1.5: a}", f"the key 1.5 is a number, {KEYS}"),
    Hostile("boolean as a key", "True: a", f"the key True is a boolean, {KEYS}"),
    Hostile("digits as a key", f"{'9' * 600}: a", DIGITS),
    Hostile("list as a key", "? [a]\n: b", "a key is a text, not a list"),
    Hostile("mapping as a key", "? a: b\n: c", "a key is a text, not a mapping"),
    Hostile("template", "a: {{ name }}", "put text that begins with { in quotes"),
    Hostile("expression", "a: {state.x}", "'state.x' has no value; put text that holds braces in quotes"),
    Hostile("comment signs in braces", lambda many: f"{{a {'# ' * (many // 5)}\n, b: c}}", "'a' has no value"),
    Hostile("dashes above", lambda many: f"{'-' * (many // 5)}\n  a: b", "a `key: value` cannot stand here"),
]

CHARACTERS: list[Hostile] = [
    Hostile("tabs for indentation", "a:\n\tb: c", TAB),
    Hostile("tab behind a colon", "a:\tb", TAB),
    Hostile("tab in a text", "a: b\tc", TAB),
    Hostile("tabs", lambda many: "\t" * many, TAB),
    Hostile("tabs between brackets", lambda many: f"[{chr(9) * (many // 2)}]", "there are more than these 100 faults"),
    Hostile("NUL", "a: b\0c", "1:5: a NUL character (U+0000)"),
    Hostile("NUL alone", b"\0", "a NUL character (U+0000)"),
    Hostile("NUL by an escape", 'a: "b\\0c"', "a text cannot hold a NUL character"),
    Hostile("bell", "a: \x07", 'a control character (U+0007) may not stand in a file; remove it, or write "\\x07"'),
    Hostile("escape", "a: \x1b[31m", "a control character (U+001B)"),
    Hostile("delete", "a: \x7f", "a control character (U+007F)"),
    Hostile("form feed", "a:\f b", "a control character (U+000C)"),
    Hostile("no character", "a: \ufffe", "a control character (U+FFFE)"),
    Hostile("next line", "a: b\x85c: d", "a NEL (U+0085) may not stand in a file"),
    Hostile("line separator", "a: b\u2028c: d", "a LINE SEPARATOR (U+2028) may not stand in a file"),
    Hostile("paragraph separator", "a: 'b\u2029'", 'write "\\u2029" in quotes'),
    Hostile("byte order mark inside", "a: b\n\ufeffc: d", "2:1: a byte order mark (U+FEFF) may stand only"),
    Hostile("byte order mark inside of bytes", "a: b\n\ufeffc: d".encode(), "2:1: a byte order mark (U+FEFF)"),
    Hostile("two byte order marks", "\ufeff\ufeffa: b", "1:1: a byte order mark (U+FEFF) may stand only"),
    Hostile("lone surrogate", "a: \ud800", "a lone surrogate (U+D800) is no character"),
    Hostile("UTF-16", "a: b".encode("utf-16"), WIDE),
    Hostile("UTF-16, big end first", "a: b".encode("utf-16-be"), WIDE),
    Hostile("UTF-16 without a mark", "a: b".encode("utf-16-le"), WIDE),
    Hostile("UTF-32", "a: b".encode("utf-32"), WIDE),
    Hostile("UTF-32, big end first", "a: b".encode("utf-32-be"), WIDE),
    Hostile("Latin-1", "caf\u00e9: b".encode("latin-1"), f"1:4: the byte 0xe9 {BYTE}"),
    Hostile("character in too many bytes", b"a: \xc0\x80", f"1:4: the byte 0xc0 {BYTE}"),
    Hostile("surrogate in bytes", b"a: b\nc: \xed\xa0\x80", f"2:4: the byte 0xed {BYTE}"),
    Hostile("character cut off", b"a: \xf0\x9f\x98", f"the byte 0xf0 {BYTE}"),
    Hostile("random bytes", lambda many: b"\x80" * many, f"the byte 0x80 {BYTE}"),
    Hostile("surrogate by an escape", 'a: "\\ud83d\\ude00"', CODE),
    Hostile("code too large", 'a: "\\U00110000"', CODE),
    Hostile("code much too large", 'a: "\\UFFFFFFFF"', CODE),
    Hostile("code of too few digits", 'a: "\\x4"', CODE),
    Hostile("no escape", 'a: "C:\\projects"', "'\\p' is no escape"),
]

UNFINISHED = [
    Hostile("open double quote", 'a: "b\nc: d', f'1:4: the quote " {OPEN_QUOTE}'),
    Hostile("open single quote", "a: 'b\nc: d", f"1:4: the quote ' {OPEN_QUOTE}"),
    Hostile("open quote and much behind", lambda many: f"a: '{chr(10) * many}", OPEN_QUOTE),
    Hostile("open bracket", "a: [b", "1:4: the [ that opens here is never closed"),
    Hostile("open brace", "a: {b: c", "1:4: the { that opens here is never closed"),
    Hostile("open bracket above", "a: [b\nc: d", "is the [ in line 1, column 4, never closed?"),
    Hostile("closing bracket", "a: ]", "text cannot begin with ']'; put it in quotes"),
    Hostile("no colon", "a: b\nc", "2:1: expected `key: value`, got 'c'"),
    Hostile("no space", "a:\n  b:c\n  d: e", "is a space missing after the colon in the line above, 'b:c'?"),
    Hostile("texts with brackets", lambda many: f"[{'{x: b[c]},' * (many // 20)}]", "text inside of {} cannot hold ["),
    Hostile(
        "long text with brackets", lambda many: f"{{x: {'a' * (many // 5)}[c]}}", "text inside of {} cannot hold ["
    ),
    Hostile("long union", lambda many: f"{{x: {'a | ' * (many // 20)}b[c]}}", "text inside of {} cannot hold ["),
    Hostile("brackets in a text", lambda many: f"{{x: a[{'b[c]' * (many // 20)}}}", "text inside of {} cannot hold ["),
    Hostile("commas", lambda many: f"[{',' * (many // 2)}]", "expected a value before ','"),
    Hostile("reserved sign", "a: @b", "text cannot begin with '@'; put it in quotes"),
    Hostile("percent sign", "a: %b", "text cannot begin with '%'; put it in quotes"),
    Hostile("block in brackets", "[|\n a]", "a block text (|) may not stand inside of [] or {}"),
    Hostile("block of no indentation", "a: |0\n b", BLOCK),
    Hostile("block of two digits", "a: |11\n b", BLOCK),
    Hostile("block in its own line", "a: | b", BLOCK),
    Hostile("comparison", "condition: >5", BLOCK),
    Hostile("block and comment", "a: |#\n b", BLOCK),
    Hostile("bad indentation", "a:\n    b: c\n  d: e", "the indentation fits no line above"),
]

CORPUS: tuple[Hostile, ...] = (*ALIASES, *TAGS, *DOCUMENTS, *DEPTH, *SIZE, *KEY, *CHARACTERS, *UNFINISHED)
