"""The codec: containers keep their concrete types, order and items, and user's keys are never taken for tags."""

import collections
import datetime
import enum
import math
from collections.abc import Iterable, Mapping, MutableSequence, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, List, Tuple  # noqa: UP035  # people still write them

import pytest

from core.codec_cases import round_trip, same
from dagflow.core.codec import Codec, Unreadable, Unwritable
from dagflow.core.codec.scope import MAX_DEPTH

CODEC = Codec()


class Colour(enum.Enum):
    RED = 1


class Stack(list[int]):
    pass


@pytest.mark.parametrize(
    ("hint", "value", "data"),
    [
        (list, [1, (2,)], [1, {"$tuple": [2]}]),
        (list[int], [], []),
        (list[int], [1, True, 2**5000], [1, True, {"$int": hex(2**5000)}]),
        (list[float], [1.5, math.inf, 2], [1.5, {"$float": "inf"}, 2]),
        (list[str], ["a", "\ud800"], ["a", {"$str": "7aCA"}]),
        (list[bool], [True, False], [True, False]),
        (List[datetime.date], [datetime.date(2030, 1, 2)], ["2030-01-02"]),  # noqa: UP006
        (tuple, (1, "a"), [1, "a"]),
        (Tuple, (1, [2]), [1, [2]]),  # noqa: UP006
        (tuple[()], (), []),
        (tuple[int, str], (1, "a"), [1, "a"]),
        (tuple[int, ...], (1, 2, 3), [1, 2, 3]),
        (set[str], {"b", "a"}, ["a", "b"]),
        (set[int | str], {1, "a"}, ["a", 1]),
        (frozenset[tuple[int, ...]], frozenset({(2,), (1, 5)}), [[1, 5], [2]]),
        (dict, {"b": 1, "a": (2,)}, {"b": 1, "a": {"$tuple": [2]}}),
        (dict[str, int], {"a b": 1, "": 2}, {"a b": 1, "": 2}),
        (dict[str, int], {"$type": 1}, {"$dict": [["$type", 1]]}),
        (dict[str, int], {"\ud800": 1}, {"$dict": [[{"$str": "7aCA"}, 1]]}),
        (dict[int, str], {True: "b"}, {"$dict": [[True, "b"]]}),
        (dict[Colour, int], {Colour.RED: 1}, {"RED": 1}),
        (dict[datetime.date, int], {datetime.date(2030, 1, 2): 1}, {"2030-01-02": 1}),
        (dict[tuple[int, int], str], {(1, 2): "a"}, {"$dict": [[[1, 2], "a"]]}),
        (dict[float, int], {math.nan: 1}, {"$dict": [[{"$float": "nan"}, 1]]}),
        (Sequence[int], [1], [1]),
        (Sequence[int], (1,), {"$tuple": [1]}),
        (Sequence[str], "ab", "ab"),
        (Sequence[int], b"ab", {"$bytes": "YWI="}),
        (Iterable[int], {1}, {"$set": [1]}),
        (Iterable[str], {"a": 1.5}, {"a": 1.5}),
        (AbstractSet[int], frozenset({1}), [1]),
        (AbstractSet[int], {1}, {"$set": [1]}),
        (Mapping[str, int], {"a": 1}, {"a": 1}),
        (Mapping[int, int], {1: 1}, {"$dict": [[1, 1]]}),
        (Any, {"$float": "nan"}, {"$dict": [["$float", "nan"]]}),
        (Any, {"a": {"$dict": []}}, {"a": {"$dict": [["$dict", []]]}}),
        (Any, {None: 1, "a": frozenset()}, {"$dict": [[None, 1], ["a", {"$frozenset": []}]]}),
        (object, [None, True, 1, 1.5, "a", b""], [None, True, 1, 1.5, "a", {"$bytes": ""}]),
    ],
)
def test_a_container_is_read_back_exactly(hint: Any, value: Any, data: Any) -> None:
    """A container has the form that the documentation says, and comes back the same throughout."""
    assert same(data, round_trip(hint, value))


