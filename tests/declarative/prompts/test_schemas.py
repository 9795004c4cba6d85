"""Classes of answers, from what a file says of their fields."""

from __future__ import annotations

import builtins
import datetime
import inspect
import json
import keyword
import re
import sys
from typing import Any, Literal

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagflow.core.answers import InvalidAnswer
from dagflow.core.dialects import closed, strict
from dagflow.core.schema import json_schema
from dagflow.core.structure import structure
from dagflow.core.unstructure import unstructure
from dagflow.declarative.model.fields import ABSENT
from dagflow.declarative.model.prompts import FieldSpec, SchemaSpec
from dagflow.declarative.prompts.faults import PromptError
from dagflow.declarative.prompts.schemas import make_class
from dagflow.testing.lm_server.schemas import anthropic_fault, openai_fault


@attrs.frozen
class Grade:
    score: int


def find_class(text: str) -> Any:
    found = {"school:Grade": Grade, "school:grade": len, "school:Word": str}
    if text not in found:
        raise ValueError(f"there is no {text}")
    return found[text]


REVIEW = SchemaSpec(
    name="Review",
    description="What a reader thinks.",
    fields={
        "title": "str",
        "stars": FieldSpec(type="int", ge=1, le=5, description="how good it is"),
        "tags": FieldSpec(type="list[str]", default=[], max_length=3),
        "mood": FieldSpec(enum=["good", "bad"]),
        "class": FieldSpec(type="str | null", default=None),
        "day": FieldSpec(type="date", default="2030-12-31"),
        "code": FieldSpec(pattern="[A-Z]{2}", default="AB"),
        "author": FieldSpec(type="object", fields={"name": "str", "from": FieldSpec(default="here")}),
        "quotes": FieldSpec(
            type="list[object] | null",
            default=None,
            fields={"text": FieldSpec(min_length=1), "line": FieldSpec(type="int", gt=0, default=1)},
        ),
    },
)

ANSWER = {"title": "A book", "stars": 5, "mood": "good", "author": {"name": "Ana", "from": "Faro"}}


def faults(fields: dict[str, Any], **schema: Any) -> list[str]:
    with pytest.raises(PromptError) as found:
        make_class(SchemaSpec(fields=fields, **schema), find_class=find_class)
    return [str(item) for item in found.value.invalid]


def test_the_schema_of_a_class() -> None:
    """Types, descriptions, defaults and constraints are all in the JSON Schema."""
    assert {
        "type": "object",
        "title": "Review",
        "properties": {
            "title": {"type": "string"},
            "stars": {"type": "integer", "minimum": 1, "maximum": 5, "description": "how good it is"},
            "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 3, "default": []},
            "mood": {"type": "string", "enum": ["good", "bad"]},
            "class": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
            "day": {"type": "string", "format": "date", "default": "2030-12-31"},
            "code": {"type": "string", "pattern": "^(?:[A-Z]{2})$", "default": "AB"},
            "author": {"$ref": "#/$defs/ReviewAuthor"},
            "quotes": {
                "anyOf": [{"type": "array", "items": {"$ref": "#/$defs/ReviewQuotes"}}, {"type": "null"}],
                "default": None,
            },
        },
        "required": ["title", "stars", "mood", "author"],
        "additionalProperties": False,
        "$defs": {
            "ReviewAuthor": {
                "type": "object",
                "title": "ReviewAuthor",
                "properties": {"name": {"type": "string"}, "from": {"type": "string", "default": "here"}},
                "required": ["name"],
                "additionalProperties": False,
            },
            "ReviewQuotes": {
                "type": "object",
                "title": "ReviewQuotes",
                "properties": {
                    "text": {"type": "string", "minLength": 1},
                    "line": {"type": "integer", "exclusiveMinimum": 0, "default": 1},
                },
                "required": ["text"],
                "additionalProperties": False,
            },
        },
    } == json_schema(make_class(REVIEW))


def test_an_answer_becomes_an_instance_and_data_again() -> None:
    """Structuring fills the defaults, unstructuring gives the names of the file."""
    review: Any = structure(ANSWER | {"class": "x"}, make_class(REVIEW))
    assert "x" == review.class_
    assert datetime.date(2030, 12, 31) == review.day
    assert "Faro" == review.author.from_
    assert ANSWER | {"class": "x", "tags": [], "day": "2030-12-31", "code": "AB", "quotes": None} == unstructure(review)
    assert review == structure(unstructure(review), type(review))
    assert hash(type(review)) is not None
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        review.title = "other"


