"""JSON Schema from types, and the dialects of it."""

import datetime
import enum
import json
from typing import Annotated, Any, Literal

import attrs
import jsonschema
import pytest
from attrs import validators as v

from dagflow import Dep, Node, field
from dagflow.core.answers import InvalidAnswer
from dagflow.core.dialects import closed, strict, without_format
from dagflow.core.schema import json_schema
from dagflow.core.shapes import UnsupportedType
from dagflow.core.structure import structure
from dagflow.testing.lm_server.schemas import anthropic_fault, openai_fault


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@attrs.frozen
class Place:
    """A docstring, which is for readers."""

    name: str = attrs.field(metadata={"description": "as the locals call it"})
    country: str = "PT"


@attrs.frozen
class Tree:
    value: int
    children: "list[Tree]" = attrs.field(factory=list)


@attrs.frozen
class Everything:
    text: str
    count: int = attrs.field(validator=[v.ge(1), v.lt(10)])
    ratio: float | None = None
    flag: bool = True
    colour: Colour = Colour.RED
    mode: Literal["a", 1, None] = "a"
    place: Place | None = None
    places: list[Place] = attrs.field(factory=list, validator=v.min_len(1))
    words: set[str] = attrs.field(factory=set)
    pair: tuple[int, str] = (1, "x")
    prices: dict[str, float] = attrs.field(factory=dict)
    when: datetime.datetime | None = None
    code: str = attrs.field(default="A", validator=[v.matches_re("[A-Z]+"), v.max_len(3)])
    mood: str | None = attrs.field(default=None, validator=v.optional(v.in_(["good", "bad"])))
    since: datetime.date = attrs.field(
        default=datetime.date(2030, 1, 1), validator=v.ge(datetime.date(2000, 1, 1)), metadata={"description": "a day"}
    )
    made: datetime.datetime = attrs.field(factory=lambda: datetime.datetime.now(datetime.UTC))


def test_the_schema_of_a_class() -> None:
    """Types, descriptions, defaults and constraints are all in the schema, and nothing else is allowed."""
    assert {
        "type": "object",
        "title": "Everything",
        "properties": {
            "text": {"type": "string"},
            "count": {"type": "integer", "minimum": 1, "exclusiveMaximum": 10},
            "ratio": {"anyOf": [{"type": "number"}, {"type": "null"}], "default": None},
            "flag": {"type": "boolean", "default": True},
            "colour": {"type": "string", "enum": ["red", "blue"], "title": "Colour", "default": "red"},
            "mode": {"type": ["integer", "null", "string"], "enum": ["a", 1, None], "default": "a"},
            "place": {"anyOf": [{"$ref": "#/$defs/Place"}, {"type": "null"}], "default": None},
            "places": {"type": "array", "items": {"$ref": "#/$defs/Place"}, "minItems": 1, "default": []},
            "words": {"type": "array", "items": {"type": "string"}, "uniqueItems": True, "default": []},
            "pair": {
                "type": "array",
                "prefixItems": [{"type": "integer"}, {"type": "string"}],
                "minItems": 2,
                "maxItems": 2,
                "default": [1, "x"],
            },
            "prices": {"type": "object", "additionalProperties": {"type": "number"}, "default": {}},
            "when": {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}], "default": None},
            "code": {"type": "string", "pattern": "^(?:[A-Z]+)$", "maxLength": 3, "default": "A"},
            "mood": {"type": ["null", "string"], "enum": ["good", "bad", None], "default": None},
            "since": {
                "type": "string",
                "format": "date",
                "description": "a day; must be >= 2000-01-01",
                "default": "2030-01-01",
            },
            "made": {"type": "string", "format": "date-time"},
        },
        "required": ["text", "count"],
        "additionalProperties": False,
        "$defs": {
            "Place": {
                "type": "object",
                "title": "Place",
                "properties": {
                    "name": {"type": "string", "description": "as the locals call it"},
                    "country": {"type": "string", "default": "PT"},
                },
                "required": ["name"],
                "additionalProperties": False,
            }
        },
    } == json_schema(Everything)


class Outfit(Node):
    """A docstring, which is for readers."""

    weather: Annotated[complex, Dep(lambda: 1j)]
    top: str = field(description="a garment")
    size: int

    async def __call__(self) -> None: ...


def test_a_node_shows_its_plain_fields_alone() -> None:
    """What the engine resolves, and docstrings, are not for the model; `only` leaves out what is known."""
    assert ["top", "size"] == list(json_schema(Outfit)["properties"])
    assert {"size": {"type": "integer"}} == json_schema(Outfit, only=["size"])["properties"]
    assert "readers" not in json.dumps(json_schema(Outfit))


