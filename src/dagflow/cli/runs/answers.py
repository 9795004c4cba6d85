"""Reading answers to open questions: from options, from a file, or from a person at the terminal."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs
import typer

from dagflow.cli.inputs import Source, open_source, parse_json
from dagflow.cli.problems import UsageProblem
from dagflow.cli.runs.questions import choices, heading, is_string, may_be_string
from dagflow.core.drawing.text import printable
from dagflow.core.strict_json import read_json
from dagflow.core.structure import nearest
from dagflow.types import Interrupt

__all__ = ["Answers", "prompt", "read_answers"]


@attrs.frozen
class Answers:
    """Answers by the id of their question, and what to tell the user about how they were read."""

    values: Mapping[str, Any] = attrs.field(factory=dict)
    notes: tuple[str, ...] = ()


def read_answers(given: Sequence[str], file: str | None, questions: Sequence[Interrupt]) -> Answers:
    """Read the answers of `--answer ID=JSON`, of which there may be several, and of one `--answers`.

    Raises `UsageProblem` for an id that is no open question's, naming those, for two answers to one question, and
    for text that is no JSON where the question does not ask for a string.
    """
    open_questions = {question.id: question for question in questions}
    values: dict[str, Any] = {}
    notes: list[str] = []
    for id_, answer in _from_file(file, open_questions).items():
        values[id_] = answer
    for text in given:
        question, answer = _take_apart(text, open_questions)
        if question.id in values:
            raise UsageProblem(f"there are two answers to {question.id}; give one")
        values[question.id] = _read(answer, question, notes)
    return Answers(values, tuple(notes))


def _from_file(given: str | None, questions: Mapping[str, Interrupt]) -> dict[str, Any]:
    if given is None:
        return {}
    source = open_source(given, "--answers")
    answers = parse_json(source)
    if not isinstance(answers, dict):
        raise UsageProblem(f"{source.name}: expected a JSON object with answers by the id of their question")
    for id_ in answers:
        if id_ not in questions:
            raise _no_question(id_, questions)
    return answers


def _take_apart(text: str, questions: Mapping[str, Interrupt]) -> tuple[Interrupt, str]:
    """Tell which question a text answers; the only one that is open need not be named."""
    for id_ in sorted(questions, key=len, reverse=True):
        if text.startswith(f"{id_}="):
            return questions[id_], text[len(id_) + 1 :]
    id_, equals, _ = text.partition("=")
    if len(questions) == 1 and (not equals or _is_json(text)):
        return next(iter(questions.values())), text
    if equals and not _is_json(text):
        raise _no_question(id_, questions)
    raise UsageProblem(f"--answer {text} does not say what it answers; write --answer ID=JSON{_listed(questions)}")


def _read(text: str, question: Interrupt, notes: list[str]) -> Any:
    if not _is_json(text) and may_be_string(question.schema):
        notes.append(f"{question.id}: {json.dumps(text, ensure_ascii=False)} is taken as a string")
        return text
    try:
        return parse_json(Source(f"--answer {question.id}", text))
    except UsageProblem as problem:
        raise UsageProblem(f"{problem}\n{question.id} asks for JSON that is a {question.type}") from None


def _is_json(text: str) -> bool:
    try:
        read_json(text)
    except ValueError:
        return False
    return True


def _no_question(id_: str, questions: Mapping[str, Interrupt]) -> UsageProblem:
    return UsageProblem(f"there is no open question {id_}{nearest(id_, list(questions))}{_listed(questions)}")


def _listed(questions: Mapping[str, Interrupt]) -> str:
    if not questions:
        return "\nno question is open"
    return "\nopen:" + "".join(f"\n  {heading(question)}" for question in questions.values())


def prompt(questions: Iterable[Interrupt]) -> dict[str, Any]:
    """Ask the person at the terminal; what is left empty stays open. Raises `typer.Abort` on Ctrl-C and Ctrl-D."""
    answers: dict[str, Any] = {}
    for question in questions:
        typer.echo(heading(question), err=True)
        allowed = choices(question.schema)
        if allowed:
            typer.echo(printable(f"  one of {', '.join(allowed)}"), err=True)
        while True:
            text = typer.prompt("answer (empty: leave it open)", default="", show_default=False, err=True)
            if not text:
                break
            try:
                answers[question.id] = _read_typed(text, question)
                break
            except UsageProblem as problem:
                typer.echo(f"error: {problem}", err=True)
    return answers


def _read_typed(text: str, question: Interrupt) -> Any:
    """Read what a person typed: no quotes are needed where nothing but a string is asked for."""
    if is_string(question.schema) and not text.startswith('"'):
        return text
    return _read(text, question, [])
