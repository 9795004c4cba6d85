"""The types that each section of a configuration may name, and their options."""

from __future__ import annotations

from typing import Any

import attrs

from dagflow.configuration.model import Kinds

__all__ = [
    "KINDS",
    "ChainedSecretsOptions",
    "DotenvSecretsOptions",
    "EnvironmentSecretsOptions",
    "FileCatalogOptions",
    "LocalExecutorOptions",
    "MemoryStoreOptions",
    "NoCatalogOptions",
    "NoSecretsOptions",
    "RedisStoreOptions",
    "SQLiteStoreOptions",
]

POSITIVE = attrs.validators.optional(attrs.validators.gt(0))
AT_LEAST_ONE = attrs.validators.optional(attrs.validators.ge(1))


@attrs.frozen(kw_only=True)
class LocalExecutorOptions:
    """Tasks run in this process; `max_concurrency` is how many at once, without it as many as there are."""

    max_concurrency: int | None = attrs.field(default=None, validator=AT_LEAST_ONE)


@attrs.frozen(kw_only=True)
class MemoryStoreOptions:
    """Runs are recorded in this process; `ttl` is how many seconds after its last event a run is kept."""

    ttl: float | None = attrs.field(default=None, validator=POSITIVE)


@attrs.frozen(kw_only=True)
class SQLiteStoreOptions:
    """Runs are recorded in the file at `path`."""

    path: str
    ttl: float | None = attrs.field(default=None, validator=POSITIVE)


@attrs.frozen(kw_only=True)
class RedisStoreOptions:
    """Runs are recorded in the Redis at `url`, under keys that begin with `prefix`."""

    url: str = attrs.field(repr=False)
    ttl: float | None = attrs.field(default=None, validator=POSITIVE)
    prefix: str = "dagflow:"


@attrs.frozen(kw_only=True)
class FileCatalogOptions:
    """Files are kept below the folder `root`."""

    root: str


@attrs.frozen(kw_only=True)
class NoCatalogOptions:
    """No files are kept; a task that wants some is an error."""


@attrs.frozen(kw_only=True)
class EnvironmentSecretsOptions:
    """Secrets are environment variables whose names begin with `prefix`."""

    prefix: str = ""


@attrs.frozen(kw_only=True)
class DotenvSecretsOptions:
    """Secrets are in the dotenv file at `path`."""

    path: str = ".env"


@attrs.frozen(kw_only=True)
class NoSecretsOptions:
    """There are no secrets."""


@attrs.frozen(kw_only=True)
class ChainedSecretsOptions:
    """Secrets are looked for in several places, one after the other; `providers` are sections like `secrets` itself.

    They are read by the same rules: each becomes a `Choice`.
    """

    providers: list[Any] = attrs.field(validator=attrs.validators.min_len(1))


KINDS: Kinds = {
    "executor": {"local": LocalExecutorOptions, "async-local": LocalExecutorOptions},
    "store": {"memory": MemoryStoreOptions, "sqlite": SQLiteStoreOptions, "redis": RedisStoreOptions},
    "catalog": {"file-system": FileCatalogOptions, "do-nothing": NoCatalogOptions},
    "secrets": {
        "environment": EnvironmentSecretsOptions,
        "dotenv": DotenvSecretsOptions,
        "chain": ChainedSecretsOptions,
        "do-nothing": NoSecretsOptions,
    },
}
"""The types that come with dagflow; what plug-ins add is given to `read_configuration`."""
