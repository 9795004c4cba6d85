"""Text templates: literal braces, single expressions, and how values become text."""

from __future__ import annotations

import datetime
import decimal
import json
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagflow import Secret
from dagflow.declarative.expressions import ExpressionError, Scope, Template, parse_template
from declarative.expressions.scopes import SCOPE, STATE, Grade, Point, Size


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("", ""),
        ("plain text", "plain text"),
        ("{{", "{"),
        ("}}", "}"),
        ("{{}}", "{}"),
        ("{{{{", "{{"),
        ('{{"a": 1}}', '{"a": 1}'),
        ("{{ name }}", "{ name }"),
        ("${{HOME}}", "${HOME}"),
    ],
)
def test_text_without_expressions_is_literal(source: str, expected: str) -> None:
    """Doubled braces are braces; the rest is as it is written."""
    template = parse_template(source)
    assert template.is_literal
    assert not template.is_single
    assert () == template.expressions
    assert () == template.paths
    assert expected == template.evaluate(SCOPE)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{i}", 3),
        ("{ grade.score + 1 }", 1.5),
        ("{items}", STATE["items"]),
        ("{grade}", STATE["grade"]),
        ("{nothing}", None),
        ("{'{}'}", "{}"),
        ('{default(missing, "}")}', "}"),
        ("{\n  i\n}", 3),
    ],
)
def test_a_single_expression_gives_its_own_value(source: str, expected: Any) -> None:
    """Where a template is one expression and nothing else, the value keeps its type."""
    template = parse_template(source)
    assert template.is_single
    assert not template.is_literal
    found = template.evaluate(SCOPE)
    assert (type(expected), expected) == (type(found), found)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("Hello {name}!", "Hello Ana!"),
        ("{name}{name}", "AnaAna"),
        (" {name}", " Ana"),
        ("{i}\n", "3\n"),
        ("{{{i}}}", "{3}"),
        ("{{{{{i}}}}}", "{{3}}"),
        ('{{"score": {grade.score}}}', '{"score": 0.5}'),
        ("{done} {nothing} {i} {ratio}", "false null 3 0.5"),
        ("{items} {pair} {words}", '[10,20,30] [1,2] ["b","a","c"]'),
        ("{route}/{point}", '{"from":"START","to":"END"}/{"x":1,"y":2}'),
        ("{size} {word} {level}", "large Word 2"),
        ("{'größe'} {['größe']}", 'größe ["größe"]'),
        ("{view} ", '{"inner":7} '),
        ("{tags} ", '["a","b"] '),
        ("{1e300} {-0.0}", "1e+300 -0.0"),
        ("a {'{i}'} b {'}}'}", "a {i} b }}"),
        ("{name if i else '{'} {[1,2][0]}", "Ana 1"),
    ],
)
def test_values_are_put_into_text(source: str, expected: str) -> None:
    """A string is put in as it is, anything else as compact JSON."""
    template = parse_template(source)
    assert not template.is_single
    assert expected == template.evaluate(SCOPE)


def test_values_with_a_form_in_json_are_put_in_as_it() -> None:
    """Dates, decimals and typed objects in arrays are written as they are in JSON."""
    state = {
        "day": datetime.date(2030, 12, 31),
        "price": decimal.Decimal("1.50"),
        "all": [Grade(1.0, size=Size.LARGE), {"point": Point(1, 2)}],
    }
    text = parse_template("{day} {price} {all}").evaluate(Scope(state))
    assert text.startswith("2030-12-31 1.50 [")
    assert {"point": {"x": 1, "y": 2}} == json.loads(text[16:])[1]
    assert "large" == json.loads(text[16:])[0]["size"]


HINT = "; write {{ for a brace that is text"


@pytest.mark.parametrize(
    ("source", "column", "message"),
    [
        ("{", 2, f"expected a value, got the end{HINT}"),
        ("{}", 2, f"the expression is empty{HINT}"),
        ("a { } b", 5, f"the expression is empty{HINT}"),
        ("{i", 3, f"expected an operator or `}}`, got the end{HINT}"),
        ("{i + }", 6, f"expected a value, got `}}`{HINT}"),
        ('Answer {"a": 1}', 12, f"unexpected `:`; there are no slices, formats or objects in an expression{HINT}"),
        ("{i:>10}", 3, f"unexpected `:`; there are no slices, formats or objects in an expression{HINT}"),
        ("{i!r}", 3, f"unexpected `!`; write `not`{HINT}"),
        ("{ {i} }", 3, f"unexpected `{{`; there are no braces in an expression{HINT}"),
        ("{% if i %}", 2, f"expected a value, got `%`{HINT}"),
        ("function() { return 1 }", 21, f"expected an operator or `}}`, got `1`{HINT}"),
        ("line one\nline {two three}", 20, f"expected an operator or `}}`, got `three`{HINT}"),
        ("{'a", 2, f"the string that begins here does not end{HINT}"),
        ("{lenn(i)}", 2, f"there is no function `lenn`; did you mean 'len'?{HINT}"),
        ("{" + "(" * 60 + "}", 53, f"the expression is nested more than 50 deep{HINT}"),
        ("a {" + " " * 10_001 + "i}", 4, f"the expression has more than 10000 characters{HINT}"),
        ("}", 1, "unexpected `}`; write }} for a brace that is text"),
        ("{i}}", 4, "unexpected `}`; write }} for a brace that is text"),
        ("a {{i}", 6, "unexpected `}`; write }} for a brace that is text"),
        ("{i}" * 1001, 3001, "the text has more than 1000 expressions"),
        ("x" * ((1 << 20) + 1), 1, "the text has 1048577 characters; 1048576 are allowed"),
    ],
)
def test_a_brace_that_begins_no_expression_is_told(source: str, column: int, message: str) -> None:
    """What is no template is refused when it is parsed, with its place and what to write for a brace."""
    with pytest.raises(ExpressionError) as caught:
        parse_template(source)
    assert (message, column, source) == (caught.value.message, caught.value.column, caught.value.source)


