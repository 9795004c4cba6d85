"""Hostile expressions and templates: each is refused, or is literal text, in little time and memory."""

from __future__ import annotations

import os
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from dagflow.declarative.expressions import ExpressionError, Scope, parse_expression, parse_template, parse_value
from declarative.expressions import hostile
from declarative.expressions.scopes import STATE, Grade

MOST_SECONDS = 0.1
MOST_BYTES = 64 << 20


def forbidden() -> None:
    raise AssertionError("a function of the state was called")


def doubled(times: int) -> Any:
    """An array that holds the one before it twice, and so on: it has `2 ** times` parts and takes little memory."""
    value: list[Any] = [1]
    for _ in range(times):
        value = [value, value]
    return value


def nested(depth: int) -> Any:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


endless: list[Any] = []
endless.append(endless)

SCOPE = Scope(
    {
        **STATE,
        "fn": forbidden,
        "cls": Grade,
        "module": os,
        "generator": (number for number in [1]),
        "megabyte": "m" * (1 << 20),
        "spaced": "a " * 500_000,
        "many": [1] * 100_000,
        "huge": 1 << 8_000_000,
        "odd": (1 << 4_000_000) + 1,
        "crowded": {f"name{number}": number for number in range(100_000)},
        "doubling": doubled(100),
        "doubling_too": doubled(100),
        "endless": endless,
        "deep": nested(100_000),
        "braces": "{i}",
        "nested": "{{{braces}}}",
    }
)


def quickly(work: Callable[[], None]) -> None:
    """Do something, and fail where it takes more CPU time than it may; what else the process does counts too."""
    seconds = MOST_SECONDS
    for _ in range(3):
        begun = time.process_time()
        work()
        seconds = min(seconds, time.process_time() - begun)
        if seconds < MOST_SECONDS:
            return
    pytest.fail(f"it takes more than {MOST_SECONDS} s of CPU time")


def in_little_memory(work: Callable[[], None]) -> None:
    """Do something, and fail where it takes more memory than it may."""
    tracemalloc.start()
    try:
        work()
        assert tracemalloc.get_traced_memory()[1] < MOST_BYTES
    finally:
        tracemalloc.stop()


def refused(parse: Callable[[str], Any], text: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse(text).evaluate(SCOPE)
    assert len(str(caught.value)) < 2000


HEAVY = ("in themselves", "in itself", "holds itself", "deep value", "doubled", "joined")
"""What takes longest while its memory is traced."""


def parameters(cases: list[Any]) -> list[Any]:
    return [
        pytest.param(
            *case[1:],
            id=case[0].replace(" ", "-"),
            marks=[pytest.mark.slow] if any(word in case[0] for word in HEAVY) else [],
        )
        for case in cases
    ]


def test_the_corpus_is_large() -> None:
    """There are enough cases, each under a name of its own."""
    for cases in (hostile.EXPRESSIONS, hostile.TEMPLATES):
        assert len(cases) == len({case[0] for case in cases})
    assert len(hostile.EXPRESSIONS) + len(hostile.TEMPLATES) >= 200


@pytest.mark.parametrize("text", parameters(hostile.EXPRESSIONS))
def test_a_hostile_expression_is_refused(text: str) -> None:
    """The text has no value, neither as an expression nor in a template, and that is found out soon."""
    quickly(lambda: refused(parse_expression, text))
    quickly(lambda: refused(parse_template, f"{{ {text} }}"))
    quickly(lambda: refused(parse_value, f"a {{ {text} }}"))
    in_little_memory(lambda: refused(parse_template, f"{{ {text} }}"))


@pytest.mark.parametrize(("text", "expected"), parameters(hostile.TEMPLATES))
def test_a_hostile_template_is_refused_or_literal(text: str, expected: str | None) -> None:
    """The text gives what it says, which is never the value of anything that it should not reach, or is refused."""

    def work() -> None:
        if expected is None:
            refused(parse_template, text)
        else:
            assert expected == parse_template(text).evaluate(SCOPE)

    quickly(work)
    in_little_memory(work)


@pytest.mark.parametrize("text", parameters(hostile.EXPRESSIONS))
def test_a_hostile_value_is_only_text(text: str) -> None:
    """A value that is a hostile text is put in as it is, and is not evaluated by anything that reads it."""
    scope = Scope({"value": text[:100_000]})
    assert f"a {text[:100_000]}" == parse_template("a {value}").evaluate(scope)
    assert parse_expression("value == str(value) and value in [value]").evaluate(scope)


@pytest.mark.parametrize(
    "source",
    [
        "doubling == doubling",
        "len(doubling) == 2",
        "endless == endless",
        "deep == deep",
        "len(deep)",
        "deep[0][0] == deep",
    ],
)
def test_hostile_values_are_read_in_little_time(source: str) -> None:
    """Values that hold themselves, or each other very often, can be read and compared with themselves."""
    quickly(lambda: parse_expression(source).evaluate(SCOPE))
