"""The Redis store keeps the promises that all stores make, whatever is done in whatever order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

import pytest
from hypothesis.stateful import run_state_machine_as_test

from dagflow.store.redis import RedisStore
from dagflow.testing.store_conformance import StoreConformance, store_machine

LEASE = 1.0

_numbers = count(1)


def make_store(url: str, prefix: str) -> RedisStore:
    """Make a store whose leases end soon, here or in another process."""
    return RedisStore(url, prefix=prefix, lease=LEASE)


class TestRedisStore(StoreConformance):
    """On a real server that writes each append to its disk."""

    lease_timeout = LEASE + 1
    factory = "store.test_redis_store_conformance:make_store"

    @pytest.fixture
    def store(self, redis_url: str, redis_prefix: str) -> RedisStore:
        self.arguments = {"url": redis_url, "prefix": redis_prefix}
        return make_store(**self.arguments)

    def reopen(self, store: object) -> RedisStore:
        return make_store(**self.arguments)

    def factory_arguments(self, store: object) -> Mapping[str, Any]:
        return self.arguments


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_redis_store_is_like_the_model(redis_url: str, backend: str) -> None:
    """Whatever is called in whatever order, a Redis store answers what a plain model does."""
    machine = store_machine(
        lambda: make_store(redis_url, f"machine {next(_numbers)}:"), reopened(redis_url), backend=backend
    )
    run_state_machine_as_test(machine)  # type: ignore[no-untyped-call]


def reopened(url: str) -> Callable[[Any], RedisStore]:
    return lambda store: RedisStore(url, prefix=store._terms.keys.prefix, lease=LEASE)
