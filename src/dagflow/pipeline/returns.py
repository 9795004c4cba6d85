"""What a task says that it returns, and how a returned value is matched against it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal, get_args, get_origin

import attrs

from dagflow.core import hints

__all__ = [
    "Json",
    "Metric",
    "Object",
    "Return",
    "Returned",
    "as_returns",
    "match_names",
    "match_returns",
    "returns_faults",
]

Kind = Literal["json", "object", "metric"]


@attrs.frozen
class Return:
    """A value that a task returns, and the parameter that it becomes; a plain string stands for `Json`."""

    name: str
    kind: ClassVar[Kind] = "json"


@attrs.frozen
class Json(Return):
    """A value that can be written: JSON, or an instance of a class whose fields can be. It is checked in every run."""


@attrs.frozen
class Object(Return):
    """A value of any type, passed on by reference.

    A run that is recorded needs to write it too: its type is one that can be written, or has a `Serializer` among the
    pipeline's `types`.
    """

    kind: ClassVar[Kind] = "object"


@attrs.frozen
class Metric(Return):
    """A finite number that the run log lists among the metrics; it is a parameter like any other."""

    kind: ClassVar[Kind] = "metric"


@attrs.frozen
class Returned:
    """What an async generator yields for what it returns; everything else that it yields is streamed.

    `value` is matched against the task's `returns` as the result of a function is.
    """

    value: Any


def as_returns(given: str | Return | Iterable[str | Return]) -> tuple[Return, ...]:
    """Take `returns=` as people write it."""
    if isinstance(given, (str, Return)):
        given = [given]
    return tuple(item if isinstance(item, Return) else Json(item) for item in given)


def returns_faults(returns: tuple[Return, ...], hint: Any = Any) -> list[str]:
    """Say what is wrong with declared returns; `hint` is what the function declares that it returns."""
    faults = [
        f"returns {item.name!r}, which is no name of a parameter; write letters, digits and underscores"
        for item in returns
        if not str(item.name).isidentifier()
    ]
    names = [item.name for item in returns]
    faults += [f"returns {name!r} more than once" for name in dict.fromkeys(names) if names.count(name) > 1]
    count = _fixed_count(hint)
    if len(returns) > 1 and count is not None and count != len(returns):
        faults.append(f"returns {_listed(names)}, and its function is declared to return {hints.show(hint)}")
    return faults


def _fixed_count(hint: Any) -> int | None:
    arguments = get_args(hint)
    if get_origin(hint) is not tuple or not arguments or arguments[-1] is ...:
        return None
    return len(arguments)


def match_returns(returns: tuple[Return, ...], value: Any) -> dict[str, Any]:
    """Give each declared name its value.

    A mapping whose keys are the declared names is matched by name, never by position. With one declared name, any
    other value is that name's. With several, it is a tuple or list with one item for each, in order. With none, the
    value is of no interest.

    Raises `ValueError` for a value that does not match, in words that go on after the name of the task.
    """
    if not returns:
        return {}
    names = [item.name for item in returns]
    if isinstance(value, Mapping) and (len(names) > 1 or set(value) == set(names)):
        return match_names(names, value)
    if len(names) == 1:
        return {names[0]: value}
    if isinstance(value, (tuple, list)) and len(value) == len(names):
        return dict(zip(names, value, strict=True))
    raise ValueError(f"returned {_counted(value)}, and declares {_listed(names)}; {_advice(names)}")


def match_names(names: Sequence[str], value: Mapping[Any, Any]) -> dict[str, Any]:
    """Take the values of a mapping that has exactly these names; raises `ValueError` as `match_returns` does."""
    missing = [name for name in names if name not in value]
    extra = [key for key in value if key not in names]
    if missing:
        has = f"its keys are {_listed(value)}" if value else "it is empty"
        raise ValueError(f"returned a mapping without {_listed(missing)}; {has}")
    if extra:
        raise ValueError(f"returned a mapping with {_listed(extra)}, and declares only {_listed(names)}")
    return {name: value[name] for name in names}


def _counted(value: Any) -> str:
    if not isinstance(value, (tuple, list)):
        return "nothing" if value is None else f"a {type(value).__name__}"
    return f"{len(value)} value{'s' if len(value) != 1 else ''}"


def _advice(names: list[str]) -> str:
    keys = ", ".join(f"{name!r}: ..." for name in names)
    return f"return one value for each, in order, or a mapping {{{keys}}}"


def _listed(names: Iterable[Any]) -> str:
    return ", ".join(map(repr, names))
