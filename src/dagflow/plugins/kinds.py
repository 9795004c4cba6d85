"""The kinds of plug-ins, and what an object must have to be one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from dagflow.core.structure import nearest

__all__ = ["KINDS", "Kind", "fault", "kind_of"]


@attrs.frozen
class Kind:
    """A kind of plug-in. Its objects are classes with `methods`; `label` is the attribute that holds their own name."""

    name: str
    what: str
    methods: tuple[str, ...]
    label: str = ""

    @property
    def group(self) -> str:
        """The group of entry points."""
        return f"dagflow.{self.name}"


KINDS: Final[Mapping[str, Kind]] = {
    kind.name: kind
    for kind in (
        Kind("tasks", "a task type", ("arguments", "run"), label="task_type"),
        Kind("executors", "an executor", ("refusal", "execute"), label="service_name"),
        Kind("stores", "a store", ("open",)),
        Kind("lms", "a language model", ("make", "decide", "choose_type", "fill")),
        Kind("secrets", "a secret provider", ("find", "names")),
        Kind("catalogs", "a catalog", ("get", "put", "put_bytes")),
    )
}
"""The kinds of plug-ins, by name; the group of entry points is `dagflow.` and the name."""


def kind_of(name: str) -> Kind:
    """Find a kind; raises `ValueError` for one that there is not."""
    kind = KINDS.get(name)
    if kind is None:
        near = nearest(name, KINDS) or f"; there is {', '.join(KINDS)}"
        raise ValueError(f"there are no plug-ins of the kind {name!r}{near}")
    return kind


def fault(kind: Kind, name: str, thing: Any) -> str | None:
    """Say why an object is no plug-in of a kind under a name, as the end of a sentence; `None` if it is one."""
    if not isinstance(thing, type):
        return f"is {_shown(thing)}, and {kind.what} is registered as a class"
    missing = [method for method in kind.methods if not callable(getattr(thing, method, None))]
    if missing:
        return f"is no {kind.what.partition(' ')[2]}: {thing.__name__} has no method {' and no '.join(missing)}"
    return _mislabelled(kind, name, thing) if kind.label else None


def _mislabelled(kind: Kind, name: str, thing: type) -> str | None:
    """Overrides, run logs and configuration files know it by one name."""
    label = getattr(thing, kind.label, None)
    if label is None:
        return f"is no {kind.what.partition(' ')[2]}: {thing.__name__} has no attribute {kind.label}"
    if isinstance(label, str) and label != name:
        return f"is registered as {name!r} and calls itself {label!r} ({thing.__name__}.{kind.label})"
    return None


def _shown(thing: Any) -> str:
    kind = type(thing).__name__
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"