def test_an_error_has_its_place_in_the_whole_template() -> None:
    """When an expression of a template fails, the column is that of the template, by lines too."""
    with pytest.raises(ExpressionError) as caught:
        parse_template("Dear {name},\nyou have {grade.scor} points").evaluate(SCOPE)
    assert 29 == caught.value.column
    assert (2, 16) == caught.value.position
    assert str(caught.value).endswith("(line 2, column 16 of 'you have {grade.scor} points')")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (Secret("hush"), "a Secret cannot be written into text: a Secret has no form in JSON"),
        (float("nan"), "a number cannot be written into text: nan has no form in JSON; use a finite number or None"),
        ({1: 2}, "an object cannot be written into text: the key 1 is no string, as the keys of a JSON object are"),
        ("x" * (4 << 20) + "x", "the text becomes too long: it may have 4194304 characters"),
        (
            1 << 100_000_000,
            "an integer is too long to be written into text: 4194304 characters, of 100000 values, are allowed",
        ),
    ],
    ids=["secret", "nan", "key", "string", "integer"],
)
def test_what_cannot_be_text_is_told(value: Any, message: str) -> None:
    """A value without a form in JSON, or with too long a one, is refused at the place of its brace."""
    with pytest.raises(ExpressionError) as caught:
        parse_template("a {value}").evaluate(Scope({"value": value}))
    assert (message, 3) == (caught.value.message, caught.value.column)
    assert "hush" not in str(caught.value)


def test_an_integer_of_thousands_of_digits_is_told() -> None:
    """Python's own limit on the digits of integers is an error of the expression too."""
    with pytest.raises(ExpressionError, match="an integer cannot be written into text"):
        parse_template("a {value}").evaluate(Scope({"value": 1 << 20_000}))


def test_a_value_that_is_nested_too_deep_is_told() -> None:
    """A value that is nested deeper than Python can follow is refused at the place of its brace."""
    value: list[Any] = []
    for _ in range(50_000):
        value = [value]
    with pytest.raises(ExpressionError) as caught:
        parse_template("a {value}").evaluate(Scope({"value": value}))
    assert "an array cannot be written into text: it is nested too deep" == caught.value.message
    assert 3 == caught.value.column


def test_the_text_of_several_values_is_bounded() -> None:
    """Many values that are short enough each do not make a text that is too long."""
    template = parse_template("a " + "{value}" * 5)
    with pytest.raises(ExpressionError, match="too long") as caught:
        template.evaluate(Scope({"value": "x" * (1 << 20)}))
    assert 3 + 4 * 7 == caught.value.column


def test_a_template_is_a_value() -> None:
    """Templates know their expressions and paths, and are equal by their text."""
    template = parse_template("{a.b} {c + a.b} {{d}}")
    assert ["a.b", "c + a.b"] == [expression.source for expression in template.expressions]
    assert (("a", "b"), ("c",)) == template.paths
    assert parse_template("{a.b} {c + a.b} {{d}}") == template
    assert "Template(source='{a}'" == repr(parse_template("{a}"))[:21]
    assert isinstance(template, Template)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        template.source = ""  # type: ignore[misc]


def doubled(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


texts = st.text() | st.text("{}'\"\\ ai.")


@given(texts)
def test_any_text_with_doubled_braces_is_literal(text: str) -> None:
    """Doubling the braces of a text makes the template that gives the text."""
    template = parse_template(doubled(text))
    assert template.is_literal
    assert text == template.evaluate(SCOPE)


@given(texts, texts, texts)
def test_substituted_values_come_out_as_they_are(before: str, value: str, after: str) -> None:
    """Whatever a value holds, braces and expressions included, it is never read as a template."""
    template = parse_template(f"{doubled(before)}{{value}}{doubled(after)}{{value}}")
    assert f"{before}{value}{after}{value}" == template.evaluate(Scope({"value": value, "i": 1}))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@given(json_values)
def test_what_is_put_into_text_can_be_read_back(value: Any) -> None:
    """The text of a value other than a string is JSON that gives the value back."""
    text = parse_template(" {value}").evaluate(Scope({"value": value}))[1:]
    assert value == (text if isinstance(value, str) else json.loads(text))
