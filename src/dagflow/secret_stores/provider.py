"""The protocol of secret providers."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from dagflow.core.secrets import Secret

__all__ = ["SecretProvider"]


class SecretProvider(Protocol):
    """A place where secrets are kept. Made without I/O, used by any number of runs, on either event loop."""

    @property
    def place(self) -> str:
        """The place in words, for messages: `the environment`."""
        ...

    async def find(self, name: str) -> Secret | None:
        """Give the secret of a name, `None` where there is none; an empty text is none.

        Raises where that cannot be told, as with a file that cannot be read. No value may be in the message.
        """
        ...

    async def names(self) -> Collection[str]:
        """Give the names that are there, to suggest the nearest one; nothing where that is not to be told."""
        ...
