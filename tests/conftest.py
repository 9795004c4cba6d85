"""Every test runs on asyncio and on trio unless it is marked `one_backend` with a reason."""

import gc
import os
from collections import Counter
from collections.abc import Generator

import pytest
from hypothesis import settings

pytest_plugins = ["blocking"]

# How long an example takes on a busy machine says nothing about the code.
settings.register_profile("dagflow", settings(), deadline=None)
settings.load_profile("dagflow")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option for the tests that cost money, or need what is not everywhere."""
    parser.addoption("--run-e2e", action="store_true", help="also ask real services (tests/e2e); see the end of it all")
    parser.addoption("--evict", action="store_true", help="drop every run after each commit, and go on with a new one")


def pytest_configure(config: pytest.Config) -> None:
    """Name the mark of the tests that ask real services."""
    config.addinivalue_line("markers", "e2e: asks a real service; runs with --run-e2e only")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the tests that ask real services out unless they are wanted; not as skipped, which is for surprises."""
    if config.getoption("--evict"):
        from durable import evicting

        evicting.leave_out(config, items)
    if config.getoption("--run-e2e"):
        return
    unwanted = [item for item in items if item.get_closest_marker("e2e")]
    if unwanted:
        config.hook.pytest_deselected(items=unwanted)
        items[:] = [item for item in items if not item.get_closest_marker("e2e")]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Tell which real services were asked, and what the others would have needed; and how often runs were dropped."""
    if config.getoption("--evict"):
        from durable import evicting

        terminalreporter.write_line(f"runs were dropped {evicting.Evicting.dropped} times")
    if not config.getoption("--run-e2e"):
        return
    counts: dict[str, Counter[str]] = {}
    about: dict[str, object] = {}
    for outcome in ("passed", "failed", "error", "skipped"):
        for report in terminalreporter.stats.get(outcome, ()):
            # From the fixture that makes the backend; also from a worker of pytest-xdist.
            told = dict(getattr(report, "user_properties", ()))
            if "service" in told:
                counts.setdefault(told["service"], Counter())[outcome] += 1
                about[told["service"]] = told["about"]
    terminalreporter.section("end-to-end tests against real services")
    for service, count in sorted(counts.items()):
        results = ", ".join(f"{number} {outcome}" for outcome, number in count.items())
        terminalreporter.line(f"{service}: {results} ({about[service]})")


@pytest.fixture(autouse=True)
def _evict(request: pytest.FixtureRequest) -> None:
    """Where `--evict` is given, run typed graphs as tests/durable/evicting.py says."""
    if request.config.getoption("--evict"):
        from durable import evicting

        evicting.install(request.getfixturevalue("monkeypatch"))


@pytest.fixture(scope="module", autouse=True)
def _old_heap() -> None:
    """Take what is there already out of the collector's sight: over all that is imported it takes ten times as long."""
    gc.collect()
    gc.freeze()


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """The event loop that a test runs on."""
    return str(request.param)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where `DAGFLOW_NO_SKIPS` is set, as in CI, a test that is skipped fails: its real part must be there."""
    report = yield
    if report.skipped and os.environ.get("DAGFLOW_NO_SKIPS") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped where it should have run: {report.longrepr}"
    return report
