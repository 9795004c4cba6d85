"""What the names of an expression stand for."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import attrs

__all__ = ["Scope"]

_NONE: Final[Mapping[str, Any]] = MappingProxyType({})


@attrs.frozen
class Scope:
    """The values that an expression is evaluated over.

    A name is looked for in `locals` first, such as the item of a map; then `state` itself is the whole state; then
    it is a key of the state. Values are read and never changed; a value that is read is the one that the state holds,
    not a copy.
    """

    state: Mapping[str, Any]
    locals: Mapping[str, Any] = _NONE
