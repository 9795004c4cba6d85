"""The store that a graph file names, one of ours or a plug-in, with environment variables put in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

import attrs

from dagflow import plugins
from dagflow.core.answers import InvalidAnswer
from dagflow.core.storage import Store
from dagflow.core.structure import nearest
from dagflow.declarative.model import Checkpointer, MemoryCheckpointer, RedisCheckpointer, SQLiteCheckpointer
from dagflow.errors import InvalidField

__all__ = ["PluginCheckpointer", "expand", "open_checkpointer", "plugin_of", "texts_of"]

VARIABLE = re.compile(r"\$\{([^}]*)\}")

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

    Raises `ValueError` for a variable that is not set and for a faulty address; of a plug-in, `InvalidAnswer` for
    options that it does not take, and `PluginError` for one that is broken.
    """
    if isinstance(spec, PluginCheckpointer):
        return _open_plugin(spec, environment, base)
    if isinstance(spec, MemoryCheckpointer):
        from dagflow.store.memory import MemoryStore

        return MemoryStore()
    if isinstance(spec, SQLiteCheckpointer):
        from dagflow.store.sqlite import SQLiteStore

        return SQLiteStore(base / expand(spec.path, environment), ttl=spec.ttl)
    from dagflow.store.redis import RedisStore

    return RedisStore(expand(spec.url, environment), ttl=spec.ttl, prefix=spec.prefix)


def _open_plugin(spec: PluginCheckpointer, environment: Mapping[str, str], base: Path) -> Store:
    try:
        options = plugins.read_options("stores", spec.type, _expanded(spec.options, environment))
    except InvalidAnswer as error:
        raise InvalidAnswer([_without_value(spec, item) for item in error.invalid]) from None
    return cast("Store", options.make(base))


def _expanded(data: Any, environment: Mapping[str, str]) -> Any:
    if isinstance(data, str):
        return expand(data, environment)
    if isinstance(data, list):
        return [_expanded(item, environment) for item in data]
    return {key: _expanded(item, environment) for key, item in data.items()} if isinstance(data, dict) else data


def _without_value(spec: PluginCheckpointer, item: InvalidField) -> InvalidField:
    """Leave what came from the environment out of a problem: it may be a secret."""
    name = re.split(r"[.\[]", item.path.removeprefix("$."))[0]
    if not VARIABLE.search(repr(spec.options.get(name))):
        return item
    return attrs.evolve(item, problem=f"{item.problem.partition(', got ')[0]}, got what is in the environment")


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
