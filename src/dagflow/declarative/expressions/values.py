"""Values with templates in them: data as a file holds it, in which any text may have `{expressions}`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs

from dagflow.declarative.expressions.faults import ExpressionError
from dagflow.declarative.expressions.paths import Run
from dagflow.declarative.expressions.scope import Scope
from dagflow.declarative.expressions.template import Template, parse_template

__all__ = ["ValueTemplate", "parse_value"]

_DEEPEST: Final = 100

_NOTHING: Final = Scope({})
_Path = tuple[str | int, ...]


@attrs.frozen
class ValueTemplate:
    """A compiled value; `templates` are those of its texts that have expressions in them."""

    value: Any
    templates: tuple[Template, ...]
    _run: Run = attrs.field(repr=False, eq=False)

    @property
    def is_literal(self) -> bool:
        """Whether there is no expression in it."""
        return not self.templates

    @property
    def paths(self) -> tuple[tuple[str, ...], ...]:
        """The paths that its expressions read, each once."""
        return tuple(dict.fromkeys(path for template in self.templates for path in template.paths))

    def evaluate(self, scope: Scope) -> Any:
        """Make a value of the same shape, every text in it filled as `Template.evaluate` says.

        Its arrays and objects are new each time, literal ones too, so that who changes them does not change the
        graph; everything else that is literal is shared.

        Raises `ExpressionError` as templates do, with the `path` of the text.
        """
        return self._run(scope)


def parse_value(value: Any) -> ValueTemplate:
    """Parse every text of a JSON-like value as a template; the keys of objects are not templates.

    Raises `ExpressionError` for the first text that is none, with its `path` in the value.
    """
    templates: list[Template] = []
    run = _compile(value, (), templates.append)
    return ValueTemplate(value, tuple(templates), run)


def _compile(value: Any, path: _Path, found: Callable[[Template], None]) -> Run:
    if len(path) > _DEEPEST:
        raise ExpressionError(f"the value is nested more than {_DEEPEST} deep", "", 0, path)
    if isinstance(value, str):
        return _compile_text(value, path, found)
    if isinstance(value, Mapping):
        parts = [(key, _compile(part, (*path, key), found)) for key, part in value.items()]
        return lambda scope: {key: part(scope) for key, part in parts}
    if isinstance(value, (list, tuple)):
        items = [_compile(item, (*path, place), found) for place, item in enumerate(value)]
        return lambda scope: [item(scope) for item in items]
    return lambda _: value


def _compile_text(text: str, path: _Path, found: Callable[[Template], None]) -> Run:
    try:
        template = parse_template(text)
    except ExpressionError as error:
        raise _placed(error, path) from None
    if template.is_literal:
        literal = template.evaluate(_NOTHING)
        return lambda _: literal
    found(template)

    def run(scope: Scope) -> Any:
        try:
            return template.evaluate(scope)
        except ExpressionError as error:
            raise _placed(error, path) from error.__cause__

    return run


def _placed(error: ExpressionError, path: _Path) -> ExpressionError:
    return ExpressionError(error.message, error.source, error.column, path)