def test_a_type_may_contain_itself() -> None:
    """A recursive type refers to its definition."""
    schema = json_schema(Tree)
    assert {"$ref": "#/$defs/Tree"} == schema["properties"]["children"]["items"]
    assert "Tree" in schema["$defs"]


def test_the_schema_is_the_callers_to_change() -> None:
    """A change to one result is not seen in the next."""
    json_schema(Place)["properties"].clear()
    assert {"name", "country"} == set(json_schema(Place)["properties"])


def test_unions_of_classes_that_look_alike_carry_a_tag() -> None:
    """Where no field tells classes apart, each has a key with its name."""

    @attrs.frozen
    class Metres:
        value: float

    @attrs.frozen
    class Feet:
        value: float

    schema = json_schema(Metres | Feet)
    tags = [part["properties"]["type"]["const"] for part in schema["$defs"].values()]
    assert ["Feet", "Metres"] == tags
    assert all("type" in part["required"] for part in schema["$defs"].values())
    jsonschema.validate({"type": "Feet", "value": 1}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"value": 1}, schema)


def test_classes_of_one_name_get_definitions_of_their_own() -> None:
    """Two classes with one name are not mixed up."""
    first = attrs.make_class("Same", {"a": attrs.field(type=int)})
    second = attrs.make_class("Same", {"b": attrs.field(type=int)})
    schema = json_schema(tuple[first, second])  # type: ignore[valid-type]  # made at run time
    assert {"Same", "Same_2"} == set(schema["$defs"])
    assert [{"$ref": "#/$defs/Same"}, {"$ref": "#/$defs/Same_2"}] == schema["prefixItems"]


@attrs.frozen
class Unwritable:
    inner: dict[str, list[complex]]


class Permission(enum.Flag):
    READ = 1
    WRITE = 2


@pytest.mark.parametrize(
    ("hint", "path"),
    [
        (complex, "complex"),
        (Unwritable, r"Unwritable\.inner\{\}\[\]: complex"),
        (list[Unwritable], r"list\[Unwritable\]\[\]\.inner"),
        (dict[int, str], "the keys of a JSON object are strings"),
        (Permission, "Permission"),
        (type[int], "type"),
    ],
)
def test_a_type_without_a_form_in_json_is_named_with_its_path(hint: Any, path: str) -> None:
    """What cannot be asked for is found when the schema is made, and the error leads to it."""
    with pytest.raises(UnsupportedType, match=path):
        json_schema(hint)


def subschemas(schema: Any) -> list[dict[str, Any]]:
    if isinstance(schema, list):
        return [part for item in schema for part in subschemas(item)]
    if not isinstance(schema, dict):
        return []
    children = [
        part
        for key, value in schema.items()
        for part in subschemas(list(value.values()) if key in ("properties", "$defs") else value)
        if key not in ("default", "enum")
    ]
    return [schema, *children]