def test_every_invalid_field_is_told() -> None:
    """What the file demands is checked, for nested objects too, and all at once."""
    answer = ANSWER | {
        "title": 3,
        "stars": 6,
        "tags": ["a", "b", "c", "d"],
        "mood": "Good",
        "code": "ABC",
        "quotes": [{"text": "", "line": 0}],
        "extra": 1,
    }
    with pytest.raises(InvalidAnswer) as found:
        structure(answer, make_class(REVIEW))
    paths = ["$.extra", "$.title", "$.mood", "$.quotes[0].text", "$.quotes[0].line", "$.stars", "$.tags", "$.code"]
    assert sorted(paths) == sorted(item.path for item in found.value.invalid)


def test_a_class_is_the_same_each_time() -> None:
    """Its name, its module and its fields depend on nothing but the spec."""
    first, second = make_class(REVIEW), make_class(REVIEW)
    assert ("Review", "Review", "dagflow.declarative.prompts.schemas") == (
        first.__name__,
        first.__qualname__,
        first.__module__,
    )
    assert "What a reader thinks." == first.__doc__
    assert json.dumps(json_schema(first)) == json.dumps(json_schema(second))
    assert [field.name for field in attrs.fields(first)] == [field.name for field in attrs.fields(second)]
    assert list(REVIEW.fields)[:4] == [field.name for field in attrs.fields(first)][:4]


def test_the_providers_take_the_schema() -> None:
    """Both strict dialects can say it, and the rules of both providers accept what they say."""
    schema = json_schema(make_class(REVIEW))
    assert openai_fault(strict(schema)) is None
    assert anthropic_fault(closed(schema)) is None


def test_a_strict_answer_with_nulls_has_the_defaults() -> None:
    """A strict dialect leaves nothing out: a null stands for a default."""
    answer = ANSWER | {"tags": None, "class": None, "day": None, "code": None, "quotes": None}
    review: Any = structure(answer, make_class(REVIEW))
    assert ([], "AB", datetime.date(2030, 12, 31)) == (review.tags, review.code, review.day)


def test_a_default_is_never_shared() -> None:
    """A list that one instance holds is not the list of the next."""
    cls = make_class(
        SchemaSpec(fields={"a": FieldSpec(type="list[int]", default=[1]), "b": FieldSpec(type="object", default={})})
    )
    first = cls()
    first.a.append(2)
    first.b["x"] = 1
    assert ([1], {}) == (cls().a, cls().b)


def test_a_class_can_be_named() -> None:
    """A schema that is a text, and a type in one, name classes that are there already."""
    assert Grade is make_class("school:Grade", find_class=find_class)
    cls = make_class(SchemaSpec(fields={"grades": "list[school:Grade]"}), find_class=find_class)
    assert [Grade(3)] == structure({"grades": [{"score": 3}]}, cls).grades


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("school:Grad", "there is no school:Grad"),
        ("school:grade", "school:grade is no class with fields"),
        ("school:Word", "school:Word is no class with fields"),
    ],
)
def test_a_name_that_leads_to_no_class(text: str, told: str) -> None:
    """What a name leads to must be a class with fields."""
    with pytest.raises(PromptError, match=told):
        make_class(text, find_class=find_class)
    with pytest.raises(PromptError, match="no class can be named here"):
        make_class(text)


