"""Every test runs on asyncio and on trio unless it is marked `one_backend` with a reason."""

import pytest


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """The event loop that a test runs on."""
    return str(request.param)
