"""The form of a declared type in a journal, and the name that tells it from others."""

from __future__ import annotations

import enum
import inspect
import typing
from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from dagflow.core import hints
from dagflow.core.codec.scalars import SCALARS
from dagflow.core.secrets import Secret
from dagflow.core.shapes import COLLECTIONS, alias_value, is_alias, kind_of, peel

__all__ = ["Form", "alias_target", "bare", "class_of", "form_of", "item_hint", "label", "members", "reason_against"]

Form = Literal[
    "any",
    "alias",
    "literal",
    "union",
    "scalar",
    "list",
    "set",
    "tuple",
    "dict",
    "abstract",
    "enum",
    "flag",
    "named tuple",
    "typed dict",
    "class",
    "base",
    "none",
]
"""`base` is a class with no form of its own, whose subclasses may have one; `none` has no form at all."""

_CONCRETE: dict[Any, Form] = {list: "list", set: "set", frozenset: "set", tuple: "tuple", dict: "dict"}


def bare(hint: Any) -> Any:
    """Take off what does not change how values are written: `Annotated`, `NewType`, a `TypeVar`, at every depth.

    Raises `NameError` for a name that is not known, `TypeError` for what is no type.
    """
    hint = _strip(peel(_strip(hint)))
    if isinstance(hint, TypeVar):
        return _strip(Union[hint.__constraints__]) if hint.__constraints__ else Any  # noqa: UP007  # it is a tuple
    if hint is typing.Tuple:  # noqa: UP006  # it has no arguments, as `tuple[()]` has none
        return tuple
    hash(hint)  # an argument of the hint that cannot be hashed is no type
    return hint


def _strip(hint: Any) -> Any:
    def holder() -> None: ...

    holder.__annotations__ = {"hint": hint}
    return typing.get_type_hints(holder, globalns={})["hint"]


def alias_target(hint: Any) -> Any:
    """What a `type X = ...` alias stands for; in quotes, as Python 3.11 needs it where an alias holds itself."""
    return hints.evaluate(alias_value(hint), [hints.module_namespace(class_of(hint))])


def class_of(hint: Any) -> Any:
    """The class of a hint, without the arguments of a generic one."""
    return get_origin(hint) or hint


def item_hint(hint: Any) -> Any:
    """What a container of one argument holds."""
    return (get_args(hint) or (Any,))[0]


def form_of(hint: Any) -> Form:
    """The form of a bare hint."""
    kind = kind_of(hint)
    origin = class_of(hint)
    if kind in ("any", "alias", "literal", "union"):
        return kind
    if hint in SCALARS:
        return "scalar"
    if origin in COLLECTIONS:
        return _CONCRETE.get(origin, "abstract")
    if not isinstance(origin, type) or origin is type:
        return "none"
    if issubclass(origin, enum.Enum):
        return "base" if not len(origin) else "flag" if issubclass(origin, enum.Flag) else "enum"
    if issubclass(origin, tuple) and hasattr(origin, "_fields"):
        return "named tuple"
    if typing.is_typeddict(origin):
        return "typed dict"
    if kind == "object" and _layout_reason(origin) is None and not inspect.isabstract(origin):
        return "class"
    return "base"


def _layout_reason(cls: type) -> str | None:
    """Say why instances hold more than the fields of their class."""
    if issubclass(cls, BaseException):
        return "exceptions hold more than their fields"
    if inspect.isabstract(cls):
        return None
    try:
        object.__new__(cls)
    except TypeError:
        return "it derives from a built-in class, and holds more than its fields"
    return None


def reason_against(cls: Any) -> str:
    """Say why values of a class cannot be written, and what to do."""
    if isinstance(cls, type) and issubclass(cls, Secret):
        return "no secret is ever written; mark the dependency that gives it record=False, or pass it as a resource"
    if not isinstance(cls, type) or kind_of(cls) != "object" or (reason := _layout_reason(cls)) is None:
        reason = "it is neither plain data nor a class that is known here"
    return (
        f"{reason}; declare a narrower type (an attrs class, dataclass, enum, ...), register it or a Serializer "
        f"for it, or mark the dependency that gives it record=False"
    )


def members(hint: Any) -> tuple[Any, ...]:
    """The members of a union, bare, nested unions and aliases taken apart; of any other hint, the hint."""
    hint = bare(hint)
    if is_alias(hint):
        return members(alias_target(hint))
    if kind_of(hint) != "union":
        return (hint,)
    found = dict.fromkeys(member for argument in get_args(hint) for member in members(argument))
    return tuple(found)


def label(hint: Any, names: Mapping[type, str]) -> str:
    """Name a type, the same in every process: `Place`, `list[int]`. `names` are those given to classes."""
    if hint is ...:
        return "..."
    hint = bare(hint)
    origin, arguments = class_of(hint), get_args(hint)
    if kind_of(hint) == "literal":
        return hints.show(hint)
    if kind_of(hint) == "union":
        return " | ".join(sorted(_labels(arguments, names)))
    name = names.get(origin) if isinstance(origin, type) else None
    name = name or str(getattr(origin, "__qualname__", None) or getattr(origin, "__name__", None) or origin)
    if origin is tuple and hint is not tuple and not arguments:
        return "tuple[()]"
    return f"{name}[{', '.join(_labels(arguments, names))}]" if arguments else name


def _labels(arguments: Iterable[Any], names: Mapping[type, str]) -> list[str]:
    return [label(argument, names) for argument in arguments]
