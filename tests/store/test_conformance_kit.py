"""The conformance kit accepts a store that keeps its promises, and notices one that breaks any of them."""

import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

import store.broken_stores
from dagflow.core.storage import Store
from dagflow.testing import store_conformance
from dagflow.testing.store_conformance import StoreConformance, store_machine
from store.broken_stores import CAUGHT_BY, CAUGHT_IN_A_CRASH
from store.reference_store import ReferenceSession, ReferenceStore, store_with

pytest_plugins = ["pytester"]

FIVE_LINES = """
import pytest
from dagflow.testing.store_conformance import StoreConformance
from store.broken_stores import *
from store.reference_store import *
class TestMyStore(StoreConformance):
    {options}
    @pytest.fixture
    def store(self, tmp_path): return {store}
"""

BREAKS_IN_A_CRASH = """
import pytest
from dagflow.testing.store_conformance import Crashing
from store.broken_stores import OnDisk
class TestMyStore(Crashing):
    factory = "store.broken_stores:OnDisk"
    lease_timeout = 0.0
    @pytest.fixture
    def store(self, tmp_path):
        self.arguments = {{"path": str(tmp_path / "runs.db"), "variant": "{variant}"}}
        return OnDisk(**self.arguments)
    def factory_arguments(self, store): return self.arguments
"""

PARTS = StoreConformance.__mro__[1:-2]


def make(variant: type[ReferenceSession] | type[ReferenceStore]) -> Store:
    return store_with(variant) if issubclass(variant, ReferenceSession) else variant()


def test_every_case_has_a_name_of_its_own() -> None:
    """No case of one part hides a case of another, and there are a hundred at least without their parameters."""
    names = Counter(name for part in PARTS for name in vars(part) if name.startswith("test_"))
    assert [] == [name for name, count in names.items() if count > 1]
    assert len(names) >= 100


def test_every_part_can_be_used_alone() -> None:
    """The package exports each part that `StoreConformance` is composed of."""
    assert set() == {part.__name__ for part in PARTS} - {*store_conformance.__all__, "StoreCase"}


def test_every_case_states_its_invariant() -> None:
    """Each case says in its docstring what it checks."""
    cases = [case for part in PARTS for name, case in vars(part).items() if name.startswith("test_")]
    assert [] == [case for case in cases if not (case.__doc__ or "").endswith(".")]


class TestReferenceStore(StoreConformance):
    """A store that keeps its promises passes every case."""

    survives_reopen = False
    lease_timeout = 0.0

    @pytest.fixture
    def store(self) -> Store:
        return ReferenceStore()


def test_cases_that_cannot_hold_are_not_collected() -> None:
    """`survives_reopen = False` takes the cases of `Reopening` out, and no `factory` those of `Crashing`."""
    reopening = [name for name in vars(store_conformance.Reopening) if name.startswith("test_")]
    crashing = [name for name in vars(store_conformance.Crashing) if name.startswith("test_")]
    assert {None} == {getattr(TestReferenceStore, name) for name in [*reopening, *crashing]}

    class WithReopening(StoreConformance):
        pass

    assert {None} == {getattr(WithReopening, name) for name in crashing}
    assert None not in {getattr(WithReopening, name) for name in reopening}

    class WithFactory(WithReopening):
        factory = "package.module:function"

    assert None not in {getattr(WithFactory, name) for name in crashing}


