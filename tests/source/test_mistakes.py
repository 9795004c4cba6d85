"""Malformed YAML is told in words that say what to do, at the place of the mistake, the same by both parsers."""

from __future__ import annotations

from typing import Any

import pytest

from source.reading import both, found_in, read

QUOTES = "put all of it in quotes, and a quote inside twice"
ANCHORS = "anchors (&) and aliases (*) are not allowed; write the value out, or put the text in quotes"
TAGS = "tags (!) are not allowed; leave the tag out, or put the text in quotes"
TAB = "a tab may stand only inside of quotes, block texts and comments; use spaces"
BLOCK = "a block text begins in the line below its | or >; put text that begins so in quotes"
DEEPER = "a `key: value` cannot stand here, in the text of the line above; is it indented too deep?"
DIRECTIVE = "the only directive that is allowed is %YAML 1.2; remove the line"
SECOND = "a second document begins here; write one document in a file"
CODE = "there is no character of that code; \\x takes 2 hexadecimal digits, \\u 4, and \\U 8 for emoji and the like"

MISTAKES: dict[str, list[str]] = {
    # tabs
    "a:\n\tb: 1\n": [f"2:1: {TAB}"],
    "a:\tb\n": [f"1:3: {TAB}"],
    "- a\n-\tb\n": [f"2:2: {TAB}"],
    "a: b\n\tc\nd: @\n": [f"2:1: {TAB}"],
    "a: b\tc\nd: e\t# f\tg\n": [f"1:5: {TAB}", f"2:5: {TAB}"],
    "a: b#c\td # e\tf\n": [f"1:7: {TAB}"],
    "a: 'b\tc'\t\n": [f"1:9: {TAB}"],
    "{a: b,\n\tc: d}\n": [f"2:1: {TAB}"],
    "a: |\t\n  b\n": [f"1:5: {TAB}"],
    "a: |\n \tb\n": [f"2:2: {TAB}"],
    "a: |\n  b\n \t\n  c\n": [f"3:2: {TAB}"],
    # quotes
    'a: "x\nb: 1\n': ['1:4: the quote " that opens here is never closed'],
    "a: 'x\n---\n": ["1:4: the quote ' that opens here is never closed"],
    "a: 'don't\nb: 1\n": [f"1:9: text goes on after its closing quote; {QUOTES}"],
    'a: "say "hi" now"\n': [f"1:10: text goes on after its closing quote; {QUOTES}"],
    '"a" b\n': [f"1:5: text goes on after its closing quote; {QUOTES}"],
    'a: "C:\\path"\n': [
        r"1:7: '\p' is no escape; in double quotes a backslash is written \\, in single quotes it is itself"
    ],
    'a: "\\\'"\n': [
        r'1:5: "\'" is no escape; in double quotes a backslash is written \\, in single quotes it is itself'
    ],
    'a: "\\xZZ"\n': [f"1:7: {CODE}"],
    'a: "x\\ud83d\\ude00"\n': [f"1:8: {CODE}"],
    'a: "\\\\ud83d \\ud83d"\n': [f"1:15: {CODE}"],
    # brackets
    "a: [1, 2": ["1:4: the [ that opens here is never closed"],
    "a: {b: 1, c": ["1:4: the { that opens here is never closed"],
    "a: [": ["1:5: the file ends where a value is expected; is a bracket never closed?"],
    "a: [1, 2\nb: 3\n": ["2:2: expected , or ] before ': 3'; is the [ in line 1, column 4, never closed?"],
    "a: [1, {b: c} {d: e}]\n": ["1:15: expected , or ] before '{d: e}]'; the [ opens in column 4"],
    "a: {type: 1st[str], b: c}\n": ["1:14: text inside of {} cannot hold [; put all of it in quotes"],
    "a: [1]]\n": ["1:7: text goes on after the ]; put all of it in quotes"],
    "a: }\n": ["1:4: text cannot begin with '}'; put it in quotes"],
    "a: [- b]\n": ["1:5: inside of [] and {} there are no list items with a dash; separate them by commas"],
    "a: [,b]\n": ["1:5: expected a value before ','"],
    "a: [:b]\n": ["1:5: text cannot begin with ':' inside of [] and {}; put it in quotes"],
    "a: [|]\n": ["1:5: a block text (|) may not stand inside of [] or {}; put the text in quotes"],
    "{?x: 1}\n": ["1:2: text cannot begin with '?' inside of [] and {}; put it in quotes"],
    # braces of expressions and templates
    "a: {state.x + 1}\n": [
        "1:5: a: 'state.x + 1' has no value; put text that holds braces in quotes, or write `key: value`"
    ],
    "a: {{ name }}\n": ["1:5: a: a key is a text, not a mapping; put text that begins with { in quotes"],
    "a: {{ name }}, hello\n": [
        "1:5: a: a key is a text, not a mapping; put text that begins with { in quotes",
        "1:14: text goes on after the }; put all of it in quotes",
    ],
    # colons
    "a: {type:llm, b: c}\n": ["1:5: a: there is no space after the colon in 'type:llm'; write `key: value`"],
    "a: {b:, c}\n": ["1:6: there is no space after the colon; write `key: value`, or put the text in quotes"],
    "a:1\nb: 2\n": ["2:2: is a space missing after the colon in the line above, 'a:1'?"],
    "nodes:\n  a:b\n  c: d\n": ["3:4: is a space missing after the colon in the line above, 'a:b'?"],
    "nodes:\n  c: d\n  a:b\n": ["3:3: there is no space after the colon in 'a:b'; write `key: value`"],
    "a: Ready: go\n": ["1:9: a second `: ` in one line; put text that holds it in quotes"],
    "a: b:\n": ["1:5: a second `: ` in one line; put text that holds it in quotes"],
    ": a\n": ["1:1: there is no key before the colon"],
    "{: a}\n": ["1:2: there is no key before the colon"],
    "nodes:\n  a: 1\n  b\n  c: 2\n": ["3:3: expected `key: value`, got 'b'"],
    "hello\nworld: x\n": ["2:6: a `key: value` cannot stand here; is a colon missing in the line above, 'hello'?"],
    # indentation
    "a: b\n  c: d\n": [f"2:4: {DEEPER}"],
    "a:\n  b: 1\n   c: 2\n": [f"3:5: {DEEPER}"],
    "a:\n    b: 1\n  c: 2\n": [
        "3:3: the indentation fits no line above; the next key begins in column 1, as in line 1"
    ],
    "- - a\n - b\n": ["2:2: the indentation fits no line above; the next list item begins in column 1, as in line 1"],
    "a: 1\n- b\n": ["2:1: expected another key, as in line 1, got '- b'"],
    "- a\nb: 1\n": ["2:1: expected another list item, as in line 1, got 'b: 1'"],
    "a: - b\n": ["1:4: a list begins on a line of its own; put text that begins with `- ` in quotes"],
    "a: b\n  - c: d\n": [f"2:6: {DEEPER}"],
    # signs
    "a: @x\n": ["1:4: text cannot begin with '@'; put it in quotes"],
    "a: `x`\n": ["1:4: text cannot begin with '`'; put it in quotes"],
    "a: %x\n": ["1:4: text cannot begin with '%'; put it in quotes"],
    "a: ? b\n": ["1:4: text cannot begin with `? `; put it in quotes"],
    "a: *.py\n": [f"1:4: {ANCHORS}"],
    "a: & x\n": [f"1:4: {ANCHORS}"],
    "a: &x 1\nb: *x\n": [f"1:4: a: {ANCHORS}", f"2:4: b: {ANCHORS}"],
    "a: !x y\n": [f"1:4: a: {TAGS}"],
    "a: !\n": [f"1:4: a: {TAGS}"],
    "a: !x{ y\n": [f"1:4: {TAGS}"],
    "a: > 5\n": [f"1:6: {BLOCK}"],
    "a: >5\n": [f"1:4: {BLOCK}"],
    "a: | text\n": [f"1:6: {BLOCK}"],
    "a: |#\n  b\n": [f"1:5: {BLOCK}"],
    # documents
    "a: 1\n---\nb: 2\n": [f"2:1: {SECOND}"],
    "a: 1\n...\nb: 2\n": ["3:1: 'b: 2' stands behind the end of the document"],
    "%TAG ! tag:x,2000:\n---\na: 1\n": [f"1:1: {DIRECTIVE}"],
    "# x\r%FOO\r--- a\n": [f"2:1: {DIRECTIVE}"],
    "%YAML 1.1\n--- a\n": [f"1:1: {DIRECTIVE}"],
    "a: 1\n...\n%YAML 1.2\n---\n": [f"3:1: {DIRECTIVE}"],
    "": ["1:1: there is nothing in the file"],
    "# nothing\n\n": ["1:1: there is nothing in the file"],
    # several at once
    "a: &x 1\na: !y 2\n1: {b}\nc: .nan\n<<: {}\nd: [\n": [
        f"1:4: a: {ANCHORS}",
        "2:1: the key 'a' is there twice, first in line 1",
        f"2:4: a: {TAGS}",
        "3:1: the key 1 is an integer, and keys are texts; put it in quotes",
        "3:5: ['1']: 'b' has no value; put text that holds braces in quotes, or write `key: value`",
        "4:4: c: .nan is no JSON value; use a finite number or null, or put the text in quotes",
        "5:1: merge keys (<<) are not allowed; write the keys out",
        "7:1: the file ends where a value is expected; is a bracket never closed?",
    ],
}


