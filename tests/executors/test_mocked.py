"""Pipelines whose tasks do not do their work, but give what a test says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from dagflow.errors import NodeError
from dagflow.pipeline.composites import Map
from dagflow.pipeline.pipeline import Pipeline
from dagflow.pipeline.returns import Metric, Returned
from dagflow.pipeline.tasks import NotebookTask, PythonTask, ShellTask
from dagflow.testing import MockedExecutor
from dagflow.types import Retry


async def never(**all: Any) -> Any:
    raise AssertionError("its work was done")


async def never_yields(rows: list[str]) -> AsyncIterator[Returned]:
    raise AssertionError("its work was done")
    yield Returned(rows)


async def test_no_task_does_its_work() -> None:
    """Functions, generators, programs and notebooks give what was said, and that is checked and joined as ever."""

    def fetch(url: str) -> list[str]:
        raise AssertionError("its work was done")

    async def clean(row: str, **others: Any) -> float:
        assert {"url": "u", "rows": ["1", "2"]} == others
        return float(row)

    pipeline = Pipeline(
        [
            PythonTask(fetch, returns=["rows"]),
            Map("rows", PythonTask(never, name="clean", returns=["cleaned"]), as_="row"),
            PythonTask(never_yields, returns=["streamed"]),
            ShellTask("no-such-program", name="sort", returns=["first", "last"]),
            NotebookTask("no-such.ipynb", name="plot", returns=["figure", Metric("width")]),
        ]
    )
    executor = MockedExecutor(
        {
            "fetch": ["1", "2"],
            "clean": clean,
            "never_yields": 7,
            "sort": {"last": 2, "first": 1},
            "plot": ("figure.png", 8),
        }
    )
    result = await pipeline.execute(parameters={"url": "u"}, executor=executor)
    expected = {"rows": ["1", "2"], "cleaned": [1.0, 2.0], "streamed": 7, "first": 1, "last": 2, "width": 8}
    assert {"url": "u", "figure": "figure.png", **expected} == result.parameters
    assert ["fetch", "clean", "clean", "never_yields", "sort", "plot"] == [name for name, _ in executor.calls]
    assert {"url": "u"} == executor.calls[0][1]
    assert "mocked" == executor.service_name


async def test_a_task_that_is_named_nowhere_is_refused() -> None:
    """It does nothing, and the error names it and the nearest name; what is named in `real` does its work."""
    done: list[str] = []
    pipeline = Pipeline(
        [PythonTask(lambda: done.append("one"), name="one"), PythonTask(lambda: done.append("two"), name="second")]
    )
    with pytest.raises(NodeError, match=r"no result for task 'second'; did you mean 'secnd'\?; give it one, or name"):
        await pipeline.execute(executor=MockedExecutor({"secnd": None}, real=["one"]))
    assert ["one"] == done


async def test_a_result_that_does_not_fit_is_an_error_of_the_task() -> None:
    """Mocked results are matched to the declared returns as those of real work are."""
    pipeline = Pipeline([PythonTask(never, returns=["a", "b"])])
    with pytest.raises(NodeError, match="task never returned 1 value, and declares 'a', 'b'"):
        await pipeline.execute(executor=MockedExecutor({"never": (1,)}))


async def test_an_exception_is_raised() -> None:
    """A task whose result is an exception fails with it; retries and `on_failure` follow."""
    executor = MockedExecutor({"never": OSError("no route")})
    task = PythonTask(never, returns=["x"], retry=Retry(attempts=2, delay=0), on_failure="continue")
    result = await Pipeline([task]).execute(executor=executor)
    assert ["OSError: no route"] * 2 == [attempt.error for attempt in result.log.steps[0].attempts]
    assert 2 == len(executor.calls)