@pytest.mark.slow
def test_third_parties_need_five_lines(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kit runs from an installed package, without configuration, on both backends, and tells what failed."""
    monkeypatch.setenv("PYTHONPATH", os.fspath(Path(__file__).parents[1]))
    options = "survives_reopen = False"
    module = pytester.makepyfile(FIVE_LINES.format(options=options, store="store_with(LosesTheLastRecord)"))
    items, _ = pytester.inline_genitems(module)
    for backend in ("asyncio", "trio"):
        assert 100 <= sum(f"[{backend}" in item.name for item in items)
    result = pytester.runpytest_subprocess(f"{module.name}::TestMyStore::test_appended_records_are_read_in_order")
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*AssertionError: assert *Record(seq=1*", "*Left contains one more item*record 3*"])


@pytest.mark.slow
@pytest.mark.parametrize("variant", CAUGHT_BY, ids=lambda variant: variant.__name__)
def test_a_broken_store_is_noticed(
    pytester: pytest.Pytester, variant: type[ReferenceSession] | type[ReferenceStore]
) -> None:
    """A store that breaks one promise fails the case that is made for it, on both backends."""
    call = f"store_with({variant.__name__})" if issubclass(variant, ReferenceSession) else f"{variant.__name__}()"
    options = "survives_reopen = False; lease_timeout = 0.0"
    module = pytester.makepyfile(FIVE_LINES.format(options=options, store=call))
    run = pytester.inline_run("-p", "no:cacheprovider", f"{module.name}::TestMyStore::{CAUGHT_BY[variant]}")
    passed, skipped, failed = run.listoutcomes()
    assert [] == skipped
    backends = {backend for report in failed for backend in ("asyncio", "trio") if backend in report.nodeid}
    assert {"asyncio", "trio"} == backends, f"passed: {[report.nodeid for report in passed]}"


@pytest.mark.slow
@pytest.mark.parametrize("variant", CAUGHT_IN_A_CRASH)
def test_a_store_that_breaks_in_a_crash_is_noticed(pytester: pytest.Pytester, variant: str, anyio_backend: str) -> None:
    """A store that is right as long as nobody kills its processes fails the cases that do."""
    module = pytester.makepyfile(BREAKS_IN_A_CRASH.format(variant=variant))
    case = CAUGHT_IN_A_CRASH[variant].format(backend=anyio_backend)
    run = pytester.inline_run("-p", "no:cacheprovider", f"{module.name}::TestMyStore::{case}")
    assert (0, 0, 1) == tuple(map(len, run.listoutcomes()))
    (report,) = run.getfailures()
    assert "the process was to be killed" not in str(report.longrepr), report.longrepr


@pytest.mark.slow
def test_a_store_that_cannot_be_reopened_is_told(pytester: pytest.Pytester) -> None:
    """Without `reopen`, and without a word that there is none, the cases that need it are skipped with the reason."""
    module = pytester.makepyfile(FIVE_LINES.format(options="", store="ReferenceStore()"))
    run = pytester.inline_run("-p", "no:cacheprovider", f"{module.name}::TestMyStore::test_everything_survives")
    passed, skipped, failed = run.listoutcomes()
    assert (0, 2, 0) == (len(passed), len(skipped), len(failed))
    assert "does not tell how to `reopen` its store" in str(skipped[0].longrepr)


@pytest.mark.slow
@pytest.mark.parametrize(
    "variant",
    [
        store.broken_stores.LosesTheLastRecord,
        store.broken_stores.ChecksNoNumbers,
        store.broken_stores.LooksAtNumbersOnlyForRepetition,
        store.broken_stores.WritesWithoutTheLease,
        store.broken_stores.OverwritesValues,
        store.broken_stores.GivesALeaseTwice,
        store.broken_stores.LeavesALeaseWhenCancelled,
        store.broken_stores.DeletesUnderTheHolder,
    ],
    ids=lambda variant: variant.__name__,
)
def test_a_broken_store_is_unlike_the_model(anyio_backend: str, variant: type[ReferenceSession]) -> None:
    """The machine finds calls by which a broken store is told from the model."""
    machine = store_machine(lambda: store_with(variant), backend=anyio_backend)
    quick = settings(max_examples=200, stateful_step_count=30, phases=[Phase.generate], database=None, derandomize=True)
    with pytest.raises(BaseException):  # noqa: B017 (of whatever kind: also several at once)
        run_state_machine_as_test(machine, settings=quick)


@pytest.mark.slow
def test_the_reference_store_is_like_the_model(anyio_backend: str) -> None:
    """A store that keeps its promises does what the model does."""
    machine = store_machine(ReferenceStore, backend=anyio_backend)
    run_state_machine_as_test(machine, settings=settings(max_examples=40, stateful_step_count=30, deadline=None))
