"""DF7xx: what is easier to read, and easier to keep."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dagflow.declarative.lint.reading import templates_of
from dagflow.declarative.lint.rule import Hit
from dagflow.declarative.lint.subject import LintSubject
from dagflow.declarative.lint.walk import ROOT

__all__ = ["deep_nesting", "long_expression", "no_description", "no_version", "passes_nothing"]

DEEPEST: Final = 2
LONGEST: Final = 100


def no_description(subject: LintSubject) -> Iterator[Hit]:
    """The graph has no description.

    A sentence tells readers what it is for.
    """
    if not subject.spec.description:
        yield Hit("$", "says nothing of what the graph is for; add a `description`")


def no_version(subject: LintSubject) -> Iterator[Hit]:
    """The file says no version.

    `version: "1"` keeps its meaning when the format gets a second one.
    """
    if not subject.has("version"):
        yield Hit("$", 'does not say which version of the format it has; add `version: "1"`')


def deep_nesting(subject: LintSubject) -> Iterator[Hit]:
    """Nodes are nested deeply.

    A map of maps of nodes is hard to read and to test. Put the inner ones into a subgraph.
    """
    for node in subject.nodes:
        if len(node.around) == DEEPEST:
            yield Hit(node.place, "is a node in a node in a node; put the inner ones into a graph of their own")


def long_expression(subject: LintSubject) -> Iterator[Hit]:
    """An expression is long.

    Compute parts of it before, under names of their own.
    """
    message = f"has more than {LONGEST} characters; compute parts of it in a passthrough or python node before"
    for index, edge in enumerate(subject.spec.edges):
        if edge.condition is not None and len(edge.condition) > LONGEST:
            yield Hit(ROOT / "edges" / index / "condition", message)
    for node in subject.nodes:
        for place, template in templates_of(node):
            if any(len(expression.source) > LONGEST for expression in template.expressions):
                yield Hit(place, f"its expression {message}")


def passes_nothing(subject: LintSubject) -> Iterator[Hit]:
    """A passthrough does nothing.

    It neither computes nor joins. Lead the edge past it.
    """
    for name, node in subject.spec.nodes.items():
        ways = subject.ways
        targets = [way for way in ways.all if way.source == name]
        if node.type == "passthrough" and not node.output and len(ways.into[name]) < 2 and len(targets) < 2:
            yield Hit(ROOT / "nodes" / name, "computes nothing and joins nothing; lead the edge past it")
