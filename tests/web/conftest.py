"""All tests of the web front run under a detector of blocking calls."""

from collections.abc import Iterator

import pytest

from web.blocking import detecting_blocking_calls


@pytest.fixture(autouse=True)
def no_blocking_calls() -> Iterator[None]:
    """Fail on a blocking call in an event loop."""
    with detecting_blocking_calls():
        yield
