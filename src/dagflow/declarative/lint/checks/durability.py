"""DF5xx: where runs are recorded, the questions that they ask, and what they say over HTTP."""

from __future__ import annotations

import os.path
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dagflow.core.structure import nearest
from dagflow.core.unions import json_types
from dagflow.declarative.checkpointers import texts_of
from dagflow.declarative.lint.rule import Hit
from dagflow.declarative.lint.subject import LintSubject
from dagflow.declarative.lint.walk import ROOT, PlacedNode
from dagflow.declarative.model import InterruptNode, MemoryCheckpointer, RedisCheckpointer, SQLiteCheckpointer
from dagflow.source.expanding import Expansion, names_in

__all__ = [
    "answer_of_any_type",
    "asked_once",
    "kept_for_ever",
    "memory_checkpointer",
    "message_is_no_text",
    "message_not_read",
    "options_of_question",
    "question_for_each_item",
    "questions_in_memory",
    "response_not_written",
    "same_question_twice",
    "sqlite_outside",
    "unset_variables",
]

CHECKPOINTER = ROOT / "checkpointer"


def unset_names(subject: LintSubject) -> Iterator[tuple[str, str]]:
    """The keys of the checkpointer, each with a variable in it that is not set here."""
    for key, text in texts_of(subject.spec.checkpointer).items():
        for name in names_in(text):
            if not subject.environment.get(name):
                yield key, name


def unset_variables(subject: LintSubject) -> Iterator[Hit]:
    """An environment variable is not set here.

    The graph is refused without it. (Where the linter runs may not be where the graph does.)
    """
    for key, name in unset_names(subject):
        near = nearest(name, subject.environment)
        yield Hit(
            CHECKPOINTER / key, f"the environment has no value for ${{{name}}}{near}; without it the graph is refused"
        )


def _questions(subject: LintSubject) -> Iterator[tuple[PlacedNode, InterruptNode]]:
    for node in subject.nodes:
        if isinstance(node.spec, InterruptNode):
            yield node, node.spec


def questions_in_memory(subject: LintSubject) -> Iterator[Hit]:
    """Questions are kept in memory.

    Without a checkpointer, a run that waits for a person is gone with its process.
    """
    asked = next(_questions(subject), None)
    inner = subject.graph is not None and subject.graph.asks_person
    if subject.spec.checkpointer is None and (asked is not None or inner):
        place = ROOT / "nodes" if asked is None else asked[0].place
        yield Hit(
            place, "asks a person, and without a checkpointer the run waits in memory: it is gone with the process"
        )


def memory_checkpointer(subject: LintSubject) -> Iterator[Hit]:
    """A checkpointer that keeps nothing.

    `memory` is for tests. `sqlite` and `redis` outlive the process.
    """
    if isinstance(subject.spec.checkpointer, MemoryCheckpointer):
        yield Hit(CHECKPOINTER, "keeps runs in this process only; sqlite and redis outlive it")


def kept_for_ever(subject: LintSubject) -> Iterator[Hit]:
    """Threads stay in Redis for ever.

    Give the checkpointer a `ttl` in seconds.
    """
    checkpointer = subject.spec.checkpointer
    if isinstance(checkpointer, RedisCheckpointer) and checkpointer.ttl is None:
        yield Hit(
            CHECKPOINTER,
            "without a ttl every thread stays in Redis until somebody deletes it; say how long to keep them",
        )


def sqlite_outside(subject: LintSubject) -> Iterator[Hit]:
    """A database outside of the project.

    Whoever checks the project out elsewhere has no such folder, and others may read it there.
    """
    checkpointer = subject.spec.checkpointer
    if not isinstance(checkpointer, SQLiteCheckpointer) or any(unset_names(subject)):
        return
    text = Expansion(subject.environment).expand(checkpointer.path)
    path = Path(os.path.normpath(subject.path.parent / text))
    if not path.is_relative_to(subject.root):
        yield Hit(CHECKPOINTER / "path", f"{path} is not in the project, {subject.root}; is that what is meant?")


