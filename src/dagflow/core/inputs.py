"""Node introspection: the inputs of a node type, what may follow it, and how its body is to be called."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal

import attrs

from dagflow.core import hints
from dagflow.core.language_model import can_be_language_model
from dagflow.core.markers import DESCRIPTION, MARKER, UNSET, Dep, Gate, Recall
from dagflow.core.node import Node, has_empty_body
from dagflow.errors import GraphError

__all__ = ["Body", "Input", "body_of", "inputs", "instruction_of", "plain_names_required", "routes"]

Marker = Dep | Recall | Gate
KINDS: dict[type, Literal["dep", "recall", "gate"]] = {Dep: "dep", Recall: "recall", Gate: "gate"}


@attrs.frozen
class Input:
    """One field of a node type: its evaluated hint without markers, and where its value comes from.

    `alias` is the name that the constructor takes. `default` is `UNSET` where there is none; an
    `attrs.Factory` is given as it is.
    """

    name: str
    type: Any
    kind: Literal["plain", "dep", "recall", "gate"]
    marker: Marker | None
    description: str | None
    default: Any
    alias: str

    @property
    def required(self) -> bool:
        """Whether a value must be given, resolved or filled, because there is no default."""
        return self.default is UNSET


@attrs.frozen
class Body:
    """How a node's `__call__` is run: `empty` ones are routed by the engine.

    `lm_parameter` is the name of the parameter that takes the language model, if there is one.
    """

    empty: bool
    lm_parameter: str | None


def inputs(cls: type[Node], namespace: Mapping[str, Any] | None = None) -> tuple[Input, ...]:
    """Find the inputs of a node type, in the order of their declaration.

    Raises `GraphError` with every field whose hint or marker is wrong. Names that the class's module does
    not have are looked up in `namespace`; once found, they are remembered with the class.
    """
    known = cls.__dict__.get("__dagflow_inputs__")
    if known is not None:
        return typing.cast("tuple[Input, ...]", known)
    faults: list[str] = []
    found = tuple(_input(cls, attribute, namespace or {}, faults) for attribute in fields_of(cls))
    if faults:
        raise GraphError(faults, subject=cls.__name__)
    cls.__dagflow_inputs__ = found  # type: ignore[attr-defined]  # a cache that lives and dies with the class
    return found


def fields_of(cls: type[Node]) -> tuple[attrs.Attribute[Any], ...]:
    """The attrs fields of a node type, in the order of their declaration."""
    return tuple(cls.__attrs_attrs__)  # type: ignore[attr-defined]  # attrs gives it to the subclasses


def plain_names_required(cls: type[Node]) -> tuple[str, ...]:
    """The constructor names of the plain fields that have no default; none while hints cannot be evaluated."""
    known = cls.__dict__.get("__dagflow_required__")
    if known is not None:
        return typing.cast("tuple[str, ...]", known)
    try:
        found = inputs(cls)
    except GraphError:
        return ()  # Graph reports it, with the namespace that may mend it
    required = tuple(item.alias for item in found if item.kind == "plain" and item.required)
    cls.__dagflow_required__ = required  # type: ignore[attr-defined]  # as above
    return required


def instruction_of(cls: type[Node]) -> str:
    """What a language model is told to do when it fills `cls`: its configured instruction, or its name."""
    return cls.node_config.instruction or cls.__name__


def _namespaces(cls: type, namespace: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    # What was made by `exec` may have no module to be found, but its functions know their globals.
    body = inspect.unwrap(cls.__dict__.get("__call__", Node.__call__))
    own = getattr(body, "__globals__", {}) if body is not Node.__call__ else {}
    return [vars(cls), hints.module_namespace(cls), own, {cls.__name__: cls}, namespace]


def _defining_class(cls: type, field: str) -> type:
    """The class whose module knows the names in a field's hint."""
    for base in cls.__mro__:
        if field in inspect.get_annotations(base):
            return base
    return cls


def _input(cls: type[Node], attribute: attrs.Attribute[Any], namespace: Mapping[str, Any], faults: list[str]) -> Input:
    place = f"{cls.__name__}.{attribute.name}"
    owner = _defining_class(cls, attribute.name)
    namespaces = _namespaces(owner, namespace)
    hint = hints.evaluate_or_tell(attribute.type, namespaces, owner=place, what="hint", faults=faults)
    plain, metadata = hints.split_annotated(hint)
    marker = _marker(place, attribute, metadata, faults)
    return Input(
        name=attribute.name,
        type=plain,
        kind="plain" if marker is None else KINDS[type(marker)],
        marker=marker,
        description=attribute.metadata.get(DESCRIPTION),
        default=attribute.default,
        alias=attribute.alias or attribute.name,
    )


