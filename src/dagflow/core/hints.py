"""Type hints: evaluating them, comparing them, and testing values against them."""

from __future__ import annotations

import collections.abc
import sys
import types
import typing
from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import lru_cache, wraps
from typing import Annotated, Any, Literal, NewType, ParamSpec, TypeVar, Union, cast, get_args, get_origin

__all__ = [
    "cached_by_hint",
    "evaluate",
    "evaluate_or_tell",
    "is_assignable",
    "is_instance",
    "show",
    "split_annotated",
    "union_members",
]

P = ParamSpec("P")
R = TypeVar("R")


def evaluate(hint: Any, namespaces: Iterable[Mapping[str, Any]]) -> Any:
    """Evaluate a hint that may be a string, or hold strings, looking names up in each namespace in turn.

    Raises `NameError` for a name that none of them has, and whatever else evaluating the hint raises.
    """
    if not isinstance(hint, str) and not _holds_forward_reference(hint):
        return hint

    def holder() -> None: ...

    holder.__annotations__ = {"hint": hint}
    # The namespaces are not merged: that of a module with many names would be copied for each of its hints.
    names = ChainMap(*(cast("dict[str, Any]", namespace) for namespace in namespaces))
    return typing.get_type_hints(holder, globalns={}, localns=names, include_extras=True)["hint"]


def evaluate_or_tell(
    hint: Any, namespaces: Iterable[Mapping[str, Any]], *, owner: str, what: str, faults: list[str]
) -> Any:
    """Evaluate `what` of an owner, its hint say; `Any` where it cannot be, and why is added to `faults`."""
    try:
        return evaluate(hint, namespaces)
    except NameError as error:
        faults.append(
            f"{owner}: the name {error.name!r} in its {what} is not known; "
            f"import it in the module, or pass namespace=locals()"
        )
    except Exception as error:
        faults.append(f"{owner}: its {what} {hint!r} cannot be evaluated: {error}")
    return Any


def cached_by_hint(maxsize: int) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Remember the results of a function whose first argument is a hint, as `functools.lru_cache` does.

    Hints that are equal need not be the same: `int | str` is equal to `str | int`, and literals are compared as sets.
    What is made of one must not depend on which was asked for first. Raises `TypeError` for a hint that cannot be
    hashed.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @lru_cache(maxsize)
        def cached(order: str, *arguments: Any) -> Any:
            return function(*arguments)  # type: ignore[call-arg]  # those of the caller

        @wraps(function)
        def call(*arguments: P.args, **named: P.kwargs) -> R:
            hint = arguments[0]
            found: R = cached("" if isinstance(hint, type) else repr(hint), *arguments)
            return found

        return call

    return decorate


def _holds_forward_reference(hint: Any) -> bool:
    if isinstance(hint, (str, typing.ForwardRef)):
        return True
    if get_origin(hint) is Literal:
        return False
    if get_origin(hint) is Annotated:
        return _holds_forward_reference(hint.__origin__)
    arguments = get_args(hint)
    return any(
        any(map(_holds_forward_reference, argument))
        if isinstance(argument, list)
        else _holds_forward_reference(argument)
        for argument in arguments
    )


def module_namespace(owner: object) -> Mapping[str, Any]:
    """The globals of the module that a class or function was defined in (empty where it has none)."""
    module = sys.modules.get(getattr(owner, "__module__", None) or "")
    return vars(module) if module is not None else {}


