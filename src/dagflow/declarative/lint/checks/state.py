"""DF2xx: keys that nobody writes, reads or declares, types that do not fit, and writes that may meet."""

from __future__ import annotations

import datetime
import decimal
import re
from collections.abc import Iterator
from typing import Any

from dagflow.core import hints
from dagflow.core.answers import InvalidAnswer
from dagflow.core.fitting import fit
from dagflow.core.unions import json_types
from dagflow.declarative.bodies.calling import STATE
from dagflow.declarative.compiling.compiler import single_key
from dagflow.declarative.compiling.state import keys_written
from dagflow.declarative.edges import START_NAME
from dagflow.declarative.lint.checks.joins import ended_branches
from dagflow.declarative.lint.reading import texts_of
from dagflow.declarative.lint.rule import Hit, listed
from dagflow.declarative.lint.subject import LintSubject
from dagflow.declarative.lint.walk import ROOT, PlacedNode
from dagflow.declarative.model import FallbackValue, MapNode, NodeSpec, OnError, ShellNode, StateKey

__all__ = [
    "braces_missing",
    "default_overwritten",
    "fallback_does_not_fit",
    "may_be_written_at_once",
    "name_hides_key",
    "never_read",
    "never_used",
    "no_state_section",
    "nobody_writes",
    "node_named_like_key",
    "read_before_written",
    "reducer_does_not_fit",
    "result_does_not_fit",
]


def nobody_writes(subject: LintSubject) -> Iterator[Hit]:
    """A key is read that nothing writes or declares.

    Where nothing is declared, a misspelt name is found only when a run reads it. Declare what runs are given.
    """
    if subject.schema.closed or not subject.writes_are_known:
        return
    told: set[str] = set()
    for reading in subject.reads:
        key = reading.key
        if key is not None and not reading.guarded and key not in subject.writers and key not in told:
            told.add(key)
            yield Hit(
                reading.place, f"no node writes the state key {key!r}; if runs are given it, declare it in `state:`"
            )


def never_read(subject: LintSubject) -> Iterator[Hit]:
    """A key is written and never read.

    The node before the end may write results; one in the middle works for nothing. Read the key, or remove it.
    """
    if not subject.reads_are_known:
        return
    for key, names in subject.writers.items():
        if key not in subject.keys_read and not any(map(subject.may_end, names)):
            yield Hit(ROOT / "nodes" / names[0], f"writes the state key {key!r}, which nothing reads")


def never_used(subject: LintSubject) -> Iterator[Hit]:
    """A key is declared and never used.

    Nothing reads or writes it. Remove it, or correct the name of the key that was meant.
    """
    if not subject.reads_are_known or not subject.writes_are_known:
        return
    for key in subject.spec.state:
        if key not in subject.writers and key not in subject.keys_read and key != _message_key(subject):
            yield Hit(ROOT / "state" / key, "nothing reads or writes this key; remove it")


def _message_key(subject: LintSubject) -> str | None:
    return subject.spec.web.message_key if subject.has("web") else None


def may_be_written_at_once(subject: LintSubject) -> Iterator[Hit]:
    """Two branches may write one key at the same time.

    Where branches meet, a key without a reducer that both have written is a conflict, and the run fails. Give the
    key a reducer, or let each branch write a key of its own.
    """
    for key, names in subject.writers.items():
        if key in subject.schema.reducers:
            continue
        pair = subject.ways.pair_at_once(names)
        if pair is not None:
            yield Hit(
                ROOT / "nodes" / pair[1],
                f"{pair[0]} may write the state key {key!r} at the same time, and then the branches conflict where "
                f"they meet; give the key a reducer, or let each write a key of its own",
            )


# --- Types


_ADDABLE = (int, float, str, list, tuple, decimal.Decimal, datetime.timedelta)


def reducer_does_not_fit(subject: LintSubject) -> Iterator[Hit]:
    """A reducer does not fit the type.

    `add` is for numbers, texts and lists, `merge` for objects. The second write would fail the run.
    """
    for name, given in subject.spec.state.items():
        found = subject.schema.keys.get(name)
        reducer = given.reducer if isinstance(given, StateKey) else None
        if found is None or reducer not in ("add", "merge"):
            continue
        members = [member for member in hints.union_members(found.hint) if member is not type(None)]
        bases = [_class_of(member) for member in members]
        if reducer == "add" and not all(base in (Any, *_ADDABLE) for base in bases):
            what = "numbers, texts and lists"
        elif reducer == "merge" and not all(base in (Any, dict) for base in bases):
            what = "objects"
        else:
            continue
        yield Hit(
            ROOT / "state" / name / "reducer", f"`{reducer}` is for {what}, and the key is {hints.show(found.hint)}"
        )


def _class_of(hint: Any) -> Any:
    from typing import Literal, get_args, get_origin

    origin = get_origin(hint)
    if origin is Literal:
        return type(get_args(hint)[0])
    return origin or hint


def result_does_not_fit(subject: LintSubject) -> Iterator[Hit]:
    """A result does not fit the type of its key.

    A model without a schema answers with text, one with a schema with an object, a map with a list, a program
    with text or lines. Correct the type of the key, or the prompt's schema.
    """
    for node in subject.nodes:
        key = None if node.is_inner else single_key(node.spec)
        kinds = _result_kinds(subject, node)
        if key is None or kinds is None or key not in subject.schema.keys:
            continue
        wanted = json_types(subject.schema.hint(key))
        if wanted and not kinds & wanted and subject.schema.hint(key) is not Any:
            what = " or ".join(sorted(kinds))
            yield Hit(
                node.place, f"writes {_article(what)} to {key!r}, which is {hints.show(subject.schema.hint(key))}"
            )


