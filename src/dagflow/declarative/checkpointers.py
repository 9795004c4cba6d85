"""The store that a graph file names, one of ours or a plug-in, with environment variables put in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

import attrs

from dagflow import plugins
from dagflow.core.answers import InvalidAnswer
from dagflow.core.storage import Store
from dagflow.declarative.model import Checkpointer, MemoryCheckpointer, RedisCheckpointer, SQLiteCheckpointer
from dagflow.errors import InvalidField
from dagflow.source.expanding import Expansion

__all__ = ["PluginCheckpointer", "open_checkpointer", "plugin_of", "texts_of"]

OWN: Final = ("memory", "sqlite", "redis")


@attrs.frozen(kw_only=True)
class PluginCheckpointer:
    """Runs are recorded in a store that another package brings; `options` are as the file has them."""

    type: str
    options: Mapping[str, Any]


def plugin_of(data: Any) -> PluginCheckpointer | None:
    """Find out whether the data of a graph file name a plug-in as their checkpointer; none is imported for it."""
    section = data.get("checkpointer") if isinstance(data, dict) else None
    if not isinstance(section, dict):
        return None
    kind = section.get("type")
    if not isinstance(kind, str) or kind in OWN or kind not in plugins.names("stores"):
        return None
    return PluginCheckpointer(type=kind, options={key: value for key, value in section.items() if key != "type"})


def texts_of(spec: Checkpointer | PluginCheckpointer | None) -> Mapping[str, str]:
    """The texts that a checkpointer is given, by key."""
    if isinstance(spec, PluginCheckpointer):
        return {key: text for key, text in spec.options.items() if isinstance(text, str)}
    if isinstance(spec, SQLiteCheckpointer):
        return {"path": spec.path}
    return {"url": spec.url} if isinstance(spec, RedisCheckpointer) else {}


def open_checkpointer(spec: Checkpointer | PluginCheckpointer, *, environment: Mapping[str, str], base: Path) -> Store:
    """Make the store; nothing is opened yet.

    Raises `InvalidAnswer` for variables that are not set or malformed, and for options that a plug-in does not take,
    `ValueError` for a faulty address, and `PluginError` for a plug-in that is broken.
    """
    expansion = Expansion(environment)
    options = expansion.expand(spec.options if isinstance(spec, PluginCheckpointer) else texts_of(spec))
    if expansion.problems:
        raise InvalidAnswer(
            [InvalidField(one.path, f"{one.problem}, or pass checkpointer=") for one in expansion.problems]
        )
    if isinstance(spec, PluginCheckpointer):
        return _open_plugin(spec.type, options, expansion, base)
    if isinstance(spec, MemoryCheckpointer):
        from dagflow.store.memory import MemoryStore

        return MemoryStore()
    if isinstance(spec, SQLiteCheckpointer):
        from dagflow.store.sqlite import SQLiteStore

        return SQLiteStore(base / options["path"], ttl=spec.ttl)
    from dagflow.store.redis import RedisStore

    return RedisStore(options["url"], ttl=spec.ttl, prefix=spec.prefix)


def _open_plugin(name: str, options: Mapping[str, Any], expansion: Expansion, base: Path) -> Store:
    try:
        read = plugins.read_options("stores", name, options)
    except InvalidAnswer as error:
        raise InvalidAnswer([expansion.without_values(item) for item in error.invalid]) from None
    return cast("Store", read.make(base))
