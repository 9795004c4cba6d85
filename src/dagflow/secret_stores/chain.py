"""Several secret providers, asked one after the other."""

from __future__ import annotations

from collections.abc import Collection

import attrs

from dagflow.core.secrets import Secret
from dagflow.secret_stores.provider import SecretProvider

__all__ = ["ChainedSecrets"]


def _as_tuple(providers: Collection[SecretProvider]) -> tuple[SecretProvider, ...]:
    return tuple(providers)


@attrs.frozen(eq=False)
class ChainedSecrets:
    """Gives the secret of the first provider that has it.

    A provider that fails ends the search: another one's secret of the same name may be another secret.
    """

    providers: tuple[SecretProvider, ...] = attrs.field(converter=_as_tuple)

    @property
    def place(self) -> str:
        """All places, in the order in which they are asked."""
        return ", then ".join(provider.place for provider in self.providers) or "no place at all"

    async def find(self, name: str) -> Secret | None:
        """Ask one after the other."""
        for provider in self.providers:
            found = await provider.find(name)
            if found is not None:
                return found
        return None

    async def names(self) -> Collection[str]:
        """Give the names of all providers, each once."""
        found: dict[str, None] = {}
        for provider in self.providers:
            found.update(dict.fromkeys(await provider.names()))
        return list(found)
