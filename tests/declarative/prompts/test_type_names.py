"""Types as files write them."""

from __future__ import annotations

import datetime
import decimal
import uuid
from typing import Any, Literal

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagflow.core.hints import show
from dagflow.core.schema import json_schema
from dagflow.core.structure import structure
from dagflow.declarative.type_names import MAX_LENGTH, InvalidType, parse_type


@attrs.frozen
class Grade:
    score: int


def find_class(text: str) -> Any:
    if text in ("school:Grade", "./my-school.py:Grade", "a.b.c:Outer.Grade"):
        return Grade
    raise ValueError(f"there is no {text}")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("str", str),
        ("int", int),
        ("float", float),
        ("bool", bool),
        ("any", Any),
        ("null", type(None)),
        ("date", datetime.date),
        ("datetime", datetime.datetime),
        ("time", datetime.time),
        ("duration", datetime.timedelta),
        ("decimal", decimal.Decimal),
        ("uuid", uuid.UUID),
        ("object", dict[str, Any]),
        ("list", list),
        ("set", set),
        ("tuple", tuple),
        # what people write as well
        ("string", str),
        ("text", str),
        ("integer", int),
        ("number", float),
        ("boolean", bool),
        ("array", list),
        ("dict", dict[str, Any]),
        ("none", type(None)),
        ("Any", Any),
        ("List[String]", list[str]),
        ("Optional[Dict[str, Any]]", dict[str, Any] | None),
        # in brackets
        ("list[str]", list[str]),
        (" list [ str ] ", list[str]),
        ("dict[str, int]", dict[str, int]),
        ("dict['a' | 'b', list[int]]", dict[Literal["a", "b"], list[int]]),
        ("set[int]", set[int]),
        ("tuple[int, str]", tuple[int, str]),
        ("tuple[int, ...]", tuple[int, ...]),
        ("list[list[list[object]]]", list[list[list[dict[str, Any]]]]),
        ("optional[str]", str | None),
        ("literal['a', 1, true, null]", Literal["a", 1, True] | None),
        # one or the other
        ("str | null", str | None),
        ("int|str", int | str),
        ("list[int | null] | str", list[int | None] | str),
        ("str | str", str),
        # values
        ("'a'", Literal["a"]),
        ("'a' | \"b\"", Literal["a", "b"]),
        ("'a' | null | 'b'", Literal["a", "b"] | None),
        ("1 | -2 | true | false", Literal[1, -2, True, False]),
        ("'it\\'s' | \"two\\nlines\" | 'back\\\\slash'", Literal["it's", "two\nlines", "back\\slash"]),
        ("'a | b'", Literal["a | b"]),
        ("'' | 'größe'", Literal["", "größe"]),
        # classes
        ("school:Grade", Grade),
        ("list[school:Grade] | null", list[Grade] | None),
        ("./my-school.py:Grade", Grade),
        ("a.b.c:Outer.Grade", Grade),
    ],
)
def test_what_a_text_stands_for(text: str, hint: Any) -> None:
    """Every form of a type, and other words for it."""
    assert hint == parse_type(text, find_class=find_class)


