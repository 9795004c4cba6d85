"""Templates of Jinja2: the syntax is read by Jinja2 (an extra), the rest is done here, within bounds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

from dagflow.core.structure import nearest
from dagflow.declarative.prompts.faults import PromptError
from dagflow.declarative.prompts.jinja_expressions import MAX_DEPTH
from dagflow.declarative.prompts.jinja_statements import Reader, Statement
from dagflow.declarative.prompts.rendering import Refused, Rendering
from dagflow.declarative.prompts.text import Declared, PromptText, declared_names, write_values
from dagflow.declarative.prompts.values import plain
from dagflow.errors import InvalidField

__all__ = ["MAX_TEMPLATE", "parse_jinja"]

MAX_TEMPLATE: Final = 256 * 1024
"""How many characters a template may have."""

MAX_TOKENS: Final = 4000
"""How many words and signs there may be inside of a template's braces: Jinja2 takes its time with each."""

_BRACKETS: Final = {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}
_TAGS: Final = {"if": 1, "for": 1, "endif": -1, "endfor": -1}
_PREFIXES: Final = ("not", "-", "+", "else")


def parse_jinja(system: str | None, user: str, declared: Declared = None) -> PromptText:
    """Read the texts of a prompt as templates of Jinja2.

    There are output, `if`, `for`, comments and `raw`, with the filters and tests of `filters`; nothing can be called,
    set, defined or included. A value is written as `values.as_text` does; what is not defined is an error. The lines
    of tags that stand alone leave no trace (`trim_blocks` and `lstrip_blocks`).

    Raises `PromptError` for all that is wrong with the templates, and with names that are used and not declared, and
    `ImportError` where Jinja2 is not installed.
    """
    names = declared_names(declared)
    readers = {path: Reader(path) for path in ("$.system", "$.user")}
    texts = {"$.system": system or "", "$.user": user}
    statements = {path: _read(texts[path], reader) for path, reader in readers.items()}
    faults = [fault for reader in readers.values() for fault in reader.faults]
    needed = frozenset[str]().union(*(reader.used - reader.guarded for reader in readers.values()))
    used = frozenset[str]().union(*(reader.used for reader in readers.values()))
    if names is not None:
        faults += [
            InvalidField(path, f"{name!r} is not among the `variables` of the prompt{nearest(name, sorted(names))}")
            for path, reader in readers.items()
            for name in sorted(reader.used - names)
        ]
    if faults:
        raise PromptError(faults)

    def write(values: Mapping[str, Any]) -> tuple[str, str]:
        return _write(statements, write_values({name: values[name] for name in used & values.keys()}, plain))

    return PromptText(needed, names, write, optional=used - needed)


def _read(text: str, reader: Reader) -> Statement:
    """Read one text; what is wrong with it is put to the reader's faults."""
    nodes: list[Any] = []
    try:
        nodes = _parse(text)
    except Refused as error:
        reader.faults.append(InvalidField(reader.path, str(error)))
    return reader.statements(nodes)


def _parse(text: str) -> list[Any]:
    if len(text) > MAX_TEMPLATE:
        raise Refused(f"the template is longer than {MAX_TEMPLATE} characters; give long texts as variables")
    environment = _environment()
    from jinja2 import TemplateSyntaxError

    try:
        _check_tokens(environment.lex(text))
        body: list[Any] = environment.parse(text).body
    except TemplateSyntaxError as error:
        raise Refused(f"line {error.lineno}: {error.message}") from error
    except (ValueError, OverflowError, RecursionError) as error:  # numbers of thousands of digits, mostly
        raise Refused(f"Jinja2 cannot read the template: {error}") from error
    return body


def _check_tokens(tokens: Iterator[tuple[int, str, str]]) -> None:
    """Refuse what would take Jinja2's parser long, or deep into itself, before it is asked."""
    count = depth = prefixes = 0
    opening: Mapping[str, int] = {}
    for line, kind, text in tokens:
        if kind in ("data", "whitespace"):
            continue
        count += 1
        depth += opening.get(text, 0)
        opening = _TAGS if kind == "block_begin" else _BRACKETS
        prefixes = 0 if kind in ("variable_begin", "block_begin") else prefixes + (text in _PREFIXES)
        if count > MAX_TOKENS:
            raise Refused(f"line {line}: more than {MAX_TOKENS} words and signs inside of braces")
        if depth > MAX_DEPTH or prefixes > MAX_DEPTH:
            raise Refused(f"line {line}: more than {MAX_DEPTH} levels deep")


def _write(statements: Mapping[str, Statement], values: dict[str, Any]) -> tuple[str, str]:
    written: list[str] = []
    rendering = Rendering(values)
    for path, run in statements.items():
        rendering = Rendering(values, rendering.steps_left, rendering.room_left) if written else rendering
        try:
            run(rendering)
        except Refused as error:
            raise PromptError([InvalidField(path, f"line {rendering.line}: {error}")]) from error
        written.append(rendering.text())
    return written[0], written[1]


@lru_cache(maxsize=1)
def _environment() -> Any:
    try:
        from jinja2 import StrictUndefined
        from jinja2.sandbox import ImmutableSandboxedEnvironment
    except ModuleNotFoundError as error:
        if error.name != "jinja2":
            raise
        raise ImportError(
            "a prompt with `template: jinja2` needs Jinja2: pip install 'dagflow[jinja]'", name="jinja2"
        ) from error
    # It only reads the syntax. Were anything ever run by it, it would be in its sandbox, without a loader.
    return ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
