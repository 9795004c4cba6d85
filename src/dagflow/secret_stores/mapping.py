"""Secrets out of a mapping that the caller has: an environment, or values of a test."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import attrs

from dagflow.core.secrets import Secret

__all__ = ["EnvironmentSecrets", "MappingSecrets"]


def _hidden(values: Mapping[str, str | Secret]) -> dict[str, Secret]:
    return {name: Secret(value) for name, value in values.items()}


@attrs.frozen(eq=False)
class MappingSecrets:
    """Gives secrets out of a mapping, as it was when this was made. Without one it has none, and says so."""

    _values: Mapping[str, Secret] = attrs.field(factory=dict, converter=_hidden, repr=False)
    place: str = attrs.field(default="the given mapping", kw_only=True)

    async def find(self, name: str) -> Secret | None:
        """Look a name up."""
        found = self._values.get(name)
        return found if found is not None and found.reveal() else None

    async def names(self) -> Collection[str]:
        """Give the names of the mapping."""
        return self._values.keys()


@attrs.frozen(eq=False)
class EnvironmentSecrets:
    """Gives secrets out of an environment that the caller passes, `os.environ` say, as it is at this moment.

    Nothing is read later and nothing is written ever. With a `prefix` the secret `TOKEN` is the variable
    `prefix + "TOKEN"`, and no other variable can be asked for.
    """

    _values: Mapping[str, Secret] = attrs.field(converter=_hidden, repr=False)
    prefix: str = ""

    @property
    def place(self) -> str:
        """The environment, with the prefix."""
        return f"the environment (as {self.prefix}NAME)" if self.prefix else "the environment"

    async def find(self, name: str) -> Secret | None:
        """Look a variable up; one that is set to nothing is not there."""
        found = self._values.get(self.prefix + name)
        return found if found is not None and found.reveal() else None

    async def names(self) -> Collection[str]:
        """Give the names of the variables, without the prefix."""
        return [name.removeprefix(self.prefix) for name in self._values if name.startswith(self.prefix)]
