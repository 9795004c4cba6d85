"""Prompt files: what is said to a language model, with variables, and the schema of its answer."""

from __future__ import annotations

from typing import Any, Literal

import attrs

from dagflow.declarative.model.fields import ABSENT, AT_LEAST_ONE, option, required

__all__ = ["FieldSpec", "LMChoice", "PromptFile", "PromptSpec", "SchemaSpec"]


@attrs.frozen(kw_only=True, slots=False)
class LMChoice:
    """Which language model is asked, and how."""

    lm: str | None = option(None, "The language model, as `provider:model`.")
    provider: str | None = option(None, "The provider, where `model` is given and not `lm`.")
    model: str | None = option(None, "The model, where `provider` is given.")
    temperature: float | None = option(
        None, "How much is left to chance.", validator=attrs.validators.optional(attrs.validators.ge(0))
    )
    max_tokens: int | None = option(None, "How long an answer may be, in tokens.", validator=AT_LEAST_ONE)
    base_url: str | None = option(None, "Where the model's server is, if it is not the provider's own.")


@attrs.frozen(kw_only=True, slots=False)
class FieldSpec:
    """A field of an answer."""

    type: str = option(
        "str", "Its type: `str`, `int`, `float`, `bool`, `list[str]`, `dict[str, int]`, `object`, `'a' | 'b'`, ..."
    )
    description: str | None = option(None, "What the model is told about it.")
    default: Any = option(description="Its value where the model leaves it out.", factory=lambda: ABSENT)
    enum: list[Any] | None = option(None, "The values that it may have.")
    ge: float | None = option(None, "The least value.")
    gt: float | None = option(None, "A value that it is above.")
    le: float | None = option(None, "The greatest value.")
    lt: float | None = option(None, "A value that it is below.")
    min_length: int | None = option(None, "The least length of a text or list.")
    max_length: int | None = option(None, "The greatest length of a text or list.")
    pattern: str | None = option(None, "A regular expression that the whole text fits.")
    fields: dict[str, str | FieldSpec] | None = option(
        None, "The fields of an `object`, or of the objects in a `list[object]`."
    )


@attrs.frozen(kw_only=True, slots=False)
class SchemaSpec:
    """The fields that an answer has."""

    name: str = option("Answer", "A name for it, which the model sees.")
    description: str | None = option(None, "What it is.")
    fields: dict[str, str | FieldSpec] = required(
        "The fields by name: a type, or more about it.", validator=attrs.validators.min_len(1)
    )


@attrs.frozen(kw_only=True, slots=False)
class PromptSpec(LMChoice):
    """A prompt: in a file of its own, or in the place of its name in a node."""

    system: str | None = option(None, "What the model is to be.")
    user: str = required("What it is asked.")
    variables: list[str] | dict[str, str] | None = option(
        None, "The names that may stand in braces, by themselves or each with what it is; other braces are text."
    )
    template: Literal["braces", "jinja2"] = option(
        "braces", "How variables are put in: `{{ name }}` or `{name}`, or with Jinja2 (an extra)."
    )
    schema: str | SchemaSpec | None = option(
        None, "The fields of the answer, or a class as `module:Name`; without it, the answer is text."
    )


@attrs.frozen(kw_only=True, slots=False)
class PromptFile(PromptSpec):
    """A prompt file."""

    version: Literal["1"] = option("1", "The version of the format.")
    name: str | None = option(None, "What the prompt is called.")
    description: str | None = option(None, "What it is for.")
