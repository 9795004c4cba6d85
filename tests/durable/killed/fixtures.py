"""The fixtures of tests that kill processes: made once for all of a test run, as they take seconds to import.

A module that uses them says `pytest_plugins = ["durable.killed.fixtures"]`.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dagflow.testing.redis_server import RedisServer
from durable.killed.judge import Expected
from durable.killed.places import Places
from durable.killed.processes import Processes, fork_server, scratch
from durable.killed.sweep import expect

__all__ = ["expected", "places", "processes"]


@pytest.fixture(scope="session")
def processes() -> Iterator[Processes]:
    """Begins processes at the cost of a fork."""
    with fork_server() as server:
        yield server


@pytest.fixture(scope="session")
def places() -> Iterator[Places]:
    """Gives places in an SQLite store, and in a Redis one that writes each append to its disk."""
    if reason := RedisServer.missing():
        pytest.skip(reason)
    with scratch() as folder, RedisServer(folder) as server:
        yield Places(folder, server.url)


@pytest.fixture(scope="session")
def expected(processes: Processes, places: Places) -> Expected:
    """What the fifty nodes come to when nobody disturbs them."""
    return expect(processes, places.at("sqlite", "asyncio", "expected"))
