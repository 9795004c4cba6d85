"""Every store behaves like the model, over calls that Hypothesis makes up."""

import itertools
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from dagflow.core.storage import Store
from dagflow.store.memory import MemoryStore
from dagflow.store.redis import RedisStore
from dagflow.store.sqlite import SQLiteStore
from dagflow.testing.store_conformance import store_machine

pytestmark = [pytest.mark.slow, pytest.mark.fuzz]

SCALE = int(os.environ.get("DAGFLOW_CAMPAIGN", "1"))


def compare(
    make_store: Callable[[], Store], reopen: Callable[[Store], Store] | None, backend: str, examples: int
) -> None:
    machine = store_machine(make_store, reopen, backend=backend)
    some = settings(
        max_examples=examples * SCALE,
        stateful_step_count=30,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    run_state_machine_as_test(machine, settings=some)


def test_the_memory_store_is_like_the_model(anyio_backend: str) -> None:
    """Right and wrong calls in any order do to a `MemoryStore` what they do to the model."""
    compare(MemoryStore, None, anyio_backend, 40)


def test_the_sqlite_store_is_like_the_model(tmp_path: Path, anyio_backend: str) -> None:
    """Right and wrong calls in any order, over several objects on one file, do to SQLite what they do to the model."""
    paths: dict[Store, Path] = {}
    numbers = itertools.count()

    def make_store() -> Store:
        return on(tmp_path / f"{next(numbers)}.db")

    def on(path: Path) -> Store:
        store = SQLiteStore(path)
        paths[store] = path
        return store

    compare(make_store, lambda store: on(paths[store]), anyio_backend, 15)


def test_the_redis_store_is_like_the_model(redis_url: str, redis_prefix: str, anyio_backend: str) -> None:
    """Right and wrong calls in any order, over several objects on one server, do to Redis what they do to the model."""
    prefixes: dict[Store, str] = {}
    numbers = itertools.count()

    def make_store() -> Store:
        return under(f"{redis_prefix}{next(numbers)}:")

    def under(prefix: str) -> Store:
        store = RedisStore(redis_url, prefix=prefix)
        prefixes[store] = prefix
        return store

    compare(make_store, lambda store: under(prefixes[store]), anyio_backend, 15)