@both
@pytest.mark.parametrize("text", MISTAKES)
def test_a_mistake_is_told(text: str, make_parser: Any) -> None:
    """With its place, and with every other mistake that can be seen."""
    assert MISTAKES[text] == found_in(text, make_parser)


NO_MISTAKES: dict[str, Any] = {
    "a: b\n c\n\n d\n": {"a": "b c\nd"},
    "a: 'it''s'\n": {"a": "it's"},
    'a: "x \\\n   y\\tz\\u00e9\\/"\n': {"a": "x y\tz\u00e9/"},
    "{a: ok?, b: [x?y, 'z?'], c: what? }": {"a": "ok?", "b": ["x?y", "z?"], "c": "what?"},
    "[http://host:80/p?q=1, a::b, -c]": ["http://host:80/p?q=1", "a::b", "-c"],
    '{"a":1,"b":[true,null]}': {"a": 1, "b": [True, None]},
    "? a\n: b\n? c\n": {"a": "b", "c": None},
    "[a: b, c]": [{"a": "b"}, "c"],
    "a:\n- b\n- c: d\n  e: f\n-\n  - g\n": {"a": ["b", {"c": "d", "e": "f"}, ["g"]]},
    "--- # comment\na: b # c\n...\n": {"a": "b"},
    "%YAML 1.2 # c\n---\na: b\n": {"a": "b"},
    "a: |\n  b\n   c\n\n  d\n\n\ne: >-\n  f\n  g\n\n  h\n": {"a": "b\n c\n\nd\n", "e": "f g\nh"},
    "a: |2-\n    b\n": {"a": "  b"},
    "a: | # c\td\n  b\tc\n": {"a": "b\tc\n"},
    "a: 'b\tc' # d\te\n": {"a": "b\tc"},
    "a: >\n": {"a": ""},
    "'<<': a\n'1': b\n'~': c\n'': d": {"<<": "a", "1": "b", "~": "c", "": "d"},
    "a: x & y * z ! % @\nb: a#b\nc: -d\n": {"a": "x & y * z ! % @", "b": "a#b", "c": "-d"},
    "yes: no\non: off\n": {"yes": "no", "on": "off"},
    "\u00e9\u4e16: \U0001f600\n": {"\u00e9\u4e16": "\U0001f600"},
    "a: '\u00a0'\nb: \"\\N\\L\\P\\_\"": {"a": "\u00a0", "b": "\x85\u2028\u2029\u00a0"},
}


@both
@pytest.mark.parametrize("text", NO_MISTAKES)
def test_what_is_no_mistake_is_read(text: str, make_parser: Any) -> None:
    """What people may write, in JSON's form too."""
    assert NO_MISTAKES[text] == read(text, make_parser).data
