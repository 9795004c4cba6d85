"""Finding a plug-in by its name, and importing it."""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any, Final

from dagflow.core.structure import nearest
from dagflow.errors import describe
from dagflow.plugins.installed import Plugin, installed
from dagflow.plugins.kinds import KINDS, fault, kind_of
from dagflow.plugins.problems import PluginError

__all__ = ["broken", "find", "load", "names", "problems"]

_TARGET: Final = re.compile(r"([\w.]+)\s*:\s*([\w.]+)\s*(\[.*\])?")
"""A module and what is in it; the extras in brackets are of old, and mean nothing any more."""


def names(kind: str) -> tuple[str, ...]:
    """List the names of the plug-ins of a kind, sorted, also of those that are broken; imports none of them.

    Raises `ValueError` for a kind that there is not. The first call reads a small file of each installed distribution.
    """
    return tuple(sorted(installed().plugins[kind_of(kind).name]))


def find(kind: str, name: str) -> Plugin:
    """Find a plug-in without importing it.

    Raises `PluginError` where there is none of that name, suggesting the nearest one, and where two distributions have
    one, naming both: which of them is meant would depend on how they were installed. `ValueError` for an unknown kind.
    """
    known = installed().plugins[kind_of(kind).name]
    found: tuple[Plugin, ...] = known.get(name, ())
    if not found:
        raise PluginError(_unknown(kind, name))
    if len(found) == 1:
        return found[0]
    raise PluginError(
        f"{KINDS[kind].what} named {name!r} is registered {len(found)} times, by "
        f"{' and by '.join(f'{plugin.distribution} ({plugin.target})' for plugin in found)}; "
        f"uninstall all but one of them",
        distribution=", ".join(plugin.distribution for plugin in found),
        entry_point="; ".join(plugin.entry_point for plugin in found),
    )


def load(kind: str, name: str) -> Any:
    """Import a plug-in and give its class, which has the methods that its kind must have.

    Raises what `find` does, and `PluginError` for one that is broken: its entry point is malformed, its module cannot
    be imported (what that raised is the cause), lacks the name, or holds something that is no plug-in of the kind.
    Importing runs the plug-in's code; call it before a run rather than on the event loop.
    """
    plugin = find(kind, name)
    thing = _imported(plugin)
    problem = fault(KINDS[kind], name, thing)
    if problem is not None:
        raise broken(plugin, f"{plugin.target} {problem}")
    return thing


def problems() -> tuple[PluginError, ...]:
    """Tell what is wrong with the metadata of installed plug-ins; those cannot be found by any name."""
    return installed().problems


def _imported(plugin: Plugin) -> Any:
    match = _TARGET.fullmatch(plugin.target)
    if match is None:
        raise broken(plugin, f"{plugin.target!r} names nothing; write module:Class")
    try:
        thing: Any = import_module(match[1])
    except Exception as error:
        raise broken(plugin, f"importing {match[1]} raised {describe(error)}") from error
    for part in match[2].split("."):
        try:
            thing = getattr(thing, part)
        except AttributeError as error:
            raise broken(plugin, f"{match[1]} has no {match[2]}{nearest(part, dir(thing))}") from error
        except Exception as error:  # a module may import lazily, by `__getattr__`
            raise broken(plugin, f"getting {match[2]} of {match[1]} raised {describe(error)}") from error
    return thing


def broken(plugin: Plugin, problem: str) -> PluginError:
    """The error of a plug-in that is there and cannot be used."""
    return PluginError(
        f"the plug-in {plugin.name!r} of {plugin.distribution} ({plugin.entry_point}) is broken: {problem}",
        distribution=plugin.distribution,
        entry_point=plugin.entry_point,
    )


def _unknown(kind: str, name: str) -> str:
    known = names(kind)
    listed = f"there is {', '.join(known)}" if known else "none is installed"
    told = [f"there is no {KINDS[kind].what.partition(' ')[2]} named {name!r}{nearest(name, known)}; {listed}"]
    return "; but ".join([*told, *(str(problem) for problem in problems())])
