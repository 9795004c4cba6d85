"""Reading a configuration, from plain data or from a file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import attrs
from anyio.to_thread import run_sync

from dagflow.configuration.kinds import KINDS, ChainedSecretsOptions
from dagflow.configuration.model import SECTIONS, Choice, Configuration, ConfigurationError, Plugins
from dagflow.core.answers import InvalidAnswer
from dagflow.core.structure import nearest, structure
from dagflow.errors import DagflowError, InvalidField
from dagflow.source.expanding import Expansion
from dagflow.source.faults import SourceError
from dagflow.source.files import UnreadableFile
from dagflow.source.plain import read_plain

__all__ = ["load_configuration", "read_configuration"]


async def load_configuration(
    path: str | os.PathLike[str],
    *,
    environment: Mapping[str, str],
    plugins: Plugins | None = None,
) -> Configuration:
    """Read the configuration file at `path`, in a worker thread; see `read_configuration`.

    It is JSON where its name ends with `.json`, else YAML. Raises `ConfigurationError`, also where the file cannot be
    read.
    """
    shown = os.fspath(path)

    def load() -> Configuration:
        try:
            data = read_plain(shown)
        except (UnreadableFile, SourceError) as error:
            raise ConfigurationError(f"the configuration {shown} cannot be read: {error}") from error
        found = read_configuration(data, environment=environment, plugins=plugins, subject=shown)
        return attrs.evolve(found, folder=Path(os.path.abspath(shown)).parent)

    return await run_sync(load)


def read_configuration(
    data: Any,
    *,
    environment: Mapping[str, str],
    plugins: Plugins | None = None,
    subject: str = "the configuration",
) -> Configuration:
    """Read a configuration from plain data; `None` is that of an empty file.

    `${NAME}` in a text is a variable of `environment`. Nothing else of the process is looked at. `plugins` has types
    beside those of `KINDS`, and is asked for those that are not among these. `subject` names the configuration in
    errors.

    Raises `ConfigurationError` with everything that is wrong: sections, types and options that there are not (the
    nearest name is suggested), values that do not fit, variables that are not set, and plug-ins that are broken, of
    which the first is the cause.
    """
    if data is None:
        data = {}
    if not isinstance(data, Mapping):
        _refuse(subject, [InvalidField("$", f"expected an object with {', '.join(SECTIONS)}, got something else")])
    expansion = Expansion(environment)
    expanded = expansion.expand(data)
    reader = _Reader(plugins, expansion)
    found = reader.read(expanded)
    problems = [*expansion.problems, *reader.problems]
    if problems:
        _refuse(subject, problems, reader.broken)
    return found


@attrs.define
class _Reader:
    plugins: Plugins | None
    expansion: Expansion
    problems: list[InvalidField] = attrs.field(factory=list)
    broken: DagflowError | None = None

    def read(self, data: Mapping[str, Any]) -> Configuration:
        for name in data:
            if name not in SECTIONS:
                near = nearest(name, SECTIONS) or f"; expected {', '.join(SECTIONS)}"
                self.problems.append(InvalidField("$", f"unknown section {name[:80]!r}{near}"))
        return Configuration(
            executor=self._section("executor", data),
            store=self._section("store", data),
            catalog=self._section("catalog", data),
            secrets=self._section("secrets", data),
        )

    def _section(self, name: str, data: Mapping[str, Any]) -> Choice | None:
        found = data.get(name)
        return None if found is None else self._choice(name, found, f"$.{name}")

    def _choice(self, section: str, data: Any, path: str) -> Choice | None:
        known = self._known(section)
        allowed = ", ".join(known)
        if not isinstance(data, dict):
            self._tell(path, f"expected an object with a `type` ({allowed})")
            return None
        if "type" not in data:
            self._tell(f"{path}.type", f"missing; expected one of {allowed}")
            return None
        chosen = data["type"]
        if not isinstance(chosen, str) or chosen not in known:
            hidden = self.expansion.variables_at(f"{path}.type")
            told = f"got what ${{{hidden[0]}}} stands for" if hidden else f"got {str(chosen)[:80]!r}"
            hindered = "".join(f"; but {problem}" for problem in self.plugins.problems()) if self.plugins else ""
            self._tell(f"{path}.type", f"expected one of {allowed}; {told}{nearest(chosen, known)}{hindered}")
            return None
        try:
            options = self._options(section, chosen, {key: value for key, value in data.items() if key != "type"})
        except InvalidAnswer as error:
            for item in error.invalid:
                self._tell(path + item.path.removeprefix("$"), item.problem)
            return None
        except DagflowError as error:
            self.broken = self.broken or error
            self._tell(f"{path}.type", str(error))
            return None
        if isinstance(options, ChainedSecretsOptions):
            options = self._chain(options, path)
        return Choice(chosen, options)

    def _known(self, section: str) -> tuple[str, ...]:
        others = self.plugins.names(section) if self.plugins else ()
        return tuple(dict.fromkeys([*KINDS[section], *others]))

    def _options(self, section: str, chosen: str, data: Mapping[str, Any]) -> Any:
        kind = KINDS[section].get(chosen)
        if kind is not None:
            return structure(data, kind)
        assert self.plugins is not None
        return self.plugins.read(section, chosen, data)

    def _chain(self, options: ChainedSecretsOptions, path: str) -> ChainedSecretsOptions:
        choices = [
            self._choice("secrets", item, f"{path}.providers[{index}]") for index, item in enumerate(options.providers)
        ]
        return attrs.evolve(options, providers=choices)

    def _tell(self, path: str, problem: str) -> None:
        self.problems.append(self.expansion.without_values(InvalidField(path, problem)))


def _refuse(subject: str, problems: list[InvalidField], cause: Exception | None = None) -> NoReturn:
    lines = "\n".join(f"  - {problem}" for problem in problems)
    raise ConfigurationError(f"{subject} is wrong:\n{lines}", invalid=problems) from cause
