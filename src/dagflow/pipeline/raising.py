"""Recording what a step raised: its traceback goes into the journal, and the secrets of the run go nowhere."""

from __future__ import annotations

import traceback

from dagflow.errors import describe
from dagflow.events import NodeRaised
from dagflow.pipeline.steps import StepCall

__all__ = ["told_by"]

LONGEST = 16_000
"""Characters of a traceback that are recorded."""


def told_by(call: StepCall, error: Exception) -> Exception:
    """Record that an attempt raised, and give the exception as it may be told: without the secrets of the run."""
    masking = call.front.shared.masking
    text = "".join(traceback.format_exception(error))
    told = masking.error(error)
    text = masking.text(text)
    if len(text) > LONGEST:
        text = f"{text[: LONGEST // 4]}\n...\n{text[-3 * LONGEST // 4 :]}"
    call.context.record(NodeRaised, attempt=call.context.attempt, error=describe(told), traceback=text)
    return told
