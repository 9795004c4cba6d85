"""From a configuration, which only names things, to the services of a run."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import attrs

from dagflow import plugins
from dagflow.catalog.files import FileCatalog
from dagflow.configuration import kinds
from dagflow.configuration.model import Choice, Configuration
from dagflow.pipeline.executors import AsyncLocalExecutor, LocalExecutor
from dagflow.pipeline.ports import Services
from dagflow.secret_stores import ChainedSecrets, DotenvSecrets, EnvironmentSecrets

__all__ = ["InstalledTypes", "services_of"]

PLUGINS: Mapping[str, str] = {"executor": "executors", "store": "stores", "catalog": "catalogs", "secrets": "secrets"}
"""The kind of plug-ins that each section may name."""


class InstalledTypes:
    """What installed packages add to the types that the sections of a configuration may name."""

    def names(self, section: str) -> Collection[str]:
        """Name those of a section."""
        # The secrets of a mapping would have to stand in the file.
        return [name for name in plugins.names(PLUGINS[section]) if (section, name) != ("secrets", "mapping")]

    def problems(self) -> Collection[str]:
        """Tell what is wrong with the metadata of packages."""
        return [str(problem) for problem in plugins.problems()]

    def read(self, section: str, name: str, options: Mapping[str, Any]) -> plugins.PluginOptions:
        """Read the options of one, which is imported; raises `InvalidAnswer` and `PluginError`."""
        return plugins.read_options(PLUGINS[section], name, options)


def services_of(configuration: Configuration, environ: Mapping[str, str]) -> Services:
    """Make the services that a configuration names; those that it does not name are missing."""
    maker = Maker(configuration.folder or Path(), environ)
    executor = configuration.executor
    found: dict[str, Any] = {
        section: maker.make(choice)
        for section in ("executor", "store", "catalog", "secrets")
        if (choice := getattr(configuration, section)) is not None
    }
    limit = getattr(executor.options, "max_concurrency", None) if executor is not None else None
    return Services(max_concurrency=limit, **found)


@attrs.frozen
class Maker:
    """Makes the object that a section of a configuration names; `folder` is what relative paths begin at."""

    folder: Path
    environ: Mapping[str, str] = attrs.field(repr=False)

    def make(self, choice: Choice) -> Any:
        """Make it; raises `PluginError` where a plug-in does not let itself be made."""
        options = choice.options
        found = MAKERS.get(type(options))
        return options.make(self.folder) if found is None else found(self, choice)

    def executor(self, choice: Choice) -> Any:
        """An executor that works in this process."""
        return AsyncLocalExecutor() if choice.type == AsyncLocalExecutor.service_name else LocalExecutor()

    def memory_store(self, choice: Choice) -> Any:
        """A store in this process."""
        from dagflow.store.memory import MemoryStore

        return MemoryStore(ttl=choice.options.ttl)

    def sqlite_store(self, choice: Choice) -> Any:
        """A store in a file."""
        from dagflow.store.sqlite import SQLiteStore

        return SQLiteStore(self.folder / choice.options.path, ttl=choice.options.ttl)

    def redis_store(self, choice: Choice) -> Any:
        """A store in a server."""
        from dagflow.store.redis import RedisStore

        return RedisStore(choice.options.url, prefix=choice.options.prefix, ttl=choice.options.ttl)

    def catalog(self, choice: Choice) -> Any:
        """A catalog in a folder."""
        return FileCatalog(self.folder / choice.options.root)

    def environment_secrets(self, choice: Choice) -> Any:
        """Secrets of the environment that the run began with."""
        return EnvironmentSecrets(self.environ, choice.options.prefix)

    def dotenv_secrets(self, choice: Choice) -> Any:
        """Secrets of a file."""
        return DotenvSecrets(self.folder / choice.options.path)

    def chained_secrets(self, choice: Choice) -> Any:
        """Secrets of several places."""
        return ChainedSecrets([self.make(inner) for inner in choice.options.providers])

    def nothing(self, choice: Choice) -> Any:
        """What is named in order to have none."""
        return None


MAKERS: Mapping[type[Any], Callable[[Maker, Choice], Any]] = {
    kinds.LocalExecutorOptions: Maker.executor,
    kinds.MemoryStoreOptions: Maker.memory_store,
    kinds.SQLiteStoreOptions: Maker.sqlite_store,
    kinds.RedisStoreOptions: Maker.redis_store,
    kinds.FileCatalogOptions: Maker.catalog,
    kinds.NoCatalogOptions: Maker.nothing,
    kinds.EnvironmentSecretsOptions: Maker.environment_secrets,
    kinds.DotenvSecretsOptions: Maker.dotenv_secrets,
    kinds.ChainedSecretsOptions: Maker.chained_secrets,
    kinds.NoSecretsOptions: Maker.nothing,
}
