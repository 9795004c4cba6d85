"""Reading a configuration, from plain data, from text or from a file."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NoReturn, TypeAlias

import attrs
from anyio.to_thread import run_sync

from dagflow.configuration.expanding import Expansion
from dagflow.configuration.kinds import KINDS, ChainedSecretsOptions
from dagflow.configuration.model import SECTIONS, Choice, Configuration, ConfigurationError, Kinds
from dagflow.core.answers import InvalidAnswer
from dagflow.core.structure import nearest, structure
from dagflow.errors import InvalidField

__all__ = ["MAX_BYTES", "Read", "load_configuration", "read_configuration"]

MAX_BYTES: Final = 1024 * 1024
"""How large a file may be."""

Read: TypeAlias = Callable[[str], Any]
"""Reads the text of a file, as YAML say, into plain data; whatever it raises says what is wrong with the text."""


async def load_configuration(
    path: str | os.PathLike[str],
    *,
    environment: Mapping[str, str],
    read: Read | None = None,
    kinds: Kinds | None = None,
) -> Configuration:
    """Read the configuration file at `path`, in a worker thread; see `read_configuration`.

    Raises `ConfigurationError`, also where the file cannot be read.
    """
    shown = os.fspath(path)

    def load() -> Configuration:
        text = _read_file(shown)
        found = read_configuration(text, environment=environment, read=read, kinds=kinds, subject=shown)
        return attrs.evolve(found, folder=Path(os.path.abspath(shown)).parent)

    return await run_sync(load)


def read_configuration(
    source: Mapping[str, Any] | str,
    *,
    environment: Mapping[str, str],
    read: Read | None = None,
    kinds: Kinds | None = None,
    subject: str = "the configuration",
) -> Configuration:
    """Read a configuration from plain data or from a text, which is JSON unless `read` reads it.

    `${NAME}` in a text is a variable of `environment`. Nothing else of the process is looked at. `kinds` are types of
    plug-ins, beside those of `KINDS` and in their place. `subject` names the configuration in errors.

    Raises `ConfigurationError` with everything that is wrong: sections, types and options that there are not (the
    nearest name is suggested), values that do not fit, variables that are not set.
    """
    data = _parse(source, read, subject) if isinstance(source, str) else source
    if data is None:  # an empty file
        data = {}
    if not isinstance(data, Mapping):
        _refuse(subject, [InvalidField("$", f"expected an object with {', '.join(SECTIONS)}, got something else")])
    expansion = Expansion(environment)
    expanded = expansion.expand(data)
    reader = _Reader(_merged(kinds or {}), expansion)
    found = reader.read(expanded)
    problems = [*expansion.problems, *reader.problems]
    if problems:
        _refuse(subject, problems)
    return found


def _merged(kinds: Kinds) -> Kinds:
    unknown = kinds.keys() - set(SECTIONS)
    if unknown:
        raise ValueError(f"there is no section {min(unknown)!r} of a configuration; there are {', '.join(SECTIONS)}")
    return {section: {**KINDS[section], **kinds.get(section, {})} for section in SECTIONS}


@attrs.define
class _Reader:
    kinds: Kinds
    expansion: Expansion
    problems: list[InvalidField] = attrs.field(factory=list)

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
        known = self.kinds[section]
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
            self._tell(f"{path}.type", f"expected one of {allowed}; {told}{nearest(chosen, known)}")
            return None
        try:
            options: Any = structure({key: value for key, value in data.items() if key != "type"}, known[chosen])
        except InvalidAnswer as error:
            for item in error.invalid:
                self._tell(path + item.path.removeprefix("$"), item.problem)
            return None
        if isinstance(options, ChainedSecretsOptions):
            options = self._chain(options, path)
        return Choice(chosen, options)

    def _chain(self, options: ChainedSecretsOptions, path: str) -> ChainedSecretsOptions:
        choices = [
            self._choice("secrets", item, f"{path}.providers[{index}]") for index, item in enumerate(options.providers)
        ]
        return attrs.evolve(options, providers=choices)

    def _tell(self, path: str, problem: str) -> None:
        names = self.expansion.variables_at(path)
        if names and " stands for" not in problem:
            # The problem would show what is in the variable, and that may be a secret.
            expected = problem.partition(", got ")[0] if problem.startswith("expected ") else "does not fit"
            problem = f"{expected}, got what {' and '.join(f'${{{name}}}' for name in names)} stands for, a text"
        self.problems.append(InvalidField(path, problem))


def _parse(text: str, read: Read | None, subject: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_constant) if read is None else read(text)
    except RecursionError as error:
        raise ConfigurationError(f"{subject} cannot be read: it is nested too deeply") from error
    except Exception as error:
        what = f"it is no JSON: {error}" if read is None else str(error)
        raise ConfigurationError(f"{subject} cannot be read: {what}") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key!r} is there twice")
        found[key] = value
    return found


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")


def _read_file(path: str) -> str:
    try:
        # A pipe without a writer would make us wait.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ConfigurationError(f"{path} is no configuration: it is no regular file")
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise ConfigurationError(f"{path} is no configuration: it has more than {MAX_BYTES} bytes")
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"the configuration {path} cannot be read: it is not UTF-8") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        why = getattr(error, "strerror", None) or str(error)
        raise ConfigurationError(f"the configuration {path} cannot be read: {why}") from error


def _refuse(subject: str, problems: list[InvalidField]) -> NoReturn:
    lines = "\n".join(f"  - {problem}" for problem in problems)
    raise ConfigurationError(f"{subject} is wrong:\n{lines}", invalid=problems)
