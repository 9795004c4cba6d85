"""The state that most tests of expressions are evaluated over, and the classes of its values."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from dagflow.core.markers import JSON_KEY
from dagflow.declarative.expressions import Scope


class Size(enum.Enum):
    SMALL = "small"
    LARGE = "large"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Word(str):
    __slots__ = ()


@attrs.frozen
class Grade:
    score: float
    reason: str = "good"
    size: Size = Size.SMALL
    _hidden: str = "hidden"

    def method(self) -> None:
        raise AssertionError("a method was called")

    @property
    def computed(self) -> str:
        raise AssertionError("a property was read")


@attrs.frozen
class Route:
    from_: str = attrs.field(metadata={JSON_KEY: "from"})
    to: str = "END"


@dataclasses.dataclass
class Point:
    x: int
    y: int


class View(Mapping[str, Any]):
    """A mapping that is no dict, as views of the state are."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values_by_key = values

    def __getitem__(self, key: str) -> Any:
        return self.values_by_key[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_by_key)

    def __len__(self) -> int:
        return len(self.values_by_key)


STATE: dict[str, Any] = {
    "i": 3,
    "ratio": 0.5,
    "name": "Ana",
    "done": False,
    "nothing": None,
    "items": [10, 20, 30],
    "pair": (1, 2),
    "tags": frozenset({"a", "b"}),
    "words": ["b", "a", "c"],
    "table": {"a": 1, "b-c": 2, "größe": 3, "_low": 4, "__dunder__": 5},
    "deep": {"list": [{"k": "v"}, {"k": "w"}]},
    "grade": Grade(0.5),
    "route": Route("START"),
    "point": Point(1, 2),
    "view": View({"inner": 7}),
    "level": Level.HIGH,
    "size": Size.LARGE,
    "word": Word("Word"),
    "len": "a key that is named like a function",
    "shadowed": "state",
}

SCOPE = Scope(STATE, {"item": {"name": "first"}, "shadowed": "local"})
