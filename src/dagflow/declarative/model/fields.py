"""How a field of the file formats is declared: with the sentence that the reference and the editor schema show."""

from __future__ import annotations

import enum
from typing import Any, Final

import attrs

from dagflow.core.constraints import Unless
from dagflow.core.markers import DESCRIPTION, JSON_KEY

__all__ = ["ABSENT", "AT_LEAST_ONE", "AT_LEAST_ONE_IF_GIVEN", "POSITIVE", "Absent", "option", "required"]


class Absent(enum.Enum):
    """The type of `ABSENT`, which stands for a value that a file does not give, where null would be one."""

    ABSENT = "absent"


ABSENT: Final = Absent.ABSENT

POSITIVE: Any = attrs.validators.optional(attrs.validators.gt(0))
AT_LEAST_ONE: Any = attrs.validators.optional(attrs.validators.ge(1))

AT_LEAST_ONE_IF_GIVEN: Any = Unless(ABSENT, AT_LEAST_ONE)


def required(description: str, *, key: str | None = None, validator: Any = None) -> Any:
    """Declare a key that must be there; `key` is its name in the file where Python has that word for itself."""
    return attrs.field(validator=validator, metadata=_metadata(description, key))


def option(
    default: Any = None, description: str = "", *, key: str | None = None, validator: Any = None, factory: Any = None
) -> Any:
    """Declare a key that may be left out."""
    chosen: dict[str, Any] = {"factory": factory} if factory is not None else {"default": default}
    return attrs.field(validator=validator, metadata=_metadata(description, key), **chosen)


def _metadata(description: str, key: str | None) -> dict[str, str]:
    return {DESCRIPTION: description} | ({JSON_KEY: key} if key is not None else {})
