"""The Redis store keeps the promises of every store, on a real server and through crashes of its clients."""

from collections.abc import Mapping
from typing import Any

import pytest

from dagflow.core.storage import Store
from dagflow.store.redis import RedisStore
from dagflow.testing.store_conformance import Crashing, StoreConformance

pytestmark = pytest.mark.slow  # as a whole: hundreds of cases that each open a store anew


class OnOneServer:
    """A store with a prefix of its own; its arguments are remembered for the next object on the same data."""

    lease = 10.0
    clock_skew = 0.1

    @pytest.fixture
    def store(self, redis_url: str, redis_prefix: str) -> Store:
        self.arguments: Mapping[str, Any] = {"url": redis_url, "prefix": redis_prefix, "lease": self.lease}
        return RedisStore(**self.arguments)

    def reopen(self, store: Store) -> Store:
        return RedisStore(**self.arguments)

    def factory_arguments(self, store: Store) -> Mapping[str, Any]:
        return self.arguments


class TestRedisStore(OnOneServer, StoreConformance):
    """All cases but those that kill processes; a session that is closed gives its leases back."""

    lease_timeout = 0.0


class TestRedisStoreCrashing(OnOneServer, Crashing):
    """The cases that kill processes, whose leases end by themselves."""

    lease = 1.5
    lease_timeout = 2.5
    factory = "dagflow.store.redis:RedisStore"
