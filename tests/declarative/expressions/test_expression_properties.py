"""Random expressions: their values are those of a plain interpreter and, where the languages agree, of Python."""

from __future__ import annotations

import os
import random
import warnings
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dagflow.declarative.expressions import ExpressionError, Scope, parse_expression, parse_template, parse_value
from declarative.expressions import hostile, trees
from declarative.expressions.scopes import SCOPE
from declarative.expressions.test_expressions import VALUES
from declarative.expressions.trees import Interpreter, Refused, Tree

SCALE = int(os.environ.get("DAGFLOW_CAMPAIGN", "1"))
"""How many times as many examples as in an ordinary test run."""

PARTS = pytest.mark.parametrize("part", range(SCALE))  # tests of their own, so that no one of them takes long

SLOW = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def check(tree: Tree, seed: int) -> None:
    """Compare the value of a tree's text with that of the tree, and with Python's."""
    source = trees.write(tree, random.Random(seed), trees.own_literal)
    interpreter = Interpreter()
    try:
        expected = repr(interpreter.value(tree))
    except Refused:
        with pytest.raises(ExpressionError) as caught:
            parse_expression(source).evaluate(Scope(trees.STATE))
        assert 1 <= caught.value.column <= len(source) + 1
        return
    assert expected == repr(parse_expression(source).evaluate(Scope(trees.STATE))), source
    assert expected == repr(parse_template(f"{{{source}}}").evaluate(Scope(trees.STATE))), source
    if not interpreter.strict:
        check_python(tree, seed, expected)


def check_python(tree: Tree, seed: int, expected: str) -> None:
    """Let Python evaluate the tree as its own text, with keys of mappings as attributes."""
    source = trees.write(tree, random.Random(seed), trees.python_literal)
    names = attributes(trees.STATE) | {"state": attributes(trees.STATE)}
    with warnings.catch_warnings(action="ignore", category=SyntaxWarning):  # of `0[1]`, be it evaluated or not
        assert expected == repr(eval(f"({source})", {"__builtins__": {}}, names)), source


class Attributes(dict[str, Any]):
    def __getattr__(self, name: str) -> Any:
        return self[name]


def attributes(value: Any) -> Any:
    if isinstance(value, dict):
        return Attributes((key, attributes(part)) for key, part in value.items())
    return [attributes(part) for part in value] if isinstance(value, list) else value


@given(trees.trees, st.integers(0, 1000))
@settings(SLOW, max_examples=50)
@example(Tree("comparison", (Tree("literal", what=True), Tree("literal", what=1)), ("==",)), 0)
def test_an_expression_means_what_its_tree_means(tree: Tree, seed: int) -> None:
    """A tree that is written and parsed again gives the value of a plain interpreter, or is refused as there."""
    check(tree, seed)


@pytest.mark.slow
@pytest.mark.fuzz
@PARTS
@given(tree=trees.trees, seed=st.integers(0, 1000))
@settings(SLOW, max_examples=1000)
def test_many_expressions_mean_what_their_trees_mean(part: int, tree: Tree, seed: int) -> None:
    """The same of many more trees."""
    check(tree, seed)


def try_text(text: str) -> None:
    """Do all that is done with a text; anything but an `ExpressionError` fails the test."""
    for parse in (parse_expression, parse_template, parse_value):
        try:
            parsed: Any = parse(text)
            parsed.evaluate(SCOPE)
        except ExpressionError as error:
            assert 0 <= error.column <= len(text) + 1
            assert len(str(error)) < 2000


PIECES = [
    *(" \t\n{}()[].,+-*/%<>=!'\"\\:;|&#$@?^~`_0123456789eE"),
    *("i", "items", "grade", "score", "state", "name", "table", "item", "absent", "__class__", "lambda", "for", "is"),
    *("and", "or", "not", "in", "if", "else", "true", "false", "null", "len", "default", "exists", "join", "min"),
    *("//", "==", "<=", "**", ":=", "{{", "}}", "\\u", "\\ud83d", "1e", "0x", "9" * 50, "\0", "é", "ѕ", "\u2028", "😀"),
]
soup = st.lists(st.sampled_from(PIECES), max_size=25).map("".join)
SOURCES = [source for cases in VALUES.values() for source, _ in cases] + [text for _, text in hostile.EXPRESSIONS]


@given(soup | st.text())
@settings(SLOW, max_examples=50)
def test_random_text_raises_nothing_else(text: str) -> None:
    """Random text is an expression or a template, or is refused with an `ExpressionError`."""
    try_text(text)


@pytest.mark.slow
@pytest.mark.fuzz
@PARTS
@given(text=soup | st.text())
@settings(SLOW, max_examples=1000)
def test_much_random_text_raises_nothing_else(part: int, text: str) -> None:
    """The same of much more text."""
    try_text(text)


@pytest.mark.slow
@pytest.mark.fuzz
@PARTS
def test_damaged_expressions_raise_nothing_else(part: int) -> None:
    """Expressions with pieces taken out, put in and exchanged are evaluated, or refused with an `ExpressionError`."""
    generator = random.Random(part)
    for _ in range(3000):
        text = generator.choice(SOURCES)[:200]
        for _ in range(generator.randint(1, 3)):
            start = generator.randint(0, len(text))
            end = min(len(text), start + generator.randint(0, 3))
            text = text[:start] + generator.choice(["", *PIECES]) + text[end:]
        try_text(generator.choice([text, f"{{{text}}}", f"a {{{text}}} b"]))
