"""Nodes that hold others: `map`, `race` and `subgraph`. What they hold runs as nested runs, recorded on their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import attrs

from dagflow.core.fitting import fit
from dagflow.core.unstructure import unstructure
from dagflow.declarative.bodies.body import NodeCall, Outcome
from dagflow.declarative.expressions import Scope, Template, ValueTemplate
from dagflow.errors import NodeError
from dagflow.kernel.parts import parts_failed, run_parts

if TYPE_CHECKING:
    from dagflow.declarative.graph import YamlGraph
    from dagflow.declarative.inner import Inner
    from dagflow.graph.graph import Graph

__all__ = ["MapItems", "Race", "RunTypedGraph", "RunYamlGraph"]


@attrs.frozen(eq=False)
class MapItems:
    """Run a node for each item, many at once; an item that asks a person lets the others go on."""

    over: Template
    name: str
    index: str | None
    inner: Inner
    collect: str | None
    limit: int

    async def __call__(self, call: NodeCall) -> Outcome:
        """Run what is not recorded yet; raises what the items that failed raised, `Interruption` where some ask."""
        items = self._items(call)
        run = partial(self._item, call, len(items))
        results = await run_parts(call.activation.node, run, enumerate(items), limit=self.limit)
        return Outcome({self.collect: results} if self.collect is not None else {})

    def _items(self, call: NodeCall) -> Sequence[Any]:
        items = self.over.evaluate(call.scope)
        if isinstance(items, (list, tuple)):
            return items
        raise NodeError(
            f"map {call.activation.node} is over {self.over.source}, which is a {type(items).__name__} and no list",
            node=call.activation.node,
        )

    async def _item(self, call: NodeCall, count: int, numbered: tuple[int, Any]) -> Any:
        index, item = numbered
        names = {**call.scope.locals, self.name: item}
        if self.index is not None:
            names[self.index] = index
        writes = await self.inner.run(call, f"{call.activation.node}[{index}]", names, item, siblings=count)
        return self.inner.result_of(writes)


@attrs.frozen(eq=False)
class Race:
    """Run nodes at once and take the first that succeeds; the others are cancelled, and their clean-up is awaited."""

    inners: Mapping[str, Inner]
    state_key: str | None
    winner_key: str | None

    async def __call__(self, call: NodeCall) -> Outcome:
        """Race; raises `NodeError` with every failure where none succeeds."""
        won: dict[str, Any] = {}
        failed: dict[str, Exception] = {}

        async def race(name: str, inner: Inner) -> None:
            try:
                writes = await inner.run(call, f"{call.activation.node}.{name}", call.scope.locals, name)
            except Exception as error:
                failed[name] = error
                return
            if not won:
                won[name] = inner.result_of(writes)
                group.cancel_scope.cancel()

        async with anyio.create_task_group() as group:
            for name, inner in self.inners.items():
                group.start_soon(race, name, inner)
        if not won:
            raise parts_failed(call.activation.node, list(failed.values()), list(failed))
        ((winner, value),) = won.items()
        writes = {self.state_key: value} if self.state_key is not None else {}
        return Outcome({**writes, self.winner_key: winner} if self.winner_key is not None else writes)


@attrs.frozen(eq=False)
class Output:
    """Which keys of an inner graph's end become which of the outer one's state."""

    keys: Mapping[str, str]
    state_key: str | None

    def writes(self, found: Mapping[str, Any], call: NodeCall, graph: str) -> dict[str, Any]:
        """Pick them; raises `NodeError` for one that the inner graph has not written."""
        writes: dict[str, Any] = {}
        for key, inner in self.keys.items():
            if inner not in found:
                raise NodeError(
                    f"subgraph {graph} ended without {inner!r}, which {key!r} is to get; it has {', '.join(found)}",
                    node=call.activation.node,
                )
            writes[key] = found[inner]
        return {self.state_key: dict(found), **writes} if self.state_key is not None else writes


@attrs.frozen(eq=False)
class RunYamlGraph:
    """Run another YAML graph as a nested run. Without an `input` it begins with the keys that both declare."""

    graph: YamlGraph
    input: Mapping[str, ValueTemplate] | None
    output: Output

    async def __call__(self, call: NodeCall) -> Outcome:
        """Run it to its end; its questions are those of this run."""
        scope = call.scope
        if self.input is None:
            given = {key: scope.state[key] for key in self.graph.schema.keys if key in scope.state}
        else:
            given = {key: template.evaluate(scope) for key, template in self.input.items()}
        state = await self.graph.run_nested(given, call.front.models)
        return Outcome(self.output.writes(state, call, self.graph.name))


@attrs.frozen(eq=False)
class RunTypedGraph:
    """Run a typed graph as a nested run; its end is the last node's fields, as JSON."""

    graph: Graph
    fields: Mapping[str, Any]
    input: Mapping[str, ValueTemplate] | None
    output: Output

    async def __call__(self, call: NodeCall) -> Outcome:
        """Make the start node and run it to the end."""
        given = self._given(call.scope)
        values = {name: fit(value, self.fields[name]) for name, value in given.items()}
        result = await self.graph.run(self.graph.start(**values), lm=call.lm or call.front.models.default)
        found = unstructure(result.node)
        fields = found if isinstance(found, dict) else {}
        return Outcome(self.output.writes(fields, call, self.graph.name))

    def _given(self, scope: Scope) -> dict[str, Any]:
        if self.input is None:
            return {name: scope.state[name] for name in self.fields if name in scope.state}
        return {key: template.evaluate(scope) for key, template in self.input.items()}
