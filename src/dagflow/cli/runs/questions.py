"""Open questions: how they are told, and the command lines that answer them or go on with a run."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from dagflow.cli.runs.stores import Place
from dagflow.core.drawing.text import printable
from dagflow.types import Interrupt

__all__ = ["Resumption", "choices", "describe_questions", "heading", "is_string", "may_be_string"]

TARGET = "TARGET"
"""Stands for the target where it is not known."""


@attrs.frozen(eq=False)
class Resumption:
    """How a thread is gone on with on the command line: `options` are what the run was given and needs again."""

    place: Place
    thread_id: str
    target: str = TARGET
    options: tuple[str, ...] = ()

    def command(self, *more: str) -> str:
        """Write the command line, with `more` options."""
        words, options = [self.target, self.thread_id], [*self.place.options, *self.options, *more]
        if any(word.startswith("-") for word in words):
            return shlex.join(["dagflow", "runs", "resume", *options, "--", *words])
        return shlex.join(["dagflow", "runs", "resume", *words, *options])

    def answering(self, interrupt: Interrupt) -> str:
        """Write the command line that answers a question, with an answer of its type."""
        answer = json.dumps(sample(interrupt.schema), ensure_ascii=False)
        return self.command("--answer", f"{interrupt.id}={answer}")


def describe_questions(interrupts: Sequence[Interrupt], resumption: Resumption) -> str:
    """Tell each question with its id, its type and the command line that answers it."""
    count = "an answer" if len(interrupts) == 1 else f"{len(interrupts)} answers"
    lines = [f"thread {resumption.thread_id} waits for {count}:"]
    for interrupt in interrupts:
        lines += [f"  {heading(interrupt)}", f"      {printable(resumption.answering(interrupt))}"]
    return "\n".join(lines)


def heading(interrupt: Interrupt) -> str:
    """Tell a question with its id and type."""
    return f"{printable(interrupt.id)} ({printable(interrupt.type)}): {printable(interrupt.question)}"


Schema = Mapping[str, Any]
DEEPEST = 4
"""How deep an answer that shows a form goes: a form may contain itself."""


def sample(schema: Schema) -> Any:
    """Make an answer that shows the form that a JSON schema asks for."""
    return _sample(schema, schema.get("$defs", {}), depth=0)


def _sample(schema: Schema, definitions: Mapping[str, Schema], depth: int) -> Any:
    schema = _resolved(schema, definitions)
    if depth > DEEPEST:
        return "..."
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    for alternatives in (schema.get("anyOf"), schema.get("oneOf")):
        if alternatives:
            return _sample(alternatives[0], definitions, depth + 1)
    match schema.get("type"):
        case "integer" | "number":
            return 0
        case "boolean":
            return True
        case "null":
            return None
        case "array":
            return []
        case "object":
            fields = schema.get("properties", {})
            return {name: _sample(fields.get(name, {}), definitions, depth + 1) for name in schema.get("required", ())}
        case _:
            return "..."


def _resolved(schema: Schema, definitions: Mapping[str, Schema]) -> Schema:
    reference = schema.get("$ref")
    if not isinstance(reference, str):
        return schema
    return definitions.get(reference.rpartition("/")[2], {})


def _alternatives(schema: Schema) -> Iterator[Schema]:
    """The schemas of which one must hold, those within others too."""
    definitions = schema.get("$defs", {})
    waiting, seen = [schema], 0
    while waiting and seen < 100:  # a definition may be one of its own alternatives
        found, seen = _resolved(waiting.pop(0), definitions), seen + 1
        inner = [*found.get("anyOf", ()), *found.get("oneOf", ())]
        waiting += inner
        if not inner:
            yield found


def may_be_string(schema: Schema) -> bool:
    """Tell whether a string may be what a schema asks for."""
    return any(_kinds(one) is None or "string" in (_kinds(one) or ()) for one in _alternatives(schema))


def is_string(schema: Schema) -> bool:
    """Tell whether nothing but a string is what a schema asks for."""
    return all(_kinds(one) == {"string"} for one in _alternatives(schema))


def _kinds(schema: Schema) -> set[str] | None:
    """The types of JSON that a schema allows; `None` for any."""
    if "enum" in schema or "const" in schema:
        values = schema.get("enum", [schema.get("const")])
        return {"string" if isinstance(value, str) else "other" for value in values}
    kind = schema.get("type")
    return None if kind is None else {kind} if isinstance(kind, str) else set(kind)


def choices(schema: Schema) -> list[str]:
    """The answers that a schema allows, as JSON; none where they are too many to be listed."""
    found: list[Any] = []
    for one in _alternatives(schema):
        if "enum" in one or "const" in one:
            found += one.get("enum", [one.get("const")])
        elif one.get("type") == "boolean":
            found += [True, False]
        elif one.get("type") == "null":
            found.append(None)
        else:
            return []
    return [json.dumps(value, ensure_ascii=False) for value in found]
