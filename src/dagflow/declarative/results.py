"""What a run of a YAML graph came to."""

from __future__ import annotations

from typing import Any

import attrs

from dagflow.events import Event
from dagflow.kernel.account import RunAccount
from dagflow.types import Interrupt, Outcome

__all__ = ["YamlResult", "describe_interrupt"]


@attrs.frozen(eq=False, slots=False)
class YamlResult(RunAccount):
    """The state at the end of a run, or where it waits for answers, and the events that tell the rest.

    `status` is `"complete"` or `"interrupted"`: a run that fails or is cancelled raises instead. `thread_id` names the
    journal where the run is recorded, and is empty where it is not.
    """

    status: Outcome
    state: dict[str, Any]
    run: str
    events: tuple[Event, ...] = attrs.field(repr=False)
    thread_id: str = ""
    interrupts: tuple[Interrupt, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The result as plain data: `status`, `state`, and `thread_id` where there is one.

        An interrupted run also has `interrupts`, each with `id`, `resume_key`, `message`, `node`, `type` and `schema`,
        and the `resume_key` and `message` of the first.
        """
        found: dict[str, Any] = {"status": self.status, "state": self.state}
        if self.thread_id:
            found["thread_id"] = self.thread_id
        if self.status == "interrupted":
            asked = [describe_interrupt(interrupt) for interrupt in self.interrupts]
            first = asked[0] if asked else {"resume_key": None, "message": ""}
            found |= {"resume_key": first["resume_key"], "message": first["message"], "interrupts": asked}
        return found


def describe_interrupt(interrupt: Interrupt) -> dict[str, Any]:
    """An open question as plain data, as whoever answers needs it."""
    return {
        "id": interrupt.id,
        "resume_key": interrupt.field,
        "message": interrupt.question,
        "node": interrupt.node,
        "type": interrupt.type,
        "schema": dict(interrupt.schema),
    }