def split_annotated(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """Split `Annotated[T, ...]` into `T` and its metadata."""
    if get_origin(hint) is Annotated:
        return hint.__origin__, hint.__metadata__
    return hint, ()


def union_members(hint: Any) -> tuple[Any, ...]:
    """The members of a union, flattened; of any other hint, the hint itself. `None` is given as `NoneType`."""
    hint, _ = split_annotated(hint)
    if hint is None:
        return (types.NoneType,)
    if get_origin(hint) in (Union, types.UnionType):
        return tuple(member for argument in get_args(hint) for member in union_members(argument))
    return (hint,)


def show(hint: Any) -> str:
    """Write a hint the way that its author would: `list[str]`, `Weather | None`."""
    members = union_members(hint)
    if len(members) != 1:
        return " | ".join(map(show, members))
    member: Any = members[0]
    if member is types.NoneType:
        return "None"
    if member is ...:
        return "..."
    origin, arguments = get_origin(member), get_args(member)
    if origin is Literal:
        return f"Literal[{', '.join(map(repr, arguments))}]"
    if origin is None:
        return str(getattr(member, "__name__", None) or repr(member).removeprefix("typing."))
    inner = ", ".join("[...]" if isinstance(argument, list) else show(argument) for argument in arguments)
    return f"{getattr(origin, '__name__', origin)}[{inner}]"


def is_assignable(source: Any, target: Any) -> bool:
    """Tell whether a value of the hint `source` may stand where `target` is asked for.

    Follows the typing rules as far as run time can see them. Containers are compared covariantly, and what
    cannot be decided (type variables, structural protocols) counts as assignable: a wrong alarm would
    refuse a good graph, while a miss is caught when the value arrives.
    """
    source, target = _plain(source), _plain(target)
    if target is Any or source is Any or target is object or source == target:
        return True
    sources = union_members(source)
    if len(sources) != 1:
        return all(is_assignable(member, target) for member in sources)
    targets = union_members(target)
    if len(targets) != 1:
        return any(is_assignable(source, member) for member in targets)
    source, target = sources[0], targets[0]
    if source in (typing.Never, typing.NoReturn):
        return True
    if get_origin(source) is Literal:
        return _literal_is_assignable(source, target)
    if get_origin(target) is Literal:
        return False
    return _class_is_assignable(source, target)


def _plain(hint: Any) -> Any:
    hint, _ = split_annotated(hint)
    if hint is None:
        return types.NoneType
    if isinstance(hint, TypeVar):
        return hint.__bound__ or Any
    alias = getattr(typing, "TypeAliasType", None)
    if alias is not None and isinstance(hint, alias):
        return _plain(hint.__value__)
    return hint


def _literal_is_assignable(source: Any, target: Any) -> bool:
    if get_origin(target) is Literal:
        return set(get_args(source)) <= set(get_args(target))
    return all(is_assignable(type(value), target) for value in get_args(source))


def _class_is_assignable(source: Any, target: Any) -> bool:
    if isinstance(target, NewType):
        return source is target
    if isinstance(source, NewType):
        return is_assignable(source.__supertype__, target)
    source_class: Any = get_origin(source) or source
    target_class: Any = get_origin(target) or target
    if not isinstance(source_class, type) or not isinstance(target_class, type):
        return True
    if target_class is collections.abc.Callable:
        return True
    if target_class is float and source_class is int:
        return True
    if not _is_subclass(source_class, target_class):
        return False
    return _arguments_are_assignable(source, source_class, target, target_class)


def _is_subclass(source: type, target: type) -> bool:
    if getattr(target, "_is_protocol", False) or typing.is_typeddict(target):
        # Structure cannot be judged from a class object alone.
        return not typing.is_typeddict(target) or source is target or issubclass(source, dict)
    with suppress(TypeError):
        return issubclass(source, target)
    return True


def _arguments_are_assignable(source: Any, source_class: type, target: Any, target_class: type) -> bool:
    wanted = get_args(target)
    given = get_args(source)
    if not wanted or not given:
        return True  # a bare `list` is `list[Any]`; a subclass may fix the arguments out of our sight
    if source_class is tuple:
        return _tuple_is_assignable(given, wanted, target_class)
    if target_class is type:
        return True
    if len(given) != len(wanted):
        return True
    return all(map(is_assignable, given, wanted))


def _tuple_is_assignable(given: tuple[Any, ...], wanted: tuple[Any, ...], target_class: type) -> bool:
    items = given[:1] if given[-1:] == (...,) else given
    if target_class is not tuple or wanted[-1:] == (...,):
        return all(is_assignable(item, wanted[0]) for item in items)
    if given[-1:] == (...,):
        return False
    return len(given) == len(wanted) and all(map(is_assignable, given, wanted))


def is_instance(value: object, hint: Any, *, deep: bool = False) -> bool:
    """Tell whether `value` fits `hint`; the items of containers are looked at only where `deep` is set."""
    hint = _plain(hint)
    members = union_members(hint)
    if len(members) != 1:
        return any(is_instance(value, member, deep=deep) for member in members)
    hint = members[0]
    if isinstance(hint, NewType):
        return is_instance(value, hint.__supertype__, deep=deep)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return any(value == choice and type(value) is type(choice) for choice in arguments)
    expected = origin or hint
    if expected is Any or not isinstance(expected, type):
        return True
    if not _value_is_of(value, expected):
        return False
    return not deep or not arguments or _items_fit(value, arguments)


def _value_is_of(value: object, expected: type) -> bool:
    if typing.is_typeddict(expected):
        return isinstance(value, dict)
    if expected is float and type(value) is int:
        return True
    if getattr(expected, "_is_protocol", False) and not getattr(expected, "_is_runtime_protocol", False):
        return True
    return isinstance(value, expected)


def _items_fit(value: object, arguments: tuple[Any, ...]) -> bool:
    if isinstance(value, tuple):
        if arguments[-1:] == (...,):
            return all(is_instance(item, arguments[0], deep=True) for item in value)
        return len(value) == len(arguments) and all(
            is_instance(item, argument, deep=True) for item, argument in zip(value, arguments, strict=True)
        )
    if isinstance(value, collections.abc.Mapping):
        return len(arguments) != 2 or all(
            is_instance(key, arguments[0], deep=True) and is_instance(item, arguments[1], deep=True)
            for key, item in value.items()
        )
    if isinstance(value, collections.abc.Collection) and not isinstance(value, (str, bytes)):
        return all(is_instance(item, arguments[0], deep=True) for item in value)
    return True


def value_test(hint: Any) -> Callable[[object], bool] | None:
    """Prepare `is_instance(value, hint)` for many values; `None` where every value fits.

    A plain class, which nearly every hint is, is tested by one `isinstance`.
    """
    hint = _plain(hint)
    if hint is Any or hint is object:
        return None
    if isinstance(hint, type) and hint is not float and not _is_special(hint):
        plain: type = hint
        return lambda value: isinstance(value, plain)
    return lambda value: is_instance(value, hint)


def _is_special(hint: type) -> bool:
    return bool(get_args(hint)) or typing.is_typeddict(hint) or getattr(hint, "_is_protocol", False)
