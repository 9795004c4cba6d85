"""Forms: the DSPy signature for a JSON Schema, and the way back from DSPy's outputs to JSON."""

from __future__ import annotations

import copy
import json
import keyword
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Literal

import attrs

from dagflow.lm.dspy.library import load_dspy

__all__ = ["AnswerForm", "answer_form"]

Schema = Mapping[str, Any]

ANSWER = "answer"
"""The name of the one output field of an answer that is no JSON object."""

# `completed` ends an answer in DSPy's chat format; the others are arguments of `Predict`.
_TAKEN_BY_DSPY = frozenset({"completed", "signature", "new_signature", "demos", "config", "lm", "prediction"})
_PLAIN_TEXT = {"type", "title", "description", "default"}
_NOTHING = {"null", "none"}


@attrs.frozen
class Output:
    """One output field: its key in the JSON answer, its name in DSPy, and how its value is read.

    `"text"` stays as the model wrote it. DSPy reads every other value as (mended) JSON, which turns the text
    `see [1]` into a list; so what may be text is never given to it as anything else.
    """

    key: str
    name: str
    kind: Literal["text", "text_or_null", "json"]
    optional: bool


@attrs.frozen
class AnswerForm:
    """A signature of DSPy's, and what its outputs are as JSON.

    `inputs` are the names that the inputs have in DSPy, which does not take every name. `shape` tells what the
    answer is: an object of the output fields, the JSON value of the only one, or plain text.
    """

    signature: Any
    inputs: Mapping[str, str]
    outputs: tuple[Output, ...]
    shape: Literal["object", "value", "text"]

    def write(self, values: Mapping[str, Any]) -> str:
        """Write what DSPy made of an answer as the text that a request asks for."""
        if self.shape == "text":
            return str(values[ANSWER])
        if self.shape == "value":
            return _dumps(_value(self.outputs[0], values[ANSWER]))
        return _dumps({item.key: _value(item, values[item.name]) for item in self.outputs if _is_there(item, values)})

    def given(self, values: Mapping[str, str]) -> dict[str, str]:
        """Give inputs by their names in DSPy."""
        return {self.inputs[key]: value for key, value in values.items()}

    def answered(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Give the outputs of an answer that is known by their names in DSPy; meant for examples."""
        return {item.name: data[item.key] for item in self.outputs if item.key in data}


def answer_form(schema: Schema | None, *, instructions: str, inputs: Mapping[str, str]) -> AnswerForm:
    """Make the form for a schema (`None`: any text); `inputs` are the inputs and their descriptions.

    An object has one output field for each property, anything else is one field.
    """
    written = json.dumps(schema, sort_keys=False)
    return _answer_form(written, instructions, tuple(inputs.items()))


@lru_cache(maxsize=256)
def _answer_form(schema_text: str, instructions: str, inputs: tuple[tuple[str, str], ...]) -> AnswerForm:
    dspy = load_dspy("a DSPy signature")
    schema = json.loads(schema_text)
    fields: dict[str, Any] = {}
    input_names: dict[str, str] = {}
    for key, description in inputs:
        input_names[key] = _field_name(dspy, key, fields)
        fields[input_names[key]] = (str, dspy.InputField(desc=description))
    shape: Literal["object", "value", "text"] = "value"
    if schema is None:
        shape = "text"
        properties: dict[str, Any] = {ANSWER: {"type": "string"}}
        required: Iterable[str] = (ANSWER,)
    elif schema.get("type") == "object" and schema.get("properties"):
        shape = "object"
        properties = {key: _standing_alone(part, schema.get("$defs", {})) for key, part in schema["properties"].items()}
        required = schema.get("required", ())
    else:
        definitions = schema.pop("$defs", {})
        properties, required = {ANSWER: _standing_alone(schema, definitions)}, (ANSWER,)
    outputs: list[Output] = []
    for key, part in properties.items():
        kind, annotation, told = _annotation(key, part)
        output = Output(key, _field_name(dspy, key, fields), kind, key not in required)
        options: dict[str, Any] = {"desc": told} if told else {}
        if output.optional:
            options["default"] = part.get("default")
        fields[output.name] = (annotation, dspy.OutputField(**options))
        outputs.append(output)
    return AnswerForm(dspy.Signature(fields, instructions or None), input_names, tuple(outputs), shape)


def _annotation(key: str, part: Schema) -> tuple[Literal["text", "text_or_null", "json"], Any, str]:
    """How a property is typed for DSPy, and described."""
    description = str(part.get("description", ""))
    if part.get("type") == "string":
        if "enum" in part:
            literal: Any = Literal
            return "text", literal[tuple(part["enum"])], description
        return "text", str, _with_constraints(description, part)
    options = part.get("anyOf", ())
    if len(options) == 2 and {"type": "null"} in options:
        other = next(option for option in options if option != {"type": "null"})
        if other.get("type") == "string":
            return "text_or_null", str | None, _with_constraints(description, {**other, **part, "anyOf": ()})
    return "json", _typed(key, part), description


def _with_constraints(description: str, part: Schema) -> str:
    """Add what DSPy does not say of a string: it mentions the schema of other types only."""
    constraints = {name: value for name, value in part.items() if name not in _PLAIN_TEXT and value != ()}
    if not constraints:
        return description
    told = f"a string that fits the JSON Schema {_dumps(constraints)}"
    return f"{description}; {told}" if description else told


def _typed(key: str, schema: Schema) -> type:
    """Make a type that takes every value, and tells DSPy this schema.

    `Annotated[Any, WithJsonSchema(...)]` would be the way, but a field of a pydantic model, as signatures are,
    takes the annotation apart, and DSPy then shows the schema of `Any`. The value itself is checked later, where
    every fault is found with its path.
    """
    from pydantic_core import core_schema

    def __get_pydantic_core_schema__(cls: Any, source: Any, handler: Any) -> Any:  # noqa: N807  # pydantic's
        return core_schema.any_schema()

    def __get_pydantic_json_schema__(cls: Any, source: Any, handler: Any) -> Any:  # noqa: N807  # pydantic's
        return copy.deepcopy(dict(schema))

    words = {"integer": "int", "number": "float", "boolean": "bool", "array": "list", "object": "dict"}
    kind = schema.get("type")
    name = words.get(kind, "value") if isinstance(kind, str) else "value"
    return type(
        name,
        (),
        {
            "__get_pydantic_core_schema__": classmethod(__get_pydantic_core_schema__),
            "__get_pydantic_json_schema__": classmethod(__get_pydantic_json_schema__),
            "__doc__": f"The type of {key}.",
        },
    )


def _standing_alone(part: Schema, definitions: Schema) -> dict[str, Any]:
    """A property with the definitions that it refers to put in their places.

    Within a signature a property has no root of its own that `$defs` could stand at. What contains itself is told
    as text: pydantic follows every `$ref`, and knows only its own.
    """
    recursive = False

    def expand(node: Any, within: tuple[str, ...]) -> Any:
        nonlocal recursive
        if isinstance(node, list):
            return [expand(item, within) for item in node]
        if not isinstance(node, dict):
            return node
        reference = node.get("$ref")
        if not isinstance(reference, str):
            return {key: expand(value, within) for key, value in node.items()}
        name = reference.rpartition("/")[2]
        if name in within or name not in definitions:
            recursive = True
            return node
        beside = {key: value for key, value in node.items() if key != "$ref"}
        return {**expand(definitions[name], (*within, name)), **beside}

    expanded: dict[str, Any] = expand(part, ())
    if not recursive:
        return expanded
    whole = _dumps({**part, "$defs": definitions})
    return {"description": f"{part.get('description', 'a value')}; it fits this JSON Schema: {whole}"}


def _field_name(dspy: Any, key: str, taken: Mapping[str, Any]) -> str:
    """A name that DSPy and pydantic take for a field: often the key itself."""
    name = "".join(letter if letter.isalnum() or letter == "_" else "_" for letter in key).strip("_") or "field"
    if name[0].isdigit() or keyword.iskeyword(name):
        name = f"field_{name}"
    while name in taken or name in _TAKEN_BY_DSPY or hasattr(dspy.Signature, name):
        name += "_value"
    return name


def _is_there(item: Output, values: Mapping[str, Any]) -> bool:
    """Whether an output has a value: of an optional one that the model left out, DSPy says `None`."""
    return not item.optional or values.get(item.name) is not None


def _value(item: Output, value: Any) -> Any:
    if item.kind == "text_or_null" and isinstance(value, str) and value.strip().lower() in _NOTHING:
        return None
    return value


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
