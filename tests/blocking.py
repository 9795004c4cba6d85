"""A pytest plugin: every test runs under a detector that fails it where dagflow blocks an event loop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from dagflow.testing.blocking import blocking_detector, intercepting

ALLOWED: dict[str, str] = {
    "dagflow.kernel.process:start": "a vfork and an exec, about a millisecond; a thread that does it cannot be "
    "cancelled, and a child that it started meanwhile would have to be found",
    "dagflow.kernel.process:Child._kill_now": "the last resort where awaiting was cut short, for a second at most",
    "dagflow.kernel.session:living": "reads /proc, which is no disk",
    "dagflow.declarative.api:load_and_compile": "sync by contract; load_and_compile_async has a thread for it",
    "dagflow.lm.claude_cli.backend:ClaudeCLIBackend.__init__": "looks for the program on the PATH, once",
    "dagflow.lm.pydantic_ai.source:ModelSource.make": "pydantic-ai makes its client, and reads certificates, once",
    "dagflow.lm.wrappers.cache:cached": "sync by contract: opens its file once, when it is made",
    "dagflow.optimize.compiled:CompiledGraph.save": "sync by contract: the caller says where it runs",
    "dagflow.web.limits:BodyLimit.__call__": "FastAPI looks for optional modules with its first request",
    "dagflow.web.limits:BearerToken.__call__": "FastAPI looks for optional modules with its first request",
    "dagflow.web.serving:Announced.__call__": "FastAPI looks for optional modules with its first request",
    "dagflow.capture.prints:RoutedStream.write": "what is not captured is printed as it is without us",
    "dagflow.capture.prints:RoutedStream.flush": "what is not captured is printed as it is without us",
    "dagflow.capture.prints:RoutedBuffer.write": "what is not captured is printed as it is without us",
    "dagflow.capture.output:TaskOutput.take": "a print past 1 MiB that waits for the file writes there itself",
    "dagflow.optimize.compiled:CompiledGraph.load": "sync by contract: the caller says where it runs",
}
"""The functions of dagflow that may make blocking calls on the async path, each with the reason."""

session = ExitStack()


def pytest_configure(config: pytest.Config) -> None:
    """Name the mark, and stand between event loops and blocking functions once for all tests."""
    config.addinivalue_line("markers", "blocking_ok(reason): dagflow may block the event loop, for the reason given")
    session.enter_context(intercepting())


def pytest_unconfigure(config: pytest.Config) -> None:
    """Put everything back."""
    session.close()


@pytest.fixture(autouse=True)
def no_blocking_calls(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test in which code of dagflow's, be it called by the test or not, blocks an event loop."""
    mark = request.node.get_closest_marker("blocking_ok")
    if mark is not None:
        assert mark.args, "blocking_ok needs a reason"
        yield
        return
    with blocking_detector("dagflow", exclude=["dagflow.testing"], allow=ALLOWED):
        yield
