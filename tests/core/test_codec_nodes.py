"""The codec: nodes as records of a journal, each field by its own declared type."""

import datetime
import json
from collections.abc import Callable
from typing import Annotated, Any

import attrs
import pytest

from core.codec_cases import same, through_text
from dagflow import Dep, Node, Recall, dep, field
from dagflow.core.codec import Codec, Unreadable, Unwritable
from dagflow.core.markers import UNSET

CODEC = Codec()


@attrs.frozen
class Place:
    name: str


def locate() -> Place:
    return Place("Brno")


class Client:
    pass


class Trip(Node):
    _start: datetime.date
    days: int = field(default=3, validator=attrs.validators.ge(1), alias="length")
    tags: list[str] = field(factory=list, converter=lambda tags: [*tags, "made"])
    to: Annotated[Place, Dep(locate)]
    back: Place = dep(locate, record=False)
    client: Annotated[Client, Dep(Client)]
    anything: Annotated[Any, Dep(locate)]
    last: Annotated[str, Recall()]

    async def __call__(self) -> None: ...


def trip(**fields: Any) -> Trip:
    return Trip(**{"start": datetime.date(2030, 1, 2)} | fields)


def test_a_node_is_written_by_its_fields() -> None:
    """Every field that has a value and can be written, by the name of the attribute."""
    full = trip(length=5, tags=["a"], to=Place("a"), back=Place("b"), client=Client(), anything=(1,), last="c")
    data = CODEC.write_node(full)
    assert same(
        {
            "_start": "2030-01-02",
            "days": 5,
            "tags": ["a", "made"],
            "to": {"name": "a"},
            "anything": {"$tuple": [1]},
            "last": "c",
        },
        data,
    )
    assert {"_start": "2030-01-02", "days": 3, "tags": ["made"]} == CODEC.write_node(trip())


def test_a_node_comes_back_in_its_state() -> None:
    """Converters and validators do not run again, and what was not written has no value."""
    node = trip(length=5, tags=["a"], to=Place("a"), client=Client(), last="c")
    found: Any = CODEC.read_node(Trip, through_text(CODEC.write_node(node)))
    assert same(
        [datetime.date(2030, 1, 2), 5, ["a", "made"], Place("a"), "c"],
        [found._start, found.days, found.tags, found.to, found.last],
    )
    assert UNSET is found.back
    assert UNSET is found.client
    assert Trip is type(found)


def test_a_dependency_that_cannot_be_written_is_left_out() -> None:
    """It is called again on resume, be it its declared type or its value that has no form."""
    assert {"_start", "days", "tags"} == CODEC.write_node(trip(client=Client(), anything=[Client()])).keys()
    assert {"_start", "days", "tags"} == CODEC.write_node(trip(to="no place", last=5)).keys()


def test_a_field_that_cannot_be_written_is_told() -> None:
    """A plain field's value must not get lost: the fault names the field, and what is wrong in it."""
    with pytest.raises(Unwritable, match="str is declared") as caught:
        CODEC.write_node(trip(tags=["a", 5]))
    assert "$.tags[1]" == caught.value.path

    class Calls(Node):
        function: Callable[[], int]

        async def __call__(self) -> None: ...

    with pytest.raises(Unwritable, match=r"\$\.function: .* Callable\[\[...\], int\] cannot be written") as caught:
        CODEC.write_node(Calls(function=lambda: 1))


def test_what_a_body_put_on_a_node_is_not_lost_in_silence() -> None:
    """A node is its fields."""
    node = trip()
    vars(node)["note"] = 1
    with pytest.raises(Unwritable, match="it has the attribute 'note', which is no field and would be lost"):
        CODEC.write_node(node)


def test_a_field_that_the_data_lack_has_its_default() -> None:
    """A plain field that was added since is as the class makes it, any other has no value yet."""
    found: Any = CODEC.read_node(Trip, {"days": 7})
    assert (7, ["made"]) == (found.days, found.tags)
    assert UNSET is found._start


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({"start": "2030-01-02"}, "$.start: Trip has no such field; it has '_start', 'days', 'tags', 'to', 'back', "),
        ({"_start": "soon"}, "$._start: expected a date (ISO 8601), got string 'soon'"),
        ({"tags": ["a", 5]}, "$.tags[1]: expected a string, got integer 5"),
        ({"client": {}}, "$.client: Client cannot be written"),
        ([], "$: expected Trip as an object, got array"),
    ],
)
def test_data_that_do_not_fit_are_refused(data: Any, problem: str) -> None:
    """The fault leads to the field."""
    with pytest.raises(Unreadable) as caught:
        CODEC.read_node(Trip, data)
    assert str(caught.value).startswith(problem)


def test_nothing_runs_when_a_node_is_read() -> None:
    """Not even where `__init__` would refuse what was written, as a validator was added since."""
    assert 0 == attrs.asdict(CODEC.read_node(Trip, {"days": 0}))["days"]  # type: ignore[arg-type]  # a Trip


def test_a_node_that_cannot_be_understood_is_told() -> None:
    """A hint that cannot be evaluated is no other exception than any other fault."""

    class Lost(Node):
        place: "Nowhere"  # type: ignore[name-defined]  # noqa: F821

        async def __call__(self) -> None: ...

    vars(node := object.__new__(Lost))["place"] = 1
    with pytest.raises(Unwritable, match="Lost has a fault: Lost.place: the name 'Nowhere' in its hint is not known"):
        CODEC.write_node(node)
    with pytest.raises(Unreadable, match="the name 'Nowhere' in its hint is not known"):
        CODEC.read_node(Lost, {})


def test_nodes_may_hold_nodes() -> None:
    """A node that a dependency gave is a value like any other."""

    class Inner(Node):
        name: str
        size: int = dep(int)

        async def __call__(self) -> None: ...

    class Outer(Node):
        inner: Annotated[Inner, Dep(Inner)]
        trace: list[Node]

        async def __call__(self) -> None: ...

    make: Any = Inner  # to type checkers, `size` is not for the caller to give
    node = Outer(inner=make(name="a", size=1), trace=[Inner(name="b")])
    codec = Codec([Inner])
    data = through_text(codec.write_node(node))
    assert {"inner": {"name": "a", "size": 1}, "trace": [{"$" + Inner.__qualname__: {"name": "b"}}]} == data
    assert same(node, codec.read_node(Outer, data))
    with pytest.raises(Unwritable, match=r"\$\.trace: .*Node cannot be written: it is neither plain data"):
        Codec().write_node(node)


def test_the_data_of_a_node_are_json() -> None:
    """Without anything that JSON does not have."""
    text = json.dumps(CODEC.write_node(trip(anything={float("nan"), None})), allow_nan=False)
    assert '"anything": {"$set": [{"$float": "nan"}, null]}' in text or '[null, {"$float": "nan"}]' in text
