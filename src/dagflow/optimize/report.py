"""What an optimisation came to."""

from __future__ import annotations

import attrs

from dagflow.types import Usage

__all__ = ["NodeReport", "OptimizationReport"]


@attrs.frozen
class NodeReport:
    """What became of one task: `reason` says why it was left as it was, and is empty where it was optimised.

    `key` is the name of the node that is filled, or that of the node which is left with `.choice` after it;
    `examples` is how many there were, `demos` how many demonstrations its prompt has now.
    """

    key: str
    examples: int
    demos: int = 0
    reason: str = ""

    @property
    def optimized(self) -> bool:
        """Whether its prompt was optimised."""
        return not self.reason

    def __str__(self) -> str:
        outcome = f"optimised, {self.demos} demonstrations" if self.optimized else f"left as it was: {self.reason}"
        return f"{self.key}: {self.examples} examples, {outcome}"


@attrs.frozen
class OptimizationReport:
    """What became of each task of a graph, and what the optimiser's requests used."""

    nodes: tuple[NodeReport, ...]
    usage: Usage

    @property
    def optimized(self) -> tuple[str, ...]:
        """The keys of the tasks that were optimised."""
        return tuple(node.key for node in self.nodes if node.optimized)

    def __str__(self) -> str:
        return "\n".join(map(str, self.nodes))
