"""The SQLite store keeps the promises of every store, through crashes of its processes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from dagflow.core.storage import Store
from dagflow.store.sqlite import SQLiteStore
from dagflow.testing.store_conformance import Crashing, StoreConformance

pytestmark = pytest.mark.slow  # as a whole: hundreds of cases that each open a store anew


class OnOneFile:
    """A store on a file, whose leases end with their process."""

    lease_timeout = 0.0
    clock_skew = 0.0

    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        self.path = tmp_path / "runs.db"
        return SQLiteStore(self.path)

    def reopen(self, store: Store) -> Store:
        return SQLiteStore(self.path)

    def factory_arguments(self, store: Store) -> Mapping[str, Any]:
        return {"path": str(self.path)}


class TestSQLiteStore(OnOneFile, StoreConformance):
    """All cases but those that kill processes."""


class TestSQLiteStoreCrashing(OnOneFile, Crashing):
    """The cases that kill processes."""

    factory = "dagflow.store.sqlite:SQLiteStore"