def same_question_twice(subject: LintSubject) -> Iterator[Hit]:
    """Two open questions have one resume key.

    An answer by resume key does not say which is meant, and is refused. Give each question a key of its own.
    """
    by_key: dict[str, list[PlacedNode]] = {}
    for node, spec in _questions(subject):
        by_key.setdefault(spec.resume_key, []).append(node)
    for key, nodes in by_key.items():
        pair = subject.ways.pair_at_once(node.owner for node in nodes)
        other = next((node for node in nodes if pair is not None and node.owner == pair[1]), None)
        if pair is not None and other is not None:
            yield Hit(
                other.place / "resume_key",
                f"the question of {pair[0]} may be open at the same time, and its answer is called {key!r} too: both "
                f"have to be answered by id; give each a key of its own",
            )


def question_for_each_item(subject: LintSubject) -> Iterator[Hit]:
    """A question in a map.

    It is open once for each item, under one resume key: answers are given by the ids of the interrupts.
    """
    for node, spec in _questions(subject):
        if any(around.type == "map" for around in node.around):
            yield Hit(
                node.place,
                f"is asked for each item, so that several questions are called {spec.resume_key!r}: answer by id",
            )


def answer_of_any_type(subject: LintSubject) -> Iterator[Hit]:
    """Any answer is taken.

    The type of the state key is the type of the answer. Declare it, and wrong answers are refused.
    """
    for node, spec in _questions(subject):
        if subject.schema.hint(spec.resume_key) is Any:
            yield Hit(
                node.place / "resume_key", f"any answer is taken; declare the type of {spec.resume_key!r} in `state:`"
            )


def options_of_question(subject: LintSubject) -> Iterator[Hit]:
    """An option that means nothing for a question.

    While a question is open nothing runs that a timeout could end, and a question does not fail.
    """
    for node, spec in _questions(subject):
        for option in ("timeout", "on_error"):
            if getattr(spec, option) is not None:
                yield Hit(
                    node.place / option,
                    "does nothing: the run stops while the question is open, and a question does not fail",
                )


def asked_once(subject: LintSubject) -> Iterator[Hit]:
    """A question in a loop is asked once.

    `skip_if_exists` skips it when its key has a value, which it has from the second turn on.
    """
    for node, spec in _questions(subject):
        writers = set(subject.writers.get(spec.resume_key, ())) - {node.owner}
        if spec.skip_if_exists and node.owner in subject.ways.in_loops and not writers:
            yield Hit(
                node.place / "skip_if_exists",
                f"is in a loop, and nothing takes {spec.resume_key!r} away: from the second turn on nobody is asked",
            )


# --- Over HTTP


def message_is_no_text(subject: LintSubject) -> Iterator[Hit]:
    """A message is no text.

    What comes over HTTP as `message` is a text, and is refused by a key of another type.
    """
    web = subject.spec.web
    kinds = json_types(subject.schema.hint(web.message_key))
    if subject.has("web") and kinds and "string" not in kinds and subject.schema.hint(web.message_key) is not Any:
        yield Hit(ROOT / "web" / "message_key", f"a message is a text, which {web.message_key!r} does not hold")


def message_not_read(subject: LintSubject) -> Iterator[Hit]:
    """A message that nothing reads.

    The key that `web.message_key` names is read by no node.
    """
    key = subject.spec.web.message_key
    if subject.has("web") and subject.reads_are_known and not subject.readers_of(key):
        yield Hit(ROOT / "web" / "message_key", f"nothing reads the state key {key!r}, so that messages change nothing")


def response_not_written(subject: LintSubject) -> Iterator[Hit]:
    """A response that nothing writes.

    The key that `web.response_key` names is written by no node.
    """
    key = subject.spec.web.response_key
    if subject.has("web") and subject.writes_are_known and key not in subject.writers:
        yield Hit(
            ROOT / "web" / "response_key", f"no node writes the state key {key!r}, so that no response has any text"
        )