STRICT_KEYWORDS = {
    *("type", "title", "description", "properties", "required", "additionalProperties", "items", "anyOf"),
    *("enum", "$ref", "$defs", "pattern", "format", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
    *("multipleOf", "minItems", "maxItems"),
}


@attrs.frozen
class Strictly:
    place: Place = attrs.field(metadata={"description": "where"})
    pair: tuple[int, str]
    tree: Tree
    tags: set[str] = attrs.field(factory=set)
    code: str = attrs.field(default="AB", validator=v.min_len(2))
    mood: str | None = None


def test_the_strict_dialect() -> None:
    """All is required, only known keywords are left, and what they lost is told in words."""
    schema = strict(json_schema(Strictly))
    for part in subschemas(schema):
        assert set(part) <= STRICT_KEYWORDS
        assert set(part) == {"$ref"} or "$ref" not in part
        if part.get("type") == "object":
            assert list(part["properties"]) == part["required"]
            assert part["additionalProperties"] is False
    properties = schema["properties"]
    assert {"anyOf": [{"$ref": "#/$defs/Place"}], "description": "where"} == properties["place"]
    assert 'default: "AB", minLength: 2' == properties["code"]["description"].replace("minLength: 2, ", "") or (
        "minLength: 2" in json.dumps(properties["code"])
    )
    assert {"type": "null"} in properties["code"]["anyOf"]
    assert 1 == json.dumps(properties["mood"]).count('"null"')
    jsonschema.Draft202012Validator.check_schema(schema)


def test_a_strict_answer_is_a_valid_answer() -> None:
    """What the strict dialect asks for, nulls for defaults included, structures."""
    from dagflow.core.structure import structure

    answer = {
        "place": {"name": "Faro", "country": None},
        "pair": [1, "a"],
        "tree": {"value": 1, "children": None},
        "tags": None,
        "code": None,
        "mood": None,
    }
    jsonschema.validate(answer, strict(json_schema(Strictly)))
    assert Strictly(Place("Faro"), (1, "a"), Tree(1)) == structure(answer, Strictly)


@pytest.mark.parametrize("hint", [Everything, list[int], attrs.make_class("Loose", {"x": attrs.field(type=Any)})])
def test_what_the_strict_dialect_lacks_is_refused(hint: Any) -> None:
    """Free keys, values of any type and roots that are no object have no strict form."""
    with pytest.raises(UnsupportedType, match="strict structured output"):
        strict(json_schema(hint))


MAYBE: Any = int | None


@attrs.frozen
class Closely:
    place: Place = attrs.field(metadata={"description": "where"})
    pair: tuple[int, str]
    code: str = attrs.field(default="AB", validator=v.min_len(2))
    tags: list[str] = attrs.field(factory=list, validator=v.min_len(2))
    mood: str | None = None
    day: datetime.date | None = None


def test_the_closed_dialect() -> None:
    """Optional fields stay optional, only known keywords are left, and what they lost is told in words."""
    schema = closed(json_schema(Closely))
    known = STRICT_KEYWORDS - {"pattern", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}
    for part in subschemas(schema):
        assert set(part) <= (known - {"maxItems"}) | {"const"}
        assert part.get("minItems", 0) <= 1
        assert set(part) == {"$ref"} or "$ref" not in part
    assert ["place", "pair"] == schema["required"]
    assert "minLength: 2" in schema["properties"]["code"]["description"]
    assert "minItems: 2" in schema["properties"]["tags"]["description"]
    assert "in this order" in schema["properties"]["pair"]["description"]
    assert anthropic_fault(schema) is None
    assert openai_fault(strict(json_schema(Closely))) is None


@pytest.mark.parametrize(
    ("hint", "said"),
    [
        (list[int], "an object with fields at its root"),
        (attrs.make_class("Loose", {"x": attrs.field(type=dict[str, int])}), "free keys"),
        (attrs.make_class("Open", {"x": attrs.field(type=Any)}), "values of any type"),
        (Tree, "no types that contain themselves"),
        (
            attrs.make_class("Wide", {f"a{n}": attrs.field(type=int, default=0) for n in range(25)}),
            "at most 24 optional",
        ),
        (attrs.make_class("Split", {f"a{n}": attrs.field(type=MAYBE) for n in range(17)}), "at most 16 unions"),
    ],
)
def test_what_the_closed_dialect_lacks_is_refused(hint: Any, said: str) -> None:
    """What the provider does not compile is not sent to it, and told in the prompt instead."""
    with pytest.raises(UnsupportedType, match=said):
        closed(json_schema(hint))


def test_without_format() -> None:
    """No `format` is left, and each is told in the description."""
    schema = without_format(json_schema(Everything))
    assert all("format" not in part for part in subschemas(schema))
    assert 'a day; must be >= 2000-01-01 (format: "date")' == schema["properties"]["since"]["description"]
    assert 'format: "date-time"' == schema["properties"]["when"]["anyOf"][0]["description"]


def test_dialects_leave_the_schema_as_it_was() -> None:
    """A dialect is a new schema."""
    schema = json_schema(Strictly)
    before = json.dumps(schema)
    strict(schema)
    without_format(schema)
    closed(json_schema(Closely))
    assert before == json.dumps(schema)


@pytest.mark.parametrize("hint", [Everything, Outfit, Strictly, Tree, list[Place | Tree], dict[str, Place]])
def test_every_schema_is_valid_json_schema(hint: Any) -> None:
    """The schemas are JSON, and keep to draft 2020-12."""
    jsonschema.Draft202012Validator.check_schema(json.loads(json.dumps(json_schema(hint))))


def test_a_schema_does_not_depend_on_what_was_asked_before() -> None:
    """Hints that are equal and written in another order have schemas, and errors, in their own order."""
    for hint, order in ((int | str, ["integer", "string"]), (str | int, ["string", "integer"])):
        assert order == [member["type"] for member in json_schema(hint)["anyOf"]]
        with pytest.raises(InvalidAnswer, match=f"expected {' or '.join(order)}"):
            structure([], hint)
    assert ["a", "b"] == json_schema(Literal["a", "b"])["enum"]
    assert ["b", "a"] == json_schema(Literal["b", "a"])["enum"]
