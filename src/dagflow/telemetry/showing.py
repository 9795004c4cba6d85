"""Writing values into attributes: short, at a bounded cost, and without secrets."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import attrs

from dagflow.core.secrets import Mask, Secret, mask_keys

__all__ = ["Showing"]

DEEPEST: Final = 20
"""How deep nested values are shown; a value may hold itself."""

LONGEST: Final = 64 * 1024
"""Characters of one text that are looked at. What stands after them is not shown."""


def _all(given: Iterable[str | Secret]) -> tuple[str, ...]:
    return tuple(secret.reveal() if isinstance(secret, Secret) else secret for secret in given)


@attrs.frozen
class Showing:
    """Writes values as texts of at most `limit` bytes, with `secrets` and the keys of well-known providers masked."""

    limit: int = attrs.field(default=1024, validator=attrs.validators.ge(1))
    secrets: tuple[str, ...] = attrs.field(default=(), converter=_all, repr=False)
    _mask: Mask = attrs.field(
        default=attrs.Factory(lambda self: Mask(self.secrets), takes_self=True), init=False, eq=False, repr=False
    )

    def text(self, text: str) -> str:
        """Write a text."""
        return self._cut(self._hide(text))

    def values(self, values: Mapping[str, Any]) -> str:
        """Write named values as JSON does, with the `repr` of what JSON does not know."""
        return self.value(dict(values))

    def value(self, value: Any) -> str:
        """Write one value as JSON does, with the `repr` of what JSON does not know."""
        return self._joined(self._pieces(value, 0))

    def fields(self, node: Any) -> str:
        """Write the fields of a node, without those that its `repr` does not show."""
        shown = [field.name for field in attrs.fields(type(node)) if field.repr]
        return self.values({name: getattr(node, name, None) for name in shown})

    def _joined(self, pieces: Iterable[str]) -> str:
        length, kept = 0, []
        for piece in pieces:
            kept.append(piece)
            length += len(piece)
            if length > self.limit:  # what follows would be cut off: a large value costs no more than a small one
                break
        return self._cut("".join(kept))

    def _cut(self, text: str) -> str:
        # A lone surrogate has no UTF-8, and an exporter would fail over it.
        data = text.encode("utf-8", "replace")
        if len(data) <= self.limit:
            return data.decode("utf-8")
        return data[: max(self.limit - 3, 0)].decode("utf-8", "ignore") + "..."[: self.limit]

    def _hide(self, text: str) -> str:
        hidden = mask_keys(self._mask(text[:LONGEST]))
        if len(text) <= LONGEST:
            return hidden
        # The last secret may have been cut in two.
        return hidden[: max(len(hidden) - self._mask.longest, 0)]

    def _pieces(self, value: Any, depth: int) -> Iterator[str]:
        if isinstance(value, str):
            yield json.dumps(self._hide(value), ensure_ascii=False)
        elif value is None or type(value) in (bool, float):
            yield json.dumps(value)
        elif depth == DEEPEST:
            yield "..."
        elif isinstance(value, Mapping):
            yield from self._items(value, depth + 1)
        elif isinstance(value, (list, tuple)):
            yield from self._elements(value, depth + 1)
        else:
            yield self._hide(_repr(value))

    def _items(self, value: Mapping[Any, Any], depth: int) -> Iterator[str]:
        separator = "{"
        for key, item in value.items():
            name = key if isinstance(key, str) else _repr(key)
            yield f"{separator}{json.dumps(self._hide(name), ensure_ascii=False)}: "
            yield from self._pieces(item, depth)
            separator = ", "
        yield "}" if value else "{}"

    def _elements(self, value: list[Any] | tuple[Any, ...], depth: int) -> Iterator[str]:
        separator = "["
        for item in value:
            yield separator
            yield from self._pieces(item, depth)
            separator = ", "
        yield "]" if value else "[]"


def _repr(value: Any) -> str:
    try:
        return repr(value)
    except Exception as error:  # of somebody else's class; a trace is no place to fail over it
        return f"<{type(value).__name__} whose repr raised {type(error).__name__}>"
