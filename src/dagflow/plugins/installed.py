"""Reading which plug-ins are installed from the metadata of distributions; nothing of theirs is imported for it."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from importlib import metadata
from types import MappingProxyType
from typing import Any

import attrs

from dagflow.core.structure import nearest
from dagflow.plugins.kinds import KINDS
from dagflow.plugins.problems import PluginError

__all__ = ["Installed", "Plugin", "forget", "installed"]

PREFIX = "dagflow."
GROUPS = {kind.group: kind.name for kind in KINDS.values()}


@attrs.frozen
class Plugin:
    """A plug-in that a distribution registers: its kind and name, and where its class is (`module:Class`)."""

    kind: str
    name: str
    target: str
    distribution: str

    @property
    def entry_point(self) -> str:
        """The line that registers it, with its group."""
        return f"{PREFIX}{self.kind}: {self.name} = {self.target}"


@attrs.frozen
class Installed:
    """The plug-ins of each kind by name, where one name may be there several times, and what cannot be read."""

    plugins: Mapping[str, Mapping[str, tuple[Plugin, ...]]]
    problems: tuple[PluginError, ...]


@functools.cache
def installed() -> Installed:
    """Read what is installed, once; `forget` makes it be read again. Reads a small file of each distribution."""
    found: dict[str, dict[str, tuple[Plugin, ...]]] = {kind: {} for kind in KINDS}
    problems: list[PluginError] = []
    for distribution in sorted(_with_plugins(), key=_shown):  # folders are read in any order
        shown = _shown(distribution)
        try:
            points = tuple(distribution.entry_points)
        except Exception as error:  # each version of Python has its own for a malformed line
            problem = PluginError(f"the entry points of {shown} cannot be read: {error}", distribution=shown)
            problem.__cause__ = error
            problems.append(problem)
            continue
        for point in points:
            if point.group in GROUPS:
                plugin = Plugin(GROUPS[point.group], point.name, point.value, shown)
                named = found[plugin.kind]
                named[plugin.name] = (*named.get(plugin.name, ()), plugin)
            elif point.group.startswith(PREFIX):
                problems.append(_strange(point, shown))
    return Installed(MappingProxyType(found), tuple(problems))


def forget() -> None:
    """Forget what is installed, so that it is read again: for whoever installs packages, or changes `sys.path`."""
    installed.cache_clear()


def _with_plugins() -> Iterator[metadata.Distribution]:
    """The distributions with entry points of ours. Most have none, and parsing theirs would take longer."""
    seen: set[str] = set()
    for distribution in metadata.distributions():
        text = distribution.read_text("entry_points.txt") or ""
        if PREFIX not in text:
            continue
        key = _name(distribution).lower().replace("-", "_").replace(".", "_")
        if key not in seen and not _is_shadowed(distribution, text):
            yield distribution
        seen.add(key)


def _is_shadowed(distribution: metadata.Distribution, text: str) -> bool:
    """Whether another version stands before it on the path: that is the one that is imported."""
    try:
        return metadata.distribution(_name(distribution)).read_text("entry_points.txt") != text
    except (metadata.PackageNotFoundError, ValueError):
        return False


def _strange(point: metadata.EntryPoint, distribution: str) -> PluginError:
    line = f"{point.group}: {point.name} = {point.value}"
    return PluginError(
        f"{distribution} registers {line}, and there is no such group{nearest(point.group, GROUPS)}; "
        f"there is {', '.join(GROUPS)}",
        distribution=distribution,
        entry_point=line,
    )


def _shown(distribution: metadata.Distribution) -> str:
    return f"{_name(distribution)} {_stated(distribution, 'Version')}".rstrip()


def _name(distribution: metadata.Distribution) -> str:
    """The name; of one without (its metadata are damaged), the folder that it is in."""
    return _stated(distribution, "Name") or f"a distribution without a name in {distribution.locate_file('')}"


def _stated(distribution: metadata.Distribution, key: str) -> str:
    stated: Any = distribution.metadata  # Python 3.11 gives `None` where there are none
    # Asking for what is not there is deprecated, and Python 3.11 declares no `get`.
    return str(stated[key]) if stated is not None and key in stated else ""