@pytest.mark.parametrize(
    ("text", "position", "told"),
    [
        ("", 0, "it is empty; write a type, such as str"),
        ("  ", 0, "it is empty"),
        ("lst[str]", 0, "no type is called 'lst'; did you mean 'list'?"),
        ("list[strr]", 5, "no type is called 'strr'; did you mean 'str'?"),
        ("list[Weather]", 5, "no type is called 'Weather'; write str, int,"),
        ("list[", 5, "a type is missing"),
        ("list[]", 5, "expected a type, got ']'"),
        ("list[str", 8, "expected `,` or `]` for list["),
        ("list[str]]", 9, "expected `|` or the end, got ']'"),
        ("list[str, int]", 0, "list takes 1 in brackets, not 2"),
        ("dict[str]", 0, "dict takes 2 in brackets, not 1"),
        ("dict[int, str]", 0, "the keys of an object are texts, not int; write dict[str, ...]"),
        ("set[list[str]]", 0, "a set cannot hold list[str]; use a list"),
        ("str[int]", 0, "str takes nothing in brackets"),
        ("optional", 0, "optional takes something in brackets"),
        ("literal[str]", 0, "literal takes values"),
        ("list[...]", 0, "`...` stands only at the end of a tuple"),
        ("str |", 5, "a type is missing"),
        ("| str", 0, "expected a type, got '|'"),
        ("str int", 4, "expected `|` or the end, got 'int'"),
        ("str?", 3, "`?` is no type; write `| null`"),
        ("'a", 0, "the text does not end"),
        ("str | \"a'", 6, "the text does not end"),
        (r"'\d'", 0, r"the text has an unknown escape, '\\d'"),
        ("1.5", 0, "'1.5' is no type"),
        ("9" * 19, 0, "the number is too long"),
        ("(str)", 0, "'(str)' is no type"),
        ("str\0", 3, r"'\x00' is no type"),
        ("school:Grad", 0, "there is no school:Grad"),
        ("__import__('os').system('id')", 10, "\"('os').sys\" is no type"),
        ("lambda: 0", 0, "expected"),
    ],
)
def test_what_is_told_of_a_text_that_is_no_type(text: str, position: int, told: str) -> None:
    """The place, the problem and the nearest name."""
    with pytest.raises(InvalidType) as found:
        parse_type(text, find_class=find_class)
    assert text == found.value.text
    if told != "expected":
        assert position == found.value.position
        assert found.value.problem.startswith(told), found.value.problem
    assert f"at character {found.value.position + 1}: {found.value.problem}" in str(found.value)


def test_no_class_can_be_named_where_none_is_looked_for() -> None:
    """Without a way to find classes their names are an error."""
    with pytest.raises(InvalidType, match="no class can be named here"):
        parse_type("school:Grade")


@pytest.mark.parametrize("found", [3, "str", len, [], {}, object()])
def test_what_a_name_leads_to_must_be_a_type(found: Any) -> None:
    """A name that leads to something else than a type is told so."""
    with pytest.raises(InvalidType, match="school:Grade is no type"):
        parse_type("school:Grade", find_class=lambda text: found)


def test_the_bounds() -> None:
    """Texts that are long, deep or both are refused at once."""
    with pytest.raises(InvalidType, match="longer than"):
        parse_type("str | " * MAX_LENGTH)
    with pytest.raises(InvalidType, match="nested more than 10 deep"):
        parse_type("list[" * 11 + "str" + "]" * 11)
    assert "list[" * 10 + "int" + "]" * 10 == show(parse_type("list[" * 10 + "int" + "]" * 10))


def test_brackets_beside_each_other_are_not_deep() -> None:
    """Only what is inside of each other counts."""
    assert 12 == len(parse_type(f"tuple[{', '.join(['list[str]'] * 12)}]").__args__)


def test_object_stands_for_what_it_is_told_to() -> None:
    """The fields of an object are declared beside its type."""
    assert list[Grade] | None == parse_type("list[object] | null", object_type=Grade)
    assert dict[str, int] == parse_type("object[str, int]", object_type=Grade)


words = st.sampled_from(["str", "int", "float", "bool", "any", "null", "date", "duration", "uuid", "'a'", "1", "true"])
texts = st.recursive(
    words,
    lambda inner: (
        st.builds("list[{}]".format, inner)
        | st.builds("dict[str, {}]".format, inner)
        | st.builds("tuple[{}, {}]".format, inner, inner)
        | st.builds("{} | {}".format, inner, inner)
        | st.builds("optional[{}]".format, inner)
    ),
    max_leaves=6,
)


@given(texts)
def test_a_type_is_shown_as_a_text_of_it(text: str) -> None:
    """What `show` writes is read as the same type, and each type has a schema."""
    hint = parse_type(text)
    assert hint == parse_type(show(hint))
    json_schema(hint)


@given(st.text(alphabet="strlig[]|,'\"\\ :.-19?") | st.text())
def test_any_text_is_a_type_or_told_where_it_is_none(text: str) -> None:
    """No text makes reading fail in another way."""
    try:
        parse_type(text, find_class=find_class)
    except InvalidType as error:
        assert 0 <= error.position <= len(text)


def test_values_of_a_type_are_read_strictly() -> None:
    """A hint is one that structuring takes."""
    hint = parse_type("list['a' | 'b' | null]")
    assert ["a", None] == structure(["a", None], hint)