def _result_kinds(subject: LintSubject, node: PlacedNode) -> frozenset[str] | None:
    """The JSON types of what a node writes to its state key; `None` where that is not known."""
    spec = node.spec
    if isinstance(spec, MapNode):
        return frozenset({"array"})
    if isinstance(spec, ShellNode):
        return {"text": frozenset({"string"}), "lines": frozenset({"array"})}.get(spec.parse)
    if spec.type in ("llm", "agent"):
        prompt = subject.prompts.get(node.place)
        return None if prompt is None else frozenset({"string" if prompt.answer is None else "object"})
    if spec.type == "router":
        return frozenset({"string"})
    return frozenset({"object"}) if spec.type == "subgraph" else None


def _article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def fallback_does_not_fit(subject: LintSubject) -> Iterator[Hit]:
    """A fallback's value does not fit the type of the key.

    The run would fail just when the fallback is needed.
    """
    for node in subject.nodes:
        key, fallback = single_key(node.spec), _fallback_value(node.spec)
        if node.is_inner or key is None or fallback is None:
            continue
        try:
            fit(fallback.value, subject.schema.hint(key))
        except InvalidAnswer as error:
            problem = "; ".join(one.problem for one in error.invalid)
            yield Hit(node.place / "on_error" / "fallback" / "value", f"does not fit the state key {key!r}: {problem}")


def _fallback_value(spec: NodeSpec) -> FallbackValue | None:
    fallback = spec.on_error.fallback if isinstance(spec.on_error, OnError) else None
    return fallback if isinstance(fallback, FallbackValue) else None


# --- When keys have values


def default_overwritten(subject: LintSubject) -> Iterator[Hit]:
    """A default is overwritten at once.

    The first nodes write the key before anything reads it, so that the default means nothing.
    """
    first = subject.first_nodes()
    for key in subject.schema.keys:
        if not subject.has_default(key) or key in subject.schema.reducers or not first:
            continue
        reads_first = any(reading.node in (*first, START_NAME) for reading in subject.readers_of(key))
        if not reads_first and all(_surely_writes(subject, name, key) for name in first):
            yield Hit(ROOT / "state" / key / "default", f"{listed(first)} overwrites it before anything reads it")


def _surely_writes(subject: LintSubject, name: str, key: str) -> bool:
    spec = subject.spec.nodes[name]
    own = spec.on_error if spec.on_error is not None else subject.spec.defaults.on_error
    skips = getattr(spec, "skip_if_exists", False)
    return (
        key in (keys_written(spec) or ())
        and own in ("fail", "retry")
        and not skips
        and None not in subject.read_by(name)
    )


def read_before_written(subject: LintSubject) -> Iterator[Hit]:
    """A key is read before anything writes it.

    A node sees what came before it, and nothing of branches beside it. Add an edge, give the key a default, or
    write `default(key, value)`. (If every run is given the key, ignore this.)
    """
    if not subject.writes_are_known:
        return
    told: set[tuple[str, str]] = {(name, key) for _, key, name in ended_branches(subject)}
    for reading in subject.reads:
        key, node = reading.key, reading.node
        if key is None or node == START_NAME or reading.guarded or subject.has_default(key) or (node, key) in told:
            continue
        writers = subject.writers.get(key, ())
        if not writers or node in writers or node not in subject.ways.successors:
            continue
        before = subject.ways.ancestors(node) | ({node} if reading.after else set())
        if not before.intersection(writers):
            told.add((node, key))
            yield Hit(
                reading.place,
                f"{node} reads the state key {key!r}, which only {listed(writers)} writes, and does not come after "
                f"that: add an edge, give the key a default, or write default({key}, ...)",
            )


# --- Names and texts


def node_named_like_key(subject: LintSubject) -> Iterator[Hit]:
    """A node has the name of another node's key.

    In expressions the name means the state key, never the node. Rename one of them.
    """
    for name, node in subject.spec.nodes.items():
        writers = subject.writers.get(name, ())
        if writers and name not in writers and keys_written(node) is not None:
            yield Hit(
                ROOT / "nodes" / name,
                f"has the name of a state key that {listed(writers)} writes; in expressions the name means the key",
            )


def name_hides_key(subject: LintSubject) -> Iterator[Hit]:
    """A name of a map hides a state key.

    Inside of the map the name means the item. Choose another, or write `state.name` for the key.
    """
    known = set(subject.schema.known)
    for node in subject.nodes:
        if not isinstance(node.spec, MapNode):
            continue
        for key, name in (("as", node.spec.as_), ("index", node.spec.index)):
            if name in known:
                yield Hit(
                    node.place / key, f"{name!r} is a state key too, which the inner node cannot read by this name"
                )


def no_state_section(subject: LintSubject) -> Iterator[Hit]:
    """No state is declared.

    With a `state:` section, names are checked when the graph is loaded, and values when they are written.
    """
    if not subject.spec.state:
        yield Hit(ROOT / "nodes", "without a `state:` section no name in an expression is checked before a run")


_PATH = re.compile(r"(?:state\.)?[^\W\d]\w*(?:\.[^\W\d]\w*|\[\d+\])*")


def braces_missing(subject: LintSubject) -> Iterator[Hit]:
    """Braces are missing around an expression.

    Texts are taken as they are; what is in braces is an expression.
    """
    for node in subject.nodes:
        names = node.names | set(subject.schema.known)
        for place, value in texts_of(node):
            if not isinstance(value, str) or isinstance(node.spec, ShellNode) or _PATH.fullmatch(value) is None:
                continue
            root, _, rest = value.partition(".")
            if (root == STATE and rest.partition(".")[0] in names) or (rest and root in names):
                yield Hit(place, f"is the text {value!r}; to read the state, put braces around it: {{{value}}}")
