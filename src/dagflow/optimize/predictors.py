"""Optimised prompts: an instruction and demonstrations for one task, as plain data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import attrs

from dagflow.lm.dspy.forms import AnswerForm
from dagflow.optimize.tasks import LMTask

__all__ = ["Predictor", "predictor_of"]


@attrs.frozen
class Predictor:
    """What an optimiser made of a task: the state of a DSPy signature, and demonstrations.

    `signature` holds the instructions and the prefix and description of each field; `demos` the demonstrations, by
    the names of the fields. Both are JSON-able.
    """

    task: LMTask
    signature: Mapping[str, Any]
    demos: tuple[Mapping[str, Any], ...]

    @property
    def instructions(self) -> str:
        """The instructions that the optimiser arrived at."""
        return str(self.signature["instructions"])

    @property
    def form(self) -> AnswerForm:
        """The form of the task with the optimised signature in it."""
        form = self.task.form
        return attrs.evolve(form, signature=form.signature.load_state(self.signature))

    def dump(self) -> dict[str, Any]:
        """Write it as JSON-able data."""
        return {"signature": self.signature, "demos": list(self.demos)}

    @classmethod
    def load(cls, task: LMTask, data: Any) -> Predictor:
        """Read what `dump` wrote; raises `ValueError` for anything else."""
        try:
            instructions, fields = data["signature"]["instructions"], data["signature"]["fields"]
            demos = tuple(dict(demo) for demo in data["demos"])
            kept = [{"prefix": str(field["prefix"]), "description": str(field["description"])} for field in fields]
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"the predictor of {task.key} is damaged ({type(error).__name__}: {error})") from error
        if not isinstance(instructions, str) or len(kept) != len(task.form.signature.fields):
            raise ValueError(f"the predictor of {task.key} is damaged: its signature does not fit")
        return cls(task, {"instructions": instructions, "fields": kept}, demos)


def predictor_of(task: LMTask, predict: Any) -> Predictor:
    """Take what was optimised out of a DSPy `Predict`.

    Raises `ValueError` for demonstrations that are no plain data, and so could not be saved.
    """
    state = predict.dump_state()
    known = set(task.form.signature.fields) | {"augmented"}
    demos = [{name: value for name, value in dict(demo).items() if name in known} for demo in state["demos"]]
    try:
        plain = json.loads(json.dumps({"signature": state["signature"], "demos": demos}))
    except (TypeError, ValueError) as error:
        raise ValueError(f"the optimiser gave {task.key} demonstrations that are no JSON: {error}") from error
    return Predictor(task, plain["signature"], tuple(plain["demos"]))
