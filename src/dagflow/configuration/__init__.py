"""The configuration file of pipelines: which executor, store, catalog and secrets a run has."""

from dagflow.configuration.kinds import (
    KINDS,
    ChainedSecretsOptions,
    DotenvSecretsOptions,
    EnvironmentSecretsOptions,
    FileCatalogOptions,
    LocalExecutorOptions,
    MemoryStoreOptions,
    NoCatalogOptions,
    NoSecretsOptions,
    RedisStoreOptions,
    SQLiteStoreOptions,
)
from dagflow.configuration.model import Choice, Configuration, ConfigurationError, Kinds, Plugins
from dagflow.configuration.reading import load_configuration, read_configuration

__all__ = [
    "KINDS",
    "ChainedSecretsOptions",
    "Choice",
    "Configuration",
    "ConfigurationError",
    "DotenvSecretsOptions",
    "EnvironmentSecretsOptions",
    "FileCatalogOptions",
    "Kinds",
    "LocalExecutorOptions",
    "MemoryStoreOptions",
    "NoCatalogOptions",
    "NoSecretsOptions",
    "Plugins",
    "RedisStoreOptions",
    "SQLiteStoreOptions",
    "load_configuration",
    "read_configuration",
]
