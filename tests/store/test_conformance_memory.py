"""The memory store keeps the promises of every store."""

import pytest

from dagflow.core.storage import Store
from dagflow.store.memory import MemoryStore
from dagflow.testing.store_conformance import StoreConformance


class TestMemoryStore(StoreConformance):
    """All cases but those that need a second process."""

    survives_reopen = False
    lease_timeout = 0.0
    clock_skew = 0.0

    @pytest.fixture
    def store(self) -> Store:
        return MemoryStore()
