"""Compiling the nodes of a graph file: what all kinds have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs

from dagflow.core.structure import nearest
from dagflow.declarative.bodies.body import Body
from dagflow.declarative.compiling.faults import Faults, Place
from dagflow.declarative.compiling.state import keys_written
from dagflow.declarative.edges import Routing
from dagflow.declarative.expressions import (
    Expression,
    Template,
    ValueTemplate,
    parse_expression,
    parse_template,
    parse_value,
)
from dagflow.declarative.language_models import ModelNeed
from dagflow.declarative.locating import Locator
from dagflow.declarative.model import (
    Backoff,
    Defaults,
    FallbackLM,
    FallbackNode,
    FallbackValue,
    InterruptNode,
    MapNode,
    NodeSpec,
    PassthroughNode,
    RouterNode,
)
from dagflow.declarative.node import Handling, YamlNode
from dagflow.declarative.state import StateSchema
from dagflow.types import Retry

__all__ = ["Compiler", "Work"]

ASK = ("llm", "router", "agent")
"""Kinds that ask a language model."""

WAITS = ("interrupt", "map", "race", "subgraph", "passthrough")
"""Kinds that the default timeout is not for: what they wait for has timeouts of its own, or none."""


@attrs.frozen(eq=False)
class Work:
    """What a kind of node compiles to: its body, the models that it needs, and whether a timeout can stop it."""

    body: Body
    needs: tuple[ModelNeed, ...] = ()
    asks_person: bool = False
    stoppable: bool = True


@attrs.frozen(eq=False, kw_only=True)
class Compiler:
    """Compiles the nodes of one file. Faults are collected, and a node that is faulty is `None`.

    `names` are the names that expressions have besides the state (`as` of a map). `load_graph` compiles the graph
    that a subgraph names.
    """

    schema: StateSchema
    defaults: Defaults
    locator: Locator
    base: Path
    root: Path
    faults: Faults
    load_graph: Callable[[str, Place], Any]
    names: frozenset[str] = frozenset()

    def with_names(self, names: Iterable[str]) -> Compiler:
        """The compiler of what is inside, whose expressions know these names too."""
        return attrs.evolve(self, names=self.names | set(names))

    def node(self, name: str, spec: NodeSpec, place: Place, routing: Routing) -> tuple[YamlNode, Work] | None:
        """Compile a node."""
        from dagflow.declarative.compiling.kinds import compile_work

        handling = self._handling(spec, place)
        timeout = self._timeout(spec)
        work = compile_work(self, name, spec, place, timeout)
        self._check_keys(spec, place)
        if work is None or handling is None:
            return None
        node = YamlNode(
            name=name,
            kind=spec.type,
            body=work.body,
            routing=routing,
            schema=self.schema,
            handling=handling,
            requires=tuple(spec.requires),
            state_key=single_key(spec),
            skip_key=_skip_key(spec),
            writes=keys_written(spec),
            timeout=timeout if spec.timeout is not None or work.stoppable else None,
            max_concurrency=None if isinstance(spec, MapNode) else spec.max_concurrency,
            needs=(*work.needs, *([handling.lm] if handling.lm is not None else [])),
            description=spec.description or "",
        )
        return node, work

    # --- Expressions, whose names are checked here, so that a misspelt key is found before anything runs.

    def template(self, text: str, place: Place) -> Template | None:
        """Parse a text with `{expressions}`."""
        found = self.faults.attempt(place, lambda: parse_template(text))
        if found is not None:
            self.check_paths((expression.paths for expression in found.expressions), place)
        return found

    def value(self, value: Any, place: Place) -> ValueTemplate | None:
        """Parse a value whose texts may have `{expressions}`."""
        found = self.faults.attempt(place, lambda: parse_value(value))
        if found is not None:
            self.check_paths([found.paths], place)
        return found

    def values(self, values: Mapping[str, Any], place: Place) -> dict[str, ValueTemplate]:
        """Parse several; those that are faulty are left out."""
        parsed = {name: self.value(value, place / name) for name, value in values.items()}
        return {name: value for name, value in parsed.items() if value is not None}

    def condition(self, text: str, place: Place) -> Expression | None:
        """Parse an expression that stands by itself."""
        found = self.faults.attempt(place, lambda: parse_expression(text))
        if found is not None:
            self.check_paths([found.paths], place)
        return found

    def check_paths(self, paths: Iterable[Iterable[tuple[str, ...]]], place: Place) -> None:
        """Note the names that expressions read and that nothing has."""
        if not self.schema.closed:
            return
        known = {*self.schema.known, *self.names}
        for path in (path for some in paths for path in some):
            key = path[0] if path[0] != "state" else path[1] if len(path) > 1 else None
            if key is not None and key not in known:
                self.faults.add(place, f"the state has no key {key!r}{nearest(key, known)}")

    # --- What is common to all kinds.

    def _check_keys(self, spec: NodeSpec, place: Place) -> None:
        for index, key in enumerate(spec.requires):
            if key not in self.schema.known and self.schema.closed:
                near = nearest(key, self.schema.known)
                self.faults.add(place / "requires" / index, f"the state has no key {key!r}{near}")
        if getattr(spec, "skip_if_exists", False) and single_key(spec) is None:
            self.faults.add(place / "skip_if_exists", "needs a state key that may exist; give the node a state_key")

    def _timeout(self, spec: NodeSpec) -> float | None:
        if spec.timeout is not None:
            return spec.timeout
        return None if spec.type in WAITS else self.defaults.timeout

    def _handling(self, spec: NodeSpec, place: Place) -> Handling | None:
        given = spec.on_error if spec.on_error is not None else self.defaults.on_error
        if isinstance(given, str):
            return Handling(retry=_retry(2) if given == "retry" else None, skip=given == "skip")
        here = place / "on_error"
        fallback = given.fallback
        lm = value = target = None
        if isinstance(fallback, FallbackLM):
            if spec.type in ASK:
                lm = ModelNeed(fallback.lm)
            elif spec.on_error is not None:
                self.faults.add(
                    here / "fallback", f"a {spec.type} node asks no language model; give it a value or a node"
                )
        elif isinstance(fallback, FallbackValue):
            if single_key(spec) is not None or isinstance(spec, RouterNode):
                value = (fallback.value,)
            elif spec.on_error is not None:
                self.faults.add(here / "fallback" / "value", "has no state key to be written to; give the node one")
        elif isinstance(fallback, FallbackNode):
            target = () if fallback.to == "END" else (fallback.to,)
        return Handling(_retry(given.retry), lm, value, target, given.then == "skip")


def single_key(spec: NodeSpec) -> str | None:
    """The one state key that a node's result belongs to, if it has one."""
    if isinstance(spec, MapNode):
        return spec.collect
    if isinstance(spec, InterruptNode):
        return spec.resume_key
    return None if isinstance(spec, PassthroughNode) else spec.state_key


def _skip_key(spec: NodeSpec) -> str | None:
    return single_key(spec) if getattr(spec, "skip_if_exists", False) else None


def _retry(given: int | Backoff | None) -> Retry | None:
    if given is None:
        return None
    backoff = Backoff(attempts=given + 1) if isinstance(given, int) else given
    return Retry(
        attempts=backoff.attempts,
        delay=backoff.delay,
        factor=backoff.factor,
        max_delay=backoff.max_delay,
        jitter=backoff.jitter,
    )
