"""`Node`, the typed unit of work: a class that is its own inputs, and whose call hint names what may follow."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar, dataclass_transform

import attrs

from dagflow.core.language_model import check_language_model
from dagflow.core.markers import UNSET, dep, field, gate, recall, to_retry
from dagflow.types import Retry

if TYPE_CHECKING:
    from dagflow.core.tools import Tool

__all__ = ["Node", "NodeConfig", "has_empty_body"]


def as_tuple(tools: Iterable[Tool | Callable[..., Any]]) -> tuple[Tool | Callable[..., Any], ...]:
    return tuple(tools)


@attrs.frozen(kw_only=True)
class NodeConfig:
    """Settings of one node type, given as its class variable `node_config`.

    `lm` fills and routes this node instead of the run's language model. `instruction` replaces the class name
    as what the model is told to do. `timeout` is in seconds and bounds each attempt of one activation: its
    dependencies, its model calls and its body. `retry` is a `Retry` or a number of attempts, and
    `max_concurrency` bounds how many activations of the node run at once.

    `tools` are what the model may call while it fills the node: functions whose parameters are annotated, or
    `Tool`s. After `max_tool_turns` turns of calls the model has to answer.
    """

    lm: Any = attrs.field(default=None, repr=False, validator=lambda _, __, lm: check_language_model(lm))
    instruction: str | None = None
    timeout: float | None = attrs.field(default=None, validator=attrs.validators.optional(attrs.validators.gt(0)))
    retry: Retry | None = attrs.field(default=None, converter=to_retry)
    max_concurrency: int | None = attrs.field(default=None, validator=attrs.validators.optional(attrs.validators.ge(1)))
    tools: tuple[Tool | Callable[..., Any], ...] = attrs.field(default=(), converter=as_tuple)
    max_tool_turns: int = attrs.field(default=10, validator=attrs.validators.ge(1))


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(field, dep, recall, gate))
class Node:
    """Base of all nodes: subclassing it makes a frozen, keyword-only attrs class.

    Annotated fields are the node's inputs: `Dep` and `Recall` fields are resolved by the engine, `Gate` fields
    answered by a person, and all three may be left out when a node is constructed; the others are plain, given by
    the caller on the start node and filled by the language model elsewhere. The return hint of `async def __call__`
    names what may follow. A `...` body leaves the choice to the engine; any other body decides for itself, and may
    take the language model by type (`lm: LM`).
    """

    node_config: ClassVar[NodeConfig] = NodeConfig()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # slots would make a second class, and a class that appears twice is two nodes
        attrs.frozen(cls, slots=False, kw_only=True, field_transformer=_allow_unset)

    def __attrs_pre_init__(self, **given: Any) -> None:
        for value in given.values():
            if value is UNSET:
                _refuse_missing(type(self), given)
                return

    async def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Decide what follows; see the class. The signature lets an override take nothing, or an LM."""
        raise NotImplementedError(f"{type(self).__name__} has no __call__ of its own")


def _allow_unset(cls: type, fields: list[attrs.Attribute[Any]]) -> list[attrs.Attribute[Any]]:
    """Give every field without a default the default `UNSET`.

    Which fields the engine fills may be hidden in hints that cannot be evaluated while the class is being
    made, so that missing plain fields are looked for when a node is constructed.
    """
    return [
        _tolerate_unset(attribute.evolve(default=UNSET)) if attribute.default is attrs.NOTHING else attribute
        for attribute in fields
    ]


def _tolerate_unset(attribute: attrs.Attribute[Any]) -> attrs.Attribute[Any]:
    if attribute.validator is not None:
        attribute = attribute.evolve(validator=_validator_of_set_values(attribute.validator))
    if attribute.converter is not None:
        attribute = attribute.evolve(converter=_converter_of_set_values(attribute.converter))
    return attribute


@attrs.frozen
class _validator_of_set_values:  # noqa: N801  # attrs names its validators so, and schemas look inside
    """An attrs validator that lets `UNSET` pass; `validator` is the one that the user wrote."""

    validator: Callable[[Any, Any, Any], None]

    def __call__(self, instance: Any, attribute: Any, value: Any) -> None:
        if value is not UNSET:
            self.validator(instance, attribute, value)


def _converter_of_set_values(converter: Any) -> Any:
    if isinstance(converter, attrs.Converter):
        return attrs.Converter(_call_converter(converter), takes_self=True, takes_field=True)
    return lambda value: value if value is UNSET else converter(value)


def _call_converter(converter: Any) -> Callable[[Any, Any, Any], Any]:
    def convert(value: Any, instance: Any, attribute: Any) -> Any:
        if value is UNSET:
            return value
        extra = [instance] * converter.takes_self + [attribute] * converter.takes_field
        return converter.converter(value, *extra)

    return convert


def _refuse_missing(cls: type[Node], given: dict[str, Any]) -> None:
    from dagflow.core.inputs import plain_names_required

    missing = [repr(name) for name in plain_names_required(cls) if given.get(name) is UNSET]
    if missing:
        plural = "s" if len(missing) > 1 else ""
        raise TypeError(
            f"{cls.__name__}() missing {len(missing)} required keyword-only argument{plural}: {', '.join(missing)}"
        )


def has_empty_body(function: Callable[..., Any]) -> bool:
    """Tell whether a function's body is `...`, `pass` or a docstring, without its source.

    All of these compile to the same code, which is compared with that of two functions known to be empty; so
    it works in a REPL, a notebook and `exec` too. A lone `return None` compiles to it as well.
    """
    code = getattr(inspect.unwrap(function), "__code__", None)
    return code is not None and code.co_code in _EMPTY_CODES


def _code(source: str) -> bytes:
    namespace: dict[str, Any] = {}
    exec(source, namespace)
    return bytes(namespace["f"].__code__.co_code)


_EMPTY_CODES = {_code(f"{kind} f():\n  {body}") for kind in ("def", "async def") for body in ("pass", "'A docstring.'")}