def test_all_faults_are_told_at_once_with_their_paths() -> None:
    """Nothing is wrong twice, and nothing that is wrong is left for later, in nested objects too."""
    assert [
        "$.fields.a.type: the type 'lst', at character 1: no type is called 'lst'; did you mean 'list'?",
        "$.fields.b: the type 'what', at character 1: no type is called 'what'; write",
        "$.fields.c.fields._d: the name of a field cannot begin with `_`; write d",
        "$.fields.c.fields.e.pattern: is for texts, and the field is int",
        "$.fields.f.default: expected integer, got string 'x'",
        "$.fields.g.default: 'g' must be >= 3: 1",
    ] == [
        fault.partition(" str, int")[0]
        for fault in faults(
            {
                "a": FieldSpec(type="lst"),
                "b": "what",
                "c": FieldSpec(type="object", fields={"_d": "int", "e": FieldSpec(type="int", pattern="x")}),
                "f": FieldSpec(type="int", default="x"),
                "g": FieldSpec(type="int", ge=3, default=1),
            }
        )
    ]


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({"type": "str", "ge": 1}, "$.fields.x.ge: is for numbers, and the field is str"),
        ({"type": "int | str", "le": 1}, "$.fields.x.le: is for numbers, and the field is int | str"),
        ({"type": "bool", "lt": 1}, "$.fields.x.lt: is for numbers"),
        ({"type": "int", "min_length": 1}, "$.fields.x.min_length: is for texts and lists, and the field is int"),
        ({"max_length": -1}, "$.fields.x.max_length: must be 0 or more, not -1"),
        ({"type": "list[str]", "pattern": "x"}, "$.fields.x.pattern: is for texts, and the field is list[str]"),
        ({"pattern": "("}, "$.fields.x.pattern: is no regular expression: missing )"),
        ({"pattern": "x" * 501}, "$.fields.x.pattern: is longer than 500 characters"),
        ({"pattern": "(" * 250 + ")" * 250}, None),
        ({"pattern": "a{99999999999}"}, "$.fields.x.pattern: is no regular expression"),
        ({"type": "float", "ge": 5, "le": 3}, "$.fields.x: no number is both above 5 and below 3"),
        ({"type": "int", "gt": 3, "le": 3}, "$.fields.x: no number is both above 3 and below 3"),
        ({"type": "int", "ge": 3, "le": 3}, None),
        ({"min_length": 4, "max_length": 3}, "$.fields.x.max_length: is less than min_length, 4"),
        ({"enum": []}, "$.fields.x.enum: must list from 1 to 1000 values"),
        ({"enum": ["a", "a"]}, "$.fields.x.enum: lists a value more than once"),
        ({"enum": [1, 2]}, "$.fields.x.enum[0]: expected string, got integer 1; give the field the type"),
        ({"type": "float", "enum": [1.5]}, "$.fields.x.enum[0]: a choice is a text, a whole number"),
        ({"type": "any", "enum": [["a"]]}, "$.fields.x.enum[0]: a choice is a text, a whole number"),
        ({"enum": ["a"], "default": "b"}, "$.fields.x.default: expected one of the values ('a'), got string 'b'"),
        ({"enum": ["a"], "pattern": "a"}, "$.fields.x.pattern: is for texts, and the field is Literal['a']"),
        ({"default": None}, "$.fields.x.default: expected string, got null"),
        ({"type": "object", "fields": {}}, "$.fields.x.fields: lists no field"),
        ({"fields": {"a": "int"}}, "$.fields.x.fields: belong to an object; write `type: object`"),
        (
            {"type": "list[object]", "fields": {"a": "int"}, "default": [{"a": "x"}]},
            "$.fields.x.default[0].a: expected",
        ),
        ({"type": "school:grade"}, "$.fields.x.type: the type 'school:grade', at character 1: school:grade is no type"),
    ],
)
def test_what_is_told_of_a_field(spec: dict[str, Any], told: str | None) -> None:
    """What contradicts the type or itself is told where it stands."""
    if told is None:
        make_class(SchemaSpec(fields={"x": FieldSpec(**spec)}))
        return
    assert faults({"x": FieldSpec(**spec)})[0].startswith(told), faults({"x": FieldSpec(**spec)})


@pytest.mark.parametrize("kind", ["int", "float", "decimal", "int | null", "float | null"])
def test_bounds_hold_for_every_kind_of_number(kind: str) -> None:
    """The bounds are told, and checked; a null has none."""
    cls = make_class(SchemaSpec(fields={"x": FieldSpec(type=kind, ge=2, lt=4)}))
    good, bad = ("3", "4") if kind == "decimal" else (3, 4)
    assert 3 == structure({"x": good}, cls).x
    with pytest.raises(InvalidAnswer, match=r"\$\.x: 'x' must be < 4"):
        structure({"x": bad}, cls)
    if "null" in kind:
        assert structure({"x": None}, cls).x is None
    assert "4" in json.dumps(json_schema(cls)["properties"]["x"])


def test_a_choice_may_be_missing() -> None:
    """The choices of a field that may be null allow it beside them."""
    cls = make_class(SchemaSpec(fields={"x": FieldSpec(type="int | null", enum=[1, 2])}))
    assert Literal[1, 2] | None == attrs.fields(cls).x.type
    assert [1, None] == [structure({"x": value}, cls).x for value in (1, None)]
    with pytest.raises(InvalidAnswer):
        structure({"x": 3}, cls)


