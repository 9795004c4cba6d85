"""Check that a store of journals keeps the promises of `dagflow.core.storage`, with cases that pytest collects.

A store of your own is tested by a class with one fixture:

    from dagflow.testing.store_conformance import StoreConformance

    class TestMyStore(StoreConformance):
        @pytest.fixture
        def store(self, tmp_path): return MyStore(tmp_path / "runs")

That runs every case on asyncio and on trio; it needs the `testing` extra, and no configuration. The fixture gives a
store with nothing in it, each time another. What else the kit can be told, as attributes and methods of the class:

- `reopen(store)` gives another `Store` object on the same data, as a new process would make it. For a store that
  keeps nothing beyond the object, say `survives_reopen = False`.
- `factory = "package.module:function"` and `factory_arguments(store)`, a dictionary that can be written as JSON, let
  other processes make the store: they are killed while they append. Without a factory nothing is known about crashes.
- `lease_timeout` is how many seconds after its owner's death a lease is free; `0.0` where it is at once.
- `clock_skew` is how many seconds the store's clock may differ from this machine's.
- `anyio_backend` is a fixture that may be overridden for other event loop options.

`store_machine(make_store, reopen, backend=...)` makes a Hypothesis state machine that compares a store with a model,
over calls in any order, wrong ones included:

    from hypothesis.stateful import run_state_machine_as_test

    @pytest.mark.parametrize("backend", ["asyncio", "trio"])
    def test_my_store_is_like_the_model(tmp_path, backend):
        paths = (tmp_path / str(n) for n in itertools.count())
        machine = store_machine(lambda: MyStore(next(paths)), lambda store: MyStore(store.path), backend=backend)
        run_state_machine_as_test(machine)

What a store must hold: texts of records and values, and names of graphs, are any `str` without lone surrogates, the
empty one and NUL included, a million characters and more; thread ids are what `check_thread_id` lets pass.

The parts can be used alone (`Appending`, `Crashing`, ...), for one kind of case after the other.
"""

import pytest

PARTS = (
    "appending",
    "cancel_requests",
    "cancellation",
    "case",
    "concurrency",
    "crashing",
    "deleting",
    "finding",
    "leases",
    "listing",
    "machine",
    "model",
    "reading",
    "reopening",
    "sessions",
    "values",
)
# By name, and before they are imported: so their plain asserts tell what was expected and what came.
pytest.register_assert_rewrite(*(f"{__name__}.{part}" for part in PARTS))

from dagflow.testing.store_conformance.appending import Appending  # noqa: E402
from dagflow.testing.store_conformance.cancel_requests import CancelRequests  # noqa: E402
from dagflow.testing.store_conformance.cancellation import Cancellation  # noqa: E402
from dagflow.testing.store_conformance.concurrency import Concurrency  # noqa: E402
from dagflow.testing.store_conformance.crashing import Crashing  # noqa: E402
from dagflow.testing.store_conformance.deleting import Deleting  # noqa: E402
from dagflow.testing.store_conformance.finding import Finding  # noqa: E402
from dagflow.testing.store_conformance.leases import Leases  # noqa: E402
from dagflow.testing.store_conformance.listing import Listing  # noqa: E402
from dagflow.testing.store_conformance.machine import store_machine  # noqa: E402
from dagflow.testing.store_conformance.reading import Reading  # noqa: E402
from dagflow.testing.store_conformance.reopening import Reopening  # noqa: E402
from dagflow.testing.store_conformance.sessions import Sessions  # noqa: E402
from dagflow.testing.store_conformance.values import Values  # noqa: E402

__all__ = [
    "Appending",
    "CancelRequests",
    "Cancellation",
    "Concurrency",
    "Crashing",
    "Deleting",
    "Finding",
    "Leases",
    "Listing",
    "Reading",
    "Reopening",
    "Sessions",
    "StoreConformance",
    "Values",
    "store_machine",
]


class StoreConformance(
    Appending,
    Reading,
    Values,
    Leases,
    CancelRequests,
    Finding,
    Listing,
    Deleting,
    Sessions,
    Concurrency,
    Cancellation,
    Reopening,
    Crashing,
):
    """Every case there is: subclass it and override the fixture `store`."""
