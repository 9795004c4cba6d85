"""What follows a node of a YAML graph: its edges, its loop limit, and the way out of its loop."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from dagflow.declarative.expressions import Expression, ExpressionError, Scope
from dagflow.errors import NodeError

__all__ = ["END", "START_NAME", "ConditionalEdge", "LoopLimit", "Routing"]

END = "END"
START_NAME = "START"


@attrs.frozen(eq=False)
class ConditionalEdge:
    """An edge that is taken where its condition holds; `targets` are without END."""

    condition: Expression
    targets: tuple[str, ...]


@attrs.frozen(eq=False)
class LoopLimit:
    """How often a node may run, which targets lead back into its loop, and where to go instead (`None`: nowhere)."""

    limit: int
    back: frozenset[str]
    exit: tuple[str, ...] | None


@attrs.frozen(eq=False)
class Routing:
    """The edges of one node: conditions in the order of the file, then what follows where none holds.

    `otherwise` is `None` where every edge has a condition.
    """

    node: str
    conditional: Sequence[ConditionalEdge] = ()
    otherwise: tuple[str, ...] | None = None
    limit: LoopLimit | None = None

    @property
    def targets(self) -> tuple[str, ...]:
        """Every node that may follow, each once."""
        found = [target for edge in self.conditional for target in edge.targets]
        found += self.otherwise or ()
        if self.limit is not None:
            found += self.limit.exit or ()
        return tuple(dict.fromkeys(found))

    @property
    def always(self) -> bool:
        """Whether the same nodes follow each time."""
        return not self.conditional and self.limit is None

    def follow(self, scope: Scope, turn: int) -> tuple[str, ...]:
        """Say what follows an activation; raises `NodeError` where no edge does, or a condition cannot be evaluated."""
        return self.limited(self._matching(scope), turn)

    def limited(self, targets: tuple[str, ...], turn: int) -> tuple[str, ...]:
        """Take the way out of the loop where the limit is reached and `targets` lead back into it."""
        limit = self.limit
        if limit is None or turn < limit.limit or limit.back.isdisjoint(targets):
            return targets
        if limit.exit is not None:
            return tuple(dict.fromkeys([*(target for target in targets if target not in limit.back), *limit.exit]))
        back = ", ".join(target for target in targets if target in limit.back)
        raise NodeError(
            f"node {self.node} has run {turn} times, which is its loop limit, and would lead back to {back}; "
            f"name a way out under loop_exits, or raise its loop_limits",
            node=self.node,
        )

    def _matching(self, scope: Scope) -> tuple[str, ...]:
        for edge in self.conditional:
            try:
                holds = edge.condition.evaluate(scope)
            except ExpressionError as error:
                message = f"the condition {edge.condition.source!r} of an edge from {self.node}: {error}"
                raise NodeError(message, node=self.node) from error
            if holds:
                return edge.targets
        if self.otherwise is not None:
            return self.otherwise
        tried = ", ".join(repr(edge.condition.source) for edge in self.conditional)
        raise NodeError(
            f"no edge of node {self.node} matches (tried {tried}); add an edge without a condition, as the default",
            node=self.node,
        )
