"""What a configuration says, as values, and the error for one that says something wrong."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import attrs

from dagflow.errors import DagflowError, InvalidField

__all__ = ["SECTIONS", "Choice", "Configuration", "ConfigurationError", "Kinds", "Plugins"]

Kinds: TypeAlias = Mapping[str, Mapping[str, type[Any]]]
"""For each section the attrs class of the options that each `type` has."""


class Plugins(Protocol):
    """Types of other packages that a section may name."""

    def names(self, section: str) -> Collection[str]:
        """Name those of a section."""
        ...

    def problems(self) -> Collection[str]:
        """Tell what hinders some of them from being found by their names."""
        ...

    def read(self, section: str, name: str, options: Mapping[str, Any]) -> Any:
        """Read the options of one.

        Raises `InvalidAnswer` with everything that is wrong with them, and `DagflowError` for a type that is broken.
        """
        ...


class ConfigurationError(DagflowError):
    """Raised when a configuration cannot be read or does not say what it should.

    `invalid` has the path and problem of everything wrong. No value that came from an environment is in it.
    """

    def __init__(self, message: str, *, invalid: Iterable[InvalidField] = ()) -> None:
        super().__init__(message)
        self.invalid: tuple[InvalidField, ...] = tuple(invalid)


@attrs.frozen
class Choice:
    """One section: the `type` that it names, and the options of that type."""

    type: str
    options: Any


@attrs.frozen(kw_only=True)
class Configuration:
    """What a run is configured with; `None` for a section that is not there.

    `folder` is where the file is, and what its relative paths are relative to; `None` if there is no file.
    """

    executor: Choice | None = None
    store: Choice | None = None
    catalog: Choice | None = None
    secrets: Choice | None = None
    folder: Path | None = None


SECTIONS = ("executor", "store", "catalog", "secrets")
"""The sections that a configuration may have."""
