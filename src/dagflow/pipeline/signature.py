"""The lines that a step's signature has, in the fingerprint of its pipeline: written here, and read for the run log."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from dagflow.core.hints import show
from dagflow.core.plan import SEPARATOR
from dagflow.pipeline.returns import Return
from dagflow.pipeline.steps import Read

__all__ = ["Signature", "read_outline", "returned", "taken"]


def taken(reads: Iterable[Read]) -> tuple[str, ...]:
    """The lines of the parameters that a task takes."""
    return tuple(f"takes {read.name}: {show(read.hint)}" for read in reads)


def returned(returns: Iterable[Return]) -> tuple[str, ...]:
    """The lines of the parameters that a task returns."""
    return tuple(f"returns {item.kind} {item.name}" for item in returns)


@attrs.frozen
class Signature:
    """What the run log knows of a step: its kind, the parameters that it reads, and those that are metrics.

    `over`, `item` and `index` are the parameters of a map or loop, empty where there are none.
    """

    kind: str = ""
    inputs: tuple[str, ...] = ()
    metrics: frozenset[str] = frozenset()
    over: str = ""
    item: str = ""
    index: str = ""


def read_outline(outline: Mapping[str, str]) -> dict[str, Signature]:
    """Read the signatures of a pipeline's steps, by name, from its plan's outline."""
    return {name: _read(text) for name, text in outline.items()}


def _read(text: str) -> Signature:
    kind, inputs, metrics = "", [], []
    words: dict[str, str] = {}
    signature: Any = json.loads(text)[3]
    for line in signature.split(SEPARATOR):
        first, _, rest = line.partition(" ")
        if first == "is" and rest.endswith(" step"):
            kind = rest.removeprefix("a ").removesuffix(" step")
        elif first == "takes":
            inputs.append(rest.partition(":")[0])
        elif first == "returns" and rest.startswith("metric "):
            metrics.append(rest.removeprefix("metric "))
        elif first in ("over", "as", "index"):
            words[first] = rest
    over = words.get("over", "")
    inputs += [over] if over else []
    return Signature(kind, tuple(inputs), frozenset(metrics), over, words.get("as", ""), words.get("index", ""))
