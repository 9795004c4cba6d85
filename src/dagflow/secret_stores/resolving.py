"""Finding the secrets of a task, all of them or none."""

from __future__ import annotations

from collections.abc import Iterable

from dagflow.core.secrets import Secret
from dagflow.core.structure import nearest
from dagflow.errors import DagflowError
from dagflow.secret_stores.provider import SecretProvider

__all__ = ["MissingSecret", "resolve_secrets"]


class MissingSecret(DagflowError):
    """Raised when a task needs secrets that no provider has.

    `task` is the task, `names` are the secrets that are missing. Not raised where a provider fails.
    """

    def __init__(self, message: str, *, task: str, names: Iterable[str]) -> None:
        super().__init__(message)
        self.task = task
        self.names: tuple[str, ...] = tuple(names)


async def resolve_secrets(names: Iterable[str], provider: SecretProvider, *, task: str) -> dict[str, Secret]:
    """Give the secrets of a task by name.

    Raises `MissingSecret`, which names the task, every secret that is missing and the places where it was looked for.
    """
    found: dict[str, Secret] = {}
    missing: list[str] = []
    for name in dict.fromkeys(names):
        secret = await provider.find(name)
        if secret is None:
            missing.append(name)
        else:
            found[name] = secret
    if missing:
        known = await provider.names()
        told = " and ".join(f"{name!r}{_meant(name, known)}" for name in missing)
        raise MissingSecret(
            f"task {task} needs the secret{'s' if len(missing) > 1 else ''} {told}, not found in {provider.place}; "
            f"set {'them' if len(missing) > 1 else 'it'} there, or give the run another provider",
            task=task,
            names=missing,
        )
    return found


def _meant(name: str, known: Iterable[str]) -> str:
    near = nearest(name, known)
    return f" ({near.removeprefix('; ')})" if near else ""
