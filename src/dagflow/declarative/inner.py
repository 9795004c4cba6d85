"""A node inside of another (`map`, `race`), run as a nested run of one node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from dagflow.declarative.bodies.body import NodeCall
from dagflow.declarative.expressions import Scope
from dagflow.declarative.front import YamlRun
from dagflow.declarative.node import YamlNode
from dagflow.declarative.state import StateSchema
from dagflow.kernel.engine import Program
from dagflow.kernel.run import Run, RunSettings

__all__ = ["Inner"]

SETTINGS = RunSettings(max_steps=None)


@attrs.frozen(eq=False)
class Inner:
    """A node and the program of it alone. It sees the state as the node around it does, and writes nothing there."""

    node: YamlNode
    program: Program
    schema: StateSchema

    async def run(
        self, call: NodeCall, name: str, names: Mapping[str, Any], identity: Any, *, siblings: int = 1
    ) -> Mapping[str, Any]:
        """Run it under `name`, with `names` beside the state; gives what it wrote.

        `identity` tells it from others in the journal: a resume goes on with what was recorded of the same.
        `siblings` is how many of them there are.
        """
        scope = Scope(state=call.scope.state, locals=names)
        front = YamlRun({self.node.name: self.node}, self.schema, {}, call.front.models, outer=scope, identity=identity)
        run = Run(attrs.evolve(self.program, name=name), front, SETTINGS)
        with run.journal.part(run.id, of=siblings):
            await run.execute()
        return front.last_writes

    def result_of(self, writes: Mapping[str, Any]) -> Any:
        """The one value that it wrote, all of them by key where there are several, `None` where there is none."""
        if len(writes) == 1:
            (value,) = writes.values()
            return value
        return dict(writes) or None
