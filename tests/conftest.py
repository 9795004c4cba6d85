"""Every test runs on asyncio and on trio unless it is marked `one_backend` with a reason."""

import os
from collections.abc import Generator

import pytest
from hypothesis import settings

# How long an example takes on a busy machine says nothing about the code.
settings.register_profile("dagflow", settings(), deadline=None)
settings.load_profile("dagflow")


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
