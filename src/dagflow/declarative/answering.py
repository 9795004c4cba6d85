"""Answers to the questions of a run, given by resume key or by the id of the interrupt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dagflow.core.structure import nearest
from dagflow.declarative.recording import Answered
from dagflow.declarative.state import StateError, StateSchema
from dagflow.errors import AnswerError, InvalidField
from dagflow.types import Interrupt

__all__ = ["answers_by_id"]


def answers_by_id(
    given: Mapping[str, Any], interrupts: Mapping[str, Interrupt], schema: StateSchema, thread_id: str
) -> dict[str, Any]:
    """Sort what was given: answers by the id of their interrupt, and other state keys with the first of them.

    Raises `AnswerError` for a key that is neither, for a resume key that several questions have, and for state where
    no question of the run itself is answered.
    """
    invalid: list[InvalidField] = []
    answers: dict[str, Any] = {}
    state: dict[str, Any] = {}
    for key, value in given.items():
        named = [key] if key in interrupts else [name for name, asked in interrupts.items() if asked.field == key]
        if len(named) == 1:
            answers[named[0]] = value
        elif named:
            invalid.append(InvalidField(key, f"{len(named)} questions have it; answer by id: {', '.join(named)}"))
        elif key in schema.known:
            state[key] = value
        else:
            known = [*interrupts, *(asked.field for asked in interrupts.values()), *schema.known]
            near = nearest(key, known)
            invalid.append(InvalidField(key, f"it is no open question and no key of the state{near}"))
    if state and not invalid:
        _attach(state, answers, interrupts, schema, invalid)
    if invalid:
        waits = ", ".join(f"{name} ({asked.question!r})" for name, asked in interrupts.items()) or "nothing"
        problems = "; ".join(map(str, invalid))
        raise AnswerError(f"thread {thread_id} waits for {waits}: {problems}", invalid=invalid)
    return answers


def _attach(
    state: Mapping[str, Any],
    answers: dict[str, Any],
    interrupts: Mapping[str, Interrupt],
    schema: StateSchema,
    invalid: list[InvalidField],
) -> None:
    """Let the first answered question of the outermost run write the other keys as well."""
    try:
        values = schema.read(state)
    except StateError as error:
        invalid += error.invalid
        return
    own = [name for name in answers if "/" not in interrupts[name].run]
    if not own:
        names = ", ".join(state)
        invalid.append(InvalidField(names, "a state key can be given with the answer to a question of the run itself"))
        return
    answers[own[0]] = Answered(answers[own[0]], values)
