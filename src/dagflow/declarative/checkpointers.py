"""The store that a graph file names, with environment variables put in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from dagflow.core.storage import Store
from dagflow.core.structure import nearest
from dagflow.declarative.model import Checkpointer, MemoryCheckpointer, SQLiteCheckpointer

__all__ = ["expand", "open_checkpointer"]

VARIABLE = re.compile(r"\$\{([^}]*)\}")


def open_checkpointer(spec: Checkpointer, *, environment: Mapping[str, str], base: Path) -> Store:
    """Make the store; nothing is opened yet. Raises `ValueError` for a variable that is not set, a faulty address."""
    if isinstance(spec, MemoryCheckpointer):
        from dagflow.store.memory import MemoryStore

        return MemoryStore()
    if isinstance(spec, SQLiteCheckpointer):
        from dagflow.store.sqlite import SQLiteStore

        return SQLiteStore(base / expand(spec.path, environment), ttl=spec.ttl)
    from dagflow.store.redis import RedisStore

    return RedisStore(expand(spec.url, environment), ttl=spec.ttl, prefix=spec.prefix)


def expand(text: str, environment: Mapping[str, str]) -> str:
    """Put environment variables in the place of `${NAME}`; raises `ValueError` naming those that are not set.

    What is put in is not looked at again. An unset variable never stands for nothing: a run would go to another
    store than the one that was meant.
    """
    missing = [name for name in VARIABLE.findall(text) if not environment.get(name)]
    if missing:
        near = nearest(missing[0], environment)
        names = " and ".join(f"${{{name}}}" for name in dict.fromkeys(missing))
        raise ValueError(f"the environment has no value for {names}{near}; set it, or pass checkpointer=")
    return VARIABLE.sub(lambda match: environment[match[1]], text)
