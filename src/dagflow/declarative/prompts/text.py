"""The texts of a prompt: which variables they need, and putting values in the place of braces, once."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import attrs

from dagflow.core.structure import nearest
from dagflow.declarative.prompts.faults import PromptError
from dagflow.declarative.prompts.values import as_text
from dagflow.errors import InvalidField

__all__ = ["MAX_CHARACTERS", "PromptText", "declared_names", "parse_text"]

MAX_CHARACTERS: Final = 4 * 1024 * 1024
"""How long the texts of a rendered prompt may be together: more than the largest models take."""

_NAME = r"([^\W\d]\w*+)"
_DOUBLE: Final = re.compile(r"\{\{[ \t]*+" + _NAME + r"[ \t]*+\}\}")
_SINGLE: Final = re.compile(r"\{" + _NAME + r"\}")

Declared = list[str] | dict[str, str] | None
"""A prompt's `variables`."""


@attrs.frozen
class PromptText:
    """The texts of a prompt, ready to be rendered any number of times.

    `names` are the variables that a value must be given for, `optional` those that the template (of Jinja2 only)
    tests for or has a default for. `declared` are those that the prompt lists, `None` where it lists none. `left`
    are names in braces that are text, as they are not declared: likely typing errors.
    """

    names: frozenset[str]
    declared: frozenset[str] | None
    _write: Callable[[Mapping[str, Any]], tuple[str, str]] = attrs.field(repr=False, eq=False)
    optional: frozenset[str] = frozenset()
    left: frozenset[str] = frozenset()

    def render(self, values: Mapping[str, Any]) -> tuple[str, str]:
        """Put the values in: the system text, empty where there is none, and the user text.

        What was put in is never looked at again, whatever it holds. Values that the prompt does not use are left
        alone. Raises `PromptError` for every name that has no value, before anything is rendered; for a value that
        has no form in JSON, and for texts of more than `MAX_CHARACTERS`.
        """
        missing = sorted(self.names - values.keys())
        if missing:
            candidates = sorted(self.unknown(values)) or sorted(values)
            raise PromptError(
                InvalidField(f"$.variables.{name}", f"missing; the prompt uses it{nearest(name, candidates)}")
                for name in missing
            )
        return self._write(values)

    def unknown(self, given: Iterable[str]) -> frozenset[str]:
        """The names among those given that the prompt neither uses nor declares."""
        return frozenset(given) - self.names - self.optional - (self.declared or frozenset())


def parse_text(system: str | None, user: str, declared: Declared = None) -> PromptText:
    """Find the variables of texts in which they stand in braces.

    A variable is `{{ name }}` or, in a prompt where nothing is written so, `{name}`. System and user text are one
    prompt. Only the names in `declared` are variables; without it every name in such braces is one. All other
    braces are text.

    Raises `PromptError` for a declared name that cannot stand in braces, and for one that is declared twice.
    """
    names = declared_names(declared)
    texts = (system or "", user)
    pattern = _DOUBLE if any(_found(_DOUBLE, texts, names)) else _SINGLE
    used = frozenset(_found(pattern, texts, names))
    seen = {match[1] for text in texts for form in (_DOUBLE, _SINGLE) for match in form.finditer(text)}
    parts = [_parts(text, pattern, used) for text in texts]

    def write(values: Mapping[str, Any]) -> tuple[str, str]:
        return _write(parts, values)

    return PromptText(used, names, write, left=frozenset(seen) - used)


def declared_names(declared: Declared) -> frozenset[str] | None:
    """The names that a prompt's `variables` list; `None` where there are no `variables`.

    Raises `PromptError` for a name that cannot stand in braces, and for one that is there twice.
    """
    if declared is None:
        return None
    places = {name: f"$.variables.{name}" if name.isidentifier() else f"$.variables[{name!r}]" for name in declared}
    if isinstance(declared, list):
        places = {name: f"$.variables[{place}]" for place, name in enumerate(declared)}
    faults = [
        InvalidField(places[name], f"{name[:80]!r} cannot stand in braces; use letters, digits and `_`")
        for name in places
        if re.fullmatch(_NAME, name) is None
    ]
    twice = [name for name, count in Counter(list(declared)).items() if count > 1]
    faults += [InvalidField(places[name], f"{name[:80]!r} is declared more than once") for name in twice]
    if faults:
        raise PromptError(faults)
    return frozenset(declared)


def _found(pattern: re.Pattern[str], texts: Iterable[str], names: frozenset[str] | None) -> Iterable[str]:
    found = (match[1] for text in texts for match in pattern.finditer(text))
    return (name for name in found if names is None or name in names)


def _parts(text: str, pattern: re.Pattern[str], used: frozenset[str]) -> list[tuple[str, str]]:
    """Cut a text into pieces, each with the name of the variable that follows it; none follows the last."""
    parts: list[tuple[str, str]] = []
    start = 0
    for match in pattern.finditer(text):
        if match[1] in used:
            parts.append((text[start : match.start()], match[1]))
            start = match.end()
    return [*parts, (text[start:], "")]


def _write(texts: list[list[tuple[str, str]]], values: Mapping[str, Any]) -> tuple[str, str]:
    written = write_values({name: values[name] for parts in texts for _, name in parts if name}, as_text) | {"": ""}
    size = sum(len(piece) + len(written[name]) for parts in texts for piece, name in parts)
    if size > MAX_CHARACTERS:
        raise PromptError([InvalidField("$", f"the prompt is {size} characters long; {MAX_CHARACTERS} are the most")])
    system, user = ("".join(part for piece, name in parts for part in (piece, written[name])) for parts in texts)
    return system, user


def write_values(values: Mapping[str, Any], write: Callable[[Any], Any]) -> dict[str, Any]:
    """Write each value; raises `PromptError` for all that cannot be written."""
    written: dict[str, Any] = {}
    faults: list[InvalidField] = []
    for name, value in values.items():
        try:
            written[name] = write(value)
        except ValueError as error:
            faults.append(InvalidField(f"$.variables.{name}", str(error)))
    if faults:
        raise PromptError(faults)
    return written
