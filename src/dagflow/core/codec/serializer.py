"""How a user says that values of a class are written and read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
from attrs.validators import instance_of, is_callable

from dagflow.core.secrets import Secret

__all__ = ["Serializer"]


def _refuse_secrets(serializer: Serializer, attribute: object, cls: type) -> None:
    if issubclass(cls, Secret):
        raise ValueError(f"{cls.__qualname__} is a secret, and no secret is ever written")  # noqa: TRY004


def _refuse_unprintable(serializer: Serializer, attribute: object, name: str) -> None:
    if not name.isprintable() or not name.strip():
        raise ValueError(f"the name of a Serializer must be printable text, not {name!r}")


@attrs.frozen
class Serializer:
    """Says how instances of `cls` (not of its subclasses) are written to a store and read from it.

    `write` turns one into data: what JSON has, or anything else that can be written, such as dates and tuples.
    `read` makes an equal instance from that data again. `name` stands for the class in the store, so that the class
    may move to another module; it must stay the same as long as there are runs that go on.
    """

    cls: type = attrs.field(validator=[instance_of(type), _refuse_secrets])
    write: Callable[[Any], Any] = attrs.field(validator=is_callable())
    read: Callable[[Any], Any] = attrs.field(validator=is_callable())
    name: str = attrs.field(
        default=attrs.Factory(lambda self: getattr(self.cls, "__qualname__", ""), takes_self=True),
        validator=[instance_of(str), _refuse_unprintable],
    )