@pytest.mark.parametrize(
    ("hint", "value", "path", "reason"),
    [
        (list[int], (1,), "$", "list is declared; declare the type that it really has"),
        (list[int], [1, "a"], "$[1]", "int is declared"),
        (list, Stack(), "$", "list is declared, of which it is a subclass. Register Stack, or declare it"),
        (dict, collections.OrderedDict(), "$", "dict is declared, of which it is a subclass"),
        (Mapping[str, int], collections.Counter("a"), "$", "Mapping is declared, of which it is a subclass"),
        (tuple[int, str], (1,), "$", "tuple[int, str] is declared, and it has 1 items"),
        (tuple[int, str], (1, 2), "$[1]", "str is declared"),
        (dict[str, list[int]], {"a b": [1, None]}, "$['a b'][1]", "int is declared"),
        (dict[str, int], {"a": 1, 5: 2}, "$[5]", "str is declared"),
        (dict[Any, int], {(1, 2): "a"}, "$[a tuple]", "int is declared"),
        (Sequence[int], "ab", "$", "Sequence is declared; declare the type that it really has"),
        (MutableSequence[int], (1,), "$", "MutableSequence is declared"),
        (Iterable[int], iter([1]), "$", "Iterable is declared"),
        (Any, {"when": [object()]}, "$.when[0]", "it is neither plain data nor a class that is known here; declare"),
        (Any, collections.deque(), "$", "register it or a Serializer for it"),
        (Any, len, "$", "or mark the dependency that gives it record=False"),
    ],
)
def test_a_container_that_would_not_come_back_is_refused(hint: Any, value: Any, path: str, reason: str) -> None:
    """The fault leads to what cannot be written, and says what to do."""
    with pytest.raises(Unwritable) as caught:
        CODEC.writer(hint)(value)
    assert path == caught.value.path
    assert reason in caught.value.reason


@pytest.mark.parametrize(
    ("hint", "data", "problem"),
    [
        (list[int], {"a": 1}, "$: expected an array, got object"),
        (list[int], [1, "a"], "$[1]: expected an integer, got string 'a'"),
        (tuple[int, str], [1], "$: expected an array of 2 items, got 1"),
        (tuple[int, ...], {"$tuple": [1]}, "$: expected an array, got an object of one key, '$tuple'"),
        (set[int], [1, 1], "$: expected every item once, got one more than once"),
        (set[Any], [[1]], "$: expected items that a set can hold: unhashable type: 'list'"),
        (dict[str, int], [], "$: expected an object, got array"),
        (dict[str, int], {"a": None}, "$.a: expected an integer, got null"),
        (dict[str, int], {"$a": 1, "b": 1}, "$: expected an object, got one with the key '$a', which no data have"),
        (dict[str, int], {"$a": 1}, "$: the class a is not known here; register it, or use its name of before"),
        (dict[int, int], {"$dict": [[1, 1], [1, 2]]}, "$: expected every key once, got one more than once"),
        (dict[int, int], {"$dict": [[1]]}, "$: expected an array of pairs, got array"),
        (dict[Any, int], {"$dict": [[[], 1]]}, "$[a list]: expected a key that a dict can hold: unhashable type"),
        (Sequence[int], {"$set": [1]}, "$: expected Sequence[int], got an object of one key, '$set'"),
        (Sequence[int], {"$tuple": ["a"]}, "$.$tuple[0]: expected an integer, got string 'a'"),
        (Sequence[int], "ab", "$: expected Sequence[int], got string 'ab'"),
        (Any, {"a": [{"$Gone": 1}]}, "$.a[0]: the class Gone is not known here"),
        (Any, {"$list": []}, "$: expected an object, got an object of one key, '$list'"),
        (Any, (1,), "$: expected JSON data, got a tuple"),
    ],
)
def test_data_that_do_not_fit_are_refused(hint: Any, data: Any, problem: str) -> None:
    """The fault leads to what does not fit, and says what was expected."""
    with pytest.raises(Unreadable) as caught:
        CODEC.reader(hint)(data)
    assert str(caught.value).startswith(problem)


def nested(depth: int) -> list[Any]:
    found: list[Any] = []
    for _ in range(depth - 1):
        found = [found]
    return found


@pytest.mark.parametrize("hint", [Any, list, list[Any] | None | int])
def test_values_may_be_nested_deeply(hint: Any) -> None:
    """200 lists within each other come back; more are refused, as no other stack may read them."""
    assert 200 == MAX_DEPTH
    round_trip(hint, nested(MAX_DEPTH))
    with pytest.raises(Unwritable, match="it holds itself, or more than 200 containers and objects within each other"):
        CODEC.writer(hint)(nested(MAX_DEPTH + 1))
    with pytest.raises(Unreadable, match="more than 200 containers and objects within each other"):
        CODEC.reader(hint)(nested(MAX_DEPTH + 1))


@pytest.mark.parametrize("hint", [Any, list[Any], list[Any] | tuple[Any, ...] | dict[str, Any]])
def test_a_value_that_holds_itself_is_refused(hint: Any) -> None:
    """A cycle is refused at once, also where every level could be written in several ways."""
    value: list[Any] = []
    value += [value, {"value": value}]
    with pytest.raises(Unwritable, match=r"^\$(\.\$list\[Any\])?\[0\].{100,300}: it holds itself"):
        CODEC.writer(hint)(value)


def test_what_is_written_is_no_part_of_the_value() -> None:
    """A list that changes after it was written leaves the data as they were, and the other way about."""
    value = ["a", "b"]
    data = CODEC.writer(list[str])(value)
    value.append("c")
    found = CODEC.reader(list[str])(data)
    data.append("d")
    assert ["a", "b"] == found
