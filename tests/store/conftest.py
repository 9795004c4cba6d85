"""A private Redis server for the tests of stores, one for each worker, and a store of its own for each test."""

from collections.abc import Iterator
from itertools import count

import pytest

from dagflow.store.redis import RedisStore
from dagflow.testing.redis_server import RedisServer

_numbers = count(1)


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """The URL of a server that writes each append to its disk; no test may stop it."""
    if reason := RedisServer.missing():
        pytest.skip(reason)
    with RedisServer() as server:
        yield server.url


@pytest.fixture
def redis_prefix() -> str:
    """A prefix of keys that no other test has."""
    return f"test {next(_numbers)}:"


@pytest.fixture
def redis_store(redis_url: str, redis_prefix: str) -> RedisStore:
    """An empty store."""
    return RedisStore(redis_url, prefix=redis_prefix)