# --- Names are data


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("", "'' cannot be the name of a field"),
        ("a b", "'a b' cannot be the name of a field"),
        ("1a", "'1a' cannot be the name of a field"),
        ("a-b", "'a-b' cannot be the name of a field"),
        ("a.b", "'a.b' cannot be the name of a field"),
        ("a=1", "cannot be the name of a field"),
        ("x: int = print('run')", "cannot be the name of a field"),
        ("a):\n    raise SystemExit\n#", "cannot be the name of a field"),
        ("a, b", "cannot be the name of a field"),
        ("a'] = 1; x['b", "cannot be the name of a field"),
        ("a\n", "cannot be the name of a field"),
        ("a\0", "cannot be the name of a field"),
        ("$ref", "cannot be the name of a field"),
        ("_a", "cannot begin with `_`; write a"),
        ("__init__", "cannot begin with `_`; write init"),
        ("__attrs_post_init__", "cannot begin with `_`; write attrs_post_init"),
        ("__class__", "cannot begin with `_`"),
        ("__slots__", "cannot begin with `_`"),
        ("___", "cannot begin with `_`; write a word"),
        ("\ufb01le", "write '\ufb01le' with the usual characters: 'file'"),
        ("\U0001d41aa", "with the usual characters: 'aa'"),
        ("a" * 65, "the name of a field has at most 64 characters"),
        ("a" * 1_000_000, "the name of a field has at most 64 characters"),
    ],
)
def test_a_name_that_no_field_can_have(name: str, told: str) -> None:
    """attrs makes code of names: one that is no plain identifier never gets there."""
    (fault,) = faults({name: "int", "ok": "str"})
    assert told in fault
    assert len(fault) < 300
    nested = faults({"inner": FieldSpec(type="object", fields={name: "int"})})
    assert told in nested[0]


@pytest.mark.parametrize("name", ["", "a b", "1", "Answer\n", "A(object): pass", "\u00c4", "class", "a" * 65, "_A"])
def test_a_name_that_no_class_can_have(name: str) -> None:
    """Providers and Python both get the name of the class."""
    with pytest.raises(PromptError, match=r"\$\.name: .* is no name for a class"):
        make_class(SchemaSpec(name=name, fields={"x": "int"}))


def test_two_fields_of_one_name_in_python() -> None:
    """A name that gets an underscore may be taken."""
    assert ["$.fields.class_: two fields have the name 'class_' in Python; call one of them something else"] == faults(
        {"class": "int", "class_": "int"}
    )


WORDS = {
    *dir(builtins),
    *keyword.kwlist,
    *keyword.softkwlist,
    *re.findall(
        r"[A-Za-z]\w*", inspect.getsource(sys.modules[attrs.fields.__module__])
    ),  # what the code of attrs has names for
    *("self", "cls", "other", "mro", "key", "name", "value", "json", "properties", "type", "größe"),
}
NAMES = sorted(word for word in WORDS if len(word) <= 64 and not (word.startswith("_") or word.endswith("_")))


@pytest.mark.slow
@pytest.mark.parametrize("turn", [0, 1])
@pytest.mark.parametrize("default", [False, True])
def test_no_name_gets_in_the_way_of_the_class(default: bool, turn: int) -> None:
    """Any word is a field: of Python, of its builtins, or of the code that attrs makes."""
    assert 1000 < len(NAMES)
    kinds: list[tuple[FieldSpec, Any, Any]] = [
        (FieldSpec(type="int", ge=0, default=3 if default else ABSENT), 4, 3),
        (FieldSpec(type="list[str]", default=["x"] if default else ABSENT), ["y"], ["x"]),
    ]
    for start in range(0, len(NAMES), 100):
        fields = {name: kinds[(place + turn) % 2] for place, name in enumerate(NAMES[start : start + 100])}
        cls = make_class(SchemaSpec(fields={name: spec for name, (spec, _, _) in fields.items()}))
        answer = {name: value for name, (_, value, _) in fields.items()}
        assert answer == unstructure(structure(answer, cls))
        assert structure(answer, cls) == structure(answer, cls)
        assert list(fields) == list(json_schema(cls)["properties"])
        if default:
            assert {name: value for name, (_, _, value) in fields.items()} == unstructure(structure({}, cls))


@given(st.dictionaries(st.text(max_size=8) | st.sampled_from(NAMES), st.just("int"), min_size=1, max_size=4))
def test_any_names_make_a_class_or_are_told(names: dict[str, str]) -> None:
    """No name does anything but name a field, or be refused."""
    try:
        cls = make_class(SchemaSpec(fields=dict(names)))
    except PromptError:
        return
    answer = dict.fromkeys(names, 1)
    assert answer == unstructure(structure(answer, cls))


def test_schemas_have_bounds() -> None:
    """Neither the number of fields nor their depth makes a schema long to read."""
    assert ["$.fields: more than 500 fields in one schema"] == faults({f"a{n}": "int" for n in range(501)})
    spec = FieldSpec(type="object", fields={"x": "int"})
    for _ in range(8):
        spec = FieldSpec(type="object", fields={"x": spec})
    assert faults({"x": spec})[0].endswith("fields: objects are nested more than 8 deep")
