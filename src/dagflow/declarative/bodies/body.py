"""What a body is given, and what it gives."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import attrs

from dagflow.core.schedule import Activation
from dagflow.declarative.expressions import Scope
from dagflow.kernel.context import ActivationContext
from dagflow.lm.base import BaseLM

if TYPE_CHECKING:
    from dagflow.declarative.front import YamlRun

__all__ = ["Body", "NodeCall", "Outcome"]


@attrs.frozen(eq=False)
class NodeCall:
    """One attempt of one activation. `lm` is the model that stands in for the node's own, in a fallback."""

    activation: Activation
    context: ActivationContext
    front: YamlRun
    scope: Scope
    lm: BaseLM | None = None


@attrs.frozen(eq=False)
class Outcome:
    """What a body came to: what it writes, and the nodes that follow where it decides that itself."""

    writes: Mapping[str, Any] = attrs.field(factory=dict)
    targets: tuple[str, ...] | None = None


class Body(Protocol):
    """Does the work of a node; it may be called several times, also at once."""

    def __call__(self, call: NodeCall, /) -> Awaitable[Outcome]:
        """Do the work; raises what makes the attempt fail."""
        ...
