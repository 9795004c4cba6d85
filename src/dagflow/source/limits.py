"""How large a YAML file may be: each limit is refused as soon as it is passed, before memory or time is spent."""

from __future__ import annotations

from typing import Final

import attrs
from attrs.validators import and_, ge, instance_of, le

__all__ = ["DEEPEST", "DEFAULT_LIMITS", "Limits"]

DEEPEST: Final = 200
"""The most that `max_depth` can be: what reads the data afterwards, JSON too, goes down one call for each level."""


def _limit(default: int, most: int | None = None) -> int:
    bounds = [instance_of(int), ge(1)] + ([le(most)] if most is not None else [])
    value: int = attrs.field(default=default, validator=and_(*bounds))
    return value


@attrs.frozen(kw_only=True)
class Limits:
    """What a file may have at most.

    `max_bytes` counts its bytes, `max_depth` the lists and mappings inside of each other, `max_nodes` its texts,
    numbers, keys, lists and mappings, `max_scalar` the characters of one text or key, and `max_digits` the
    characters of one number.
    """

    max_bytes: int = _limit(1024 * 1024)
    max_depth: int = _limit(50, DEEPEST)
    max_nodes: int = _limit(100_000)
    max_scalar: int = _limit(256 * 1024)
    # 500 hexadecimal digits are 603 decimal ones, and no setting makes Python refuse as few as 640.
    max_digits: int = _limit(500)


DEFAULT_LIMITS: Final = Limits()
