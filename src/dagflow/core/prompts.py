"""Prompts: the text that a language model is given to fill a type, to choose among types, and to repair."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from dagflow.core.inputs import inputs, instruction_of
from dagflow.core.markers import UNSET
from dagflow.core.node import Node
from dagflow.core.schema import json_schema
from dagflow.core.unions import distinct_names
from dagflow.core.unstructure import unstructure
from dagflow.errors import InvalidField

__all__ = [
    "STOP",
    "SYSTEM",
    "Form",
    "answer_shown",
    "choice_names",
    "choice_prompt",
    "choice_schema",
    "fill_prompt",
    "form_of",
    "repair_prompt",
    "system_with_schema",
]

STOP = "stop"
"""How a model says that no node follows."""

_PROBLEMS_SHOWN = 30
_PROBLEM_LENGTH = 400
_ANSWER_LENGTH = 20_000

SYSTEM = (
    "You are one step of a typed program. Answer with exactly one JSON value that fits the JSON Schema, "
    "and with nothing else: no prose, no code fence. Use only fields that the schema has."
)
"""The system prompt of every request: how to answer."""


def system_with_schema(schema: Mapping[str, Any]) -> str:
    """The system prompt with the schema in it, for a model that is not given it in another way."""
    return f"{SYSTEM}\n\nJSON Schema:\n{json.dumps(schema, ensure_ascii=False)}"


@attrs.frozen
class Form:
    """What is asked to be filled in: the schema, which is shared and not to be changed, and the system prompt."""

    schema: dict[str, Any]
    system: str


def form_of(target: type[Node], names: tuple[str, ...]) -> Form:
    """The form of some fields of a node type."""
    return _form_of(target, names)  # type: ignore[arg-type]  # attrs gives its instances a hash, not the class


@functools.lru_cache(maxsize=512)  # making it takes longer than all else about a request
def _form_of(target: type[Node], names: tuple[str, ...]) -> Form:
    schema = json_schema(target, only=names)
    return Form(schema, system_with_schema(schema))


def fill_prompt(instruction: str, source: Any, resolved: Mapping[str, Any]) -> str:
    """Ask for a value: the task, the node that it follows from, and the values that are known already."""
    parts = [f"Task: {in_words(instruction)}"]
    if source is not None:
        fields = {item.name: getattr(source, item.name) for item in inputs(type(source))}
        parts.append(_section(f"It follows from {type(source).__name__}", fields))
    if resolved:
        parts.append(_section("Known already", resolved))
    return "\n\n".join(parts)


def choice_names(types: Sequence[type[Node] | None]) -> dict[str, type[Node] | None]:
    """What the model calls each candidate, in their order."""
    return distinct_names(types, lambda candidate: STOP if candidate is None else candidate.__name__)


def choice_prompt(types: Sequence[type[Node] | None], context: Mapping[str, Any]) -> str:
    """Ask what follows: each candidate with its instruction and the fields that it would be filled with."""
    lines = ["Task: choose what follows. Answer with the name of one of these:"]
    for name, candidate in choice_names(types).items():
        if candidate is None:
            lines.append(f"- {name}: nothing follows; the work is done")
        else:
            lines.append(f"- {name}: {in_words(instruction_of(candidate))}{_fields(candidate)}")
    if context:
        lines += ["", _section("Known already", context)]
    return "\n".join(lines)


def choice_schema(types: Sequence[type[Node] | None]) -> dict[str, Any]:
    """The schema of a choice: an object with the one name."""
    return {
        "type": "object",
        "title": "Choice",
        "properties": {"choice": {"type": "string", "enum": list(choice_names(types))}},
        "required": ["choice"],
        "additionalProperties": False,
    }


def repair_prompt(invalid: Sequence[InvalidField]) -> str:
    """Send the problems of an answer back, each with its path; many or long ones are cut, to bound the request."""
    lines = [f"- {_cut(str(item), _PROBLEM_LENGTH)}" for item in invalid[:_PROBLEMS_SHOWN]]
    if len(invalid) > _PROBLEMS_SHOWN:
        lines.append(f"- and {len(invalid) - _PROBLEMS_SHOWN} more")
    problems = "\n".join(lines)
    return f"That answer is not valid:\n{problems}\nAnswer again with the whole JSON value, corrected."


def answer_shown(answer: str) -> str:
    """The answer that a repair speaks of: cut where it is long, and never empty, which some providers refuse."""
    return _cut(answer, _ANSWER_LENGTH) if answer.strip() else "(an empty answer)"


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[:length]} [cut, {len(text)} characters]"


def in_words(instruction: str) -> str:
    """Split a class name into words; any other instruction is taken as it is."""
    if not instruction.isidentifier():
        return instruction
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[^A-Z_]+", instruction)
    return " ".join(word if word.isupper() or not place else word.lower() for place, word in enumerate(words))


def _section(title: str, values: Mapping[str, Any]) -> str:
    """Values as JSON. What has no form in JSON is only named: its repr could hold what nobody should read."""
    written: dict[str, Any] = {}
    unwritten: list[str] = []
    for name, value in values.items():
        if value is UNSET:
            continue
        try:
            written[name] = unstructure(value)
        except Exception:
            unwritten.append(f"{name} (a {type(value).__name__})")
    text = f"{title}:\n{json.dumps(written, ensure_ascii=False, indent=1)}"
    return f"{text}\nNot shown: {', '.join(unwritten)}" if unwritten else text


def _fields(candidate: type[Node]) -> str:
    properties = json_schema(candidate)["properties"]
    if not properties:
        return ""
    told = [name + (f" ({part['description']})" if "description" in part else "") for name, part in properties.items()]
    return f" [fields: {', '.join(told)}]"