def _marker(place: str, attribute: attrs.Attribute[Any], metadata: tuple[Any, ...], faults: list[str]) -> Marker | None:
    if any(kind in metadata for kind in KINDS):
        faults.append(f"{place} is marked with a class; write Dep(fn), Recall() or Gate('...?')")
    found = [item for item in metadata if isinstance(item, Marker)]
    if MARKER in attribute.metadata:
        found.append(attribute.metadata[MARKER])
    if len(found) > 1:
        faults.append(f"{place} has {len(found)} markers ({', '.join(map(repr, found))}); keep one")
    return found[0] if found else None


def routes(cls: type[Node], namespace: Mapping[str, Any] | None = None) -> tuple[type[Node] | None, ...]:
    """Find what may follow a node, in the order of its `__call__` return hint; `None` stands for stopping.

    Raises `GraphError` naming the node where the hint is missing, cannot be evaluated or names what is no node.
    """
    known = cls.__dict__.get("__dagflow_routes__")
    if known is not None:
        return typing.cast("tuple[type[Node] | None, ...]", known)
    call: Any = cls.__call__
    if call is Node.__call__:
        raise _fault(cls, "has no __call__; write `async def __call__(self) -> None: ...` if it is terminal")
    annotation = inspect.unwrap(call).__annotations__.get("return", UNSET)
    if annotation is UNSET:
        raise _fault(cls, "has no return hint on __call__; name the nodes that may follow, or None")
    owner = next(base for base in cls.__mro__ if "__call__" in base.__dict__)
    scope = [*_namespaces(owner, namespace or {}), {"Self": typing.Self}]
    try:
        hint = hints.evaluate(annotation, scope)
    except NameError as error:
        raise _fault(
            cls,
            f"returns {show_annotation(annotation)}, where the name {error.name!r} is not known; "
            f"import it in the module, or pass namespace=locals()",
        ) from error
    except Exception as error:
        raise _fault(cls, f"has a return hint {annotation!r} that cannot be evaluated: {error}") from error
    members = tuple(_route(cls, member) for member in hints.union_members(hint))
    cls.__dagflow_routes__ = members  # type: ignore[attr-defined]  # a cache, as in `inputs`
    return members


def show_annotation(annotation: Any) -> str:
    """A hint as it was written: under `from __future__ import annotations` a quoted one has quotes twice."""
    return str(annotation).strip("'\"")


def _route(cls: type[Node], member: Any) -> type[Node] | None:
    if member is types.NoneType:
        return None
    if member is typing.Self:
        return cls
    if isinstance(member, type) and issubclass(member, Node) and member is not Node:
        return member
    raise _fault(cls, f"may return {hints.show(member)}, which is no node type; only nodes and None can follow")


def body_of(cls: type[Node], namespace: Mapping[str, Any] | None = None) -> Body:
    """Find out how to run a node's `__call__`.

    Raises `GraphError` naming the node where `__call__` is not `async def`, or asks for what it cannot get.
    """
    call: Any = cls.__call__
    function = inspect.unwrap(call)
    if inspect.isasyncgenfunction(function):
        raise _fault(cls, "has a __call__ that yields; it must return the next node instead")
    if not inspect.iscoroutinefunction(function) and not inspect.iscoroutinefunction(call):
        raise _fault(cls, "has a sync __call__; write `async def __call__`")
    return Body(has_empty_body(call), _lm_parameter(cls, call, namespace or {}))


def _lm_parameter(cls: type[Node], call: Any, namespace: Mapping[str, Any]) -> str | None:
    code = getattr(call, "__code__", None)
    if code is not None and code.co_argcount == 1 and not code.co_kwonlyargcount:
        return None  # nothing but `self`, as most have
    found: str | None = None
    for parameter in list(inspect.signature(call).parameters.values())[1:]:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if _is_language_model(cls, call, parameter, namespace):
            found = parameter.name
        elif parameter.default is parameter.empty:
            raise _fault(
                cls,
                f"has a __call__ parameter {parameter.name!r} that nothing can fill; "
                f"take the language model as `lm: LM`, and make any other input a field",
            )
    return found


def _is_language_model(cls: type[Node], call: Any, parameter: inspect.Parameter, namespace: Mapping[str, Any]) -> bool:
    """Recognise the parameter for the language model by its hint, or by the name `lm` where it has none.

    The protocol lives in a later layer, so that it is known here by what every language model can do. A hint
    that cannot be evaluated is often one imported for type checkers only.
    """
    if parameter.annotation is parameter.empty:
        return parameter.name == "lm"
    try:
        hint = hints.evaluate(parameter.annotation, _namespaces(cls, namespace))
    except NameError:
        return parameter.name == "lm"
    return any(map(can_be_language_model, hints.union_members(hint)))


def _fault(cls: type[Node], text: str) -> GraphError:
    return GraphError([f"{cls.__name__} {text}"], subject=cls.__name__)
