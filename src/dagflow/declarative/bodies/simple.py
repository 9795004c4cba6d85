"""Nodes that compute, run a program, or ask a person: `passthrough`, `shell` and `interrupt`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from dagflow.declarative.bodies.body import NodeCall, Outcome
from dagflow.declarative.expressions import Template, ValueTemplate
from dagflow.declarative.shell import ShellCommand, run_shell
from dagflow.kernel.calling import under_permit
from dagflow.kernel.interruption import Interruption
from dagflow.types import Interrupt

__all__ = ["Ask", "Compute", "RunProgram"]


@attrs.frozen(eq=False)
class Compute:
    """Write values that are worked out from the state."""

    output: Mapping[str, ValueTemplate]

    async def __call__(self, call: NodeCall) -> Outcome:
        """Evaluate every template over the state as the node sees it."""
        return Outcome({key: template.evaluate(call.scope) for key, template in self.output.items()})


@attrs.frozen(eq=False)
class Ask:
    """Ask a person, and write the answer to the resume key."""

    message: Template
    resume_key: str
    type: str
    schema: Mapping[str, Any]

    async def __call__(self, call: NodeCall) -> Outcome:
        """Give the answer where there is one; raises `Interruption` with the question where there is none."""
        context = call.context
        id = context.interrupt_id(self.resume_key)
        answered = call.front.answers.get(id)
        if answered is not None:
            return Outcome({**answered.state, self.resume_key: answered.answer})
        question = self.message.evaluate(call.scope)
        interrupt = Interrupt(
            id=id,
            question=question if isinstance(question, str) else str(question),
            run=context.run.id,
            node=context.node,
            activation=context.activation,
            field=self.resume_key,
            type=self.type,
            schema=self.schema,
        )
        raise Interruption([interrupt])


@attrs.frozen(eq=False)
class RunProgram:
    """Run a program without a shell, and write what it printed."""

    command: ShellCommand
    cwd: Path
    state_key: str | None

    async def __call__(self, call: NodeCall) -> Outcome:
        """Run it to its end; cancelled, it is ended with all that it started."""
        ready = self.command.fill(call.scope)
        result = await under_permit(call.context, lambda: run_shell(ready, cwd=self.cwd))
        return Outcome({self.state_key: result} if self.state_key is not None else {})
