"""The adapters in a pipeline: files, captured output, notebooks, and the configuration file that names them."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from dagflow.capture import Capture
from dagflow.catalog import Catalog, CatalogError, FileCatalog
from dagflow.configuration import ConfigurationError
from dagflow.core.secrets import MASK, Secret
from dagflow.errors import GraphError
from dagflow.events import Printed
from dagflow.kernel.thread import Thread
from dagflow.pipeline.composites import Map
from dagflow.pipeline.executors import LocalExecutor
from dagflow.pipeline.pipeline import Pipeline
from dagflow.pipeline.tasks import NotebookTask, PythonTask, ShellTask, Stub
from dagflow.secret_stores import MappingSecrets
from dagflow.store.sqlite import SQLiteStore


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"executor": "local"}, "executor= takes an object such as LocalExecutor(), and not a str"),
        (
            {"executor": LocalExecutor},
            "executor= takes an object such as LocalExecutor(), and not the class LocalExecutor",
        ),
        ({"store": "runs.db"}, 'store= takes an object such as SQLiteStore("runs.db"), and not a str'),
        (
            {"secrets": {"TOKEN": "x"}},
            "secrets= takes an object such as EnvironmentSecrets(os.environ), and not a dict",
        ),
        ({"catalog": {}}, 'catalog= takes an object such as FileCatalog("files"), and not a dict'),
        ({"parameters": [1]}, "parameters= takes names with their values, and not a list"),
    ],
    ids=["executor", "class", "store", "secrets", "catalog", "parameters"],
)
async def test_what_is_no_service_is_told_before_the_run(options: dict[str, Any], problem: str) -> None:
    """Names and classes in the place of objects are errors that say what to pass."""
    with pytest.raises(TypeError, match=re.escape(problem)):
        await Pipeline([Stub()]).execute(**options)


# Files


@pytest.mark.slow
async def test_files_go_through_the_catalog(tmp_path: Path) -> None:
    """What one task puts another gets; the records are in the run log; a failed task keeps nothing."""
    catalog = FileCatalog(tmp_path / "catalog")
    work, other = tmp_path / "work", tmp_path / "other"
    work.mkdir()
    other.mkdir()
    steps = [
        ShellTask("printf 'b\\na\\n' > data.csv", shell=True, cwd=work, catalog=Catalog(put="*.csv"), name="write"),
        ShellTask("sort -o sorted.csv data.csv", cwd=other, catalog=Catalog(get="data.csv", put="sorted.csv")),
    ]  # fmt: skip
    result = await Pipeline(steps).execute(catalog=catalog, run_id="one")
    assert "a\nb\n" == (await catalog.read("one", "sorted.csv")).decode()
    write, sort = result.log.steps
    assert [("data.csv", "write")] == [(file["path"], file["task"]) for file in write.files["put"]]
    assert write.files["put"][0]["sha256"] == sort.files["got"][0]["sha256"]
    broken = ShellTask("echo x > new.csv; exit 1", shell=True, cwd=work, catalog=Catalog(put="new.csv"))
    with pytest.raises(Exception, match="exit status 1"):
        await Pipeline([broken]).execute(catalog=catalog, run_id="two")
    assert () == await catalog.files("two")


async def test_a_glob_that_matches_nothing_fails_the_task(tmp_path: Path) -> None:
    """The catalog's error names task and glob; without a catalog the run is refused before it begins."""
    task = PythonTask(lambda: 1, name="make", catalog=Catalog(put=["no-such-*.csv"]))
    with pytest.raises(CatalogError, match=r"make.*no-such-\*\.csv"):
        await Pipeline([task]).execute(catalog=FileCatalog(tmp_path))
    with pytest.raises(GraphError, match="its tasks have files for a catalog, and there is none"):
        await Pipeline([task]).execute()


# Captured output


async def test_logs_are_captured_and_told_apart(tmp_path: Path) -> None:
    """What concurrent items log is streamed as theirs, without secrets, and kept in a file of its own."""

    def work(item: int, token: str) -> None:
        logging.getLogger("work").warning("item %d of %s", item, token)

    pipeline = Pipeline([Map("items", PythonTask(work, secrets={"token": "TOKEN"}))])
    told: list[tuple[str, str, str]] = []
    async with pipeline.stream(
        parameters={"items": [0, 1, 2]}, secrets=MappingSecrets({"TOKEN": "hunter22"}), run_folder=tmp_path
    ) as events:
        async for event in events:
            if isinstance(event, Printed):
                told.append((event.stream, event.text, event.run.rpartition("/")[2][:3]))
    assert [("log", f"WARNING work: item {n} of {MASK}", f"[{n}]") for n in range(3)] == sorted(told)
    (log,) = events.result.log.steps
    for part in log.parts:
        path = Path(part.steps[0].files["output"])
        assert path.is_relative_to(tmp_path / "output")
        assert f"item {part.name.strip('[]')} of {MASK}\n" in path.read_text()


@pytest.mark.slow
async def test_the_output_of_programs_is_kept_in_the_catalogs_folder(tmp_path: Path) -> None:
    """With a catalog, output is kept below the run's folder there, whole."""
    code = "for n in range(1000): print('line', n)"
    catalog = FileCatalog(tmp_path)
    result = await Pipeline([ShellTask([sys.executable, "-c", code], name="print")]).execute(
        catalog=catalog, run_id="one"
    )
    path = Path(result.log.steps[0].files["output"])
    assert path.is_relative_to(catalog.run_folder("one"))
    assert 1000 == len(path.read_text().splitlines())


async def test_prints_are_captured_where_that_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    """`print` goes where it went, unless the run is given a capture with `prints`; standard output is restored."""

    def say() -> None:
        print("said")

    async def told(**options: Any) -> list[str]:
        async with Pipeline([PythonTask(say)]).stream(**options) as events:
            return [event.text async for event in events if isinstance(event, Printed)]
        raise AssertionError("unreachable")

    before = sys.stdout
    assert [] == await told()
    assert ["said"] == await told(capture=Capture(prints=True))
    assert before is sys.stdout
    assert "said\n" in capsys.readouterr().out


# Notebooks


def notebook(path: Path, *cells: str) -> Path:
    tags = [{"tags": ["parameters"]}, *[{}] * len(cells)]
    empty: dict[str, Any] = {"cell_type": "code", "outputs": [], "execution_count": None}
    document = {
        "cells": [{**empty, "id": f"c{n}", "metadata": tags[n], "source": text} for n, text in enumerate(cells)],
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }  # fmt: skip
    path.write_text(json.dumps(document))
    return path


@pytest.mark.slow
async def test_a_notebook_takes_parameters_and_returns_values(tmp_path: Path) -> None:
    """Parameters are injected, values read back, prints streamed, and the executed notebook is kept in the catalog."""
    pytest.importorskip("nbclient")
    path = notebook(
        tmp_path / "plot.ipynb", "x = 1", "import os\nprint('x is', x, os.environ['TOKEN'])\ny = [x, x * 2]"
    )
    task = NotebookTask(path, returns=["y"], secrets=["TOKEN"])
    catalog = FileCatalog(tmp_path / "catalog")
    async with Pipeline([task]).stream(
        parameters={"x": 21}, catalog=catalog, run_id="one", secrets=MappingSecrets({"TOKEN": "hunter22"})
    ) as events:
        printed = [event.text async for event in events if isinstance(event, Printed)]
    assert [f"x is 21 {MASK}"] == printed
    assert [21, 42] == events.result.parameters["y"]
    executed = (await catalog.read("one", "notebooks/plot.ipynb")).decode()
    assert f"x is 21 {MASK}" in executed
    assert "hunter22" not in executed
    (step,) = events.result.log.steps
    assert ["notebooks/plot.ipynb"] == [file["path"] for file in step.files["put"]]


@pytest.mark.slow
async def test_a_cell_that_raises_fails_the_task(tmp_path: Path) -> None:
    """The error says which cell, and the notebook as far as it came is kept."""
    pytest.importorskip("nbclient")
    path = notebook(tmp_path / "broken.ipynb", "x = 1", "1 / 0")
    catalog = FileCatalog(tmp_path / "catalog")
    with pytest.raises(Exception, match="ZeroDivisionError") as caught:
        await Pipeline([NotebookTask(path)]).execute(catalog=catalog, run_id="one")
    assert "broken.ipynb" in str(caught.value)
    assert ["notebooks/broken.ipynb"] == [file.path for file in await catalog.files("one")]


class Keeping:
    """A driver that runs nothing, and keeps an empty notebook."""

    async def run(self, notebook: Path, *, keep: Callable[[bytes], Awaitable[object]] | None, **given: Any) -> Any:
        assert keep is not None
        await keep(b"{}")
        return {}


@pytest.mark.parametrize("name", ["..", "a\\b", "x" * 300, ".hidden"])
async def test_a_notebook_is_kept_whatever_its_task_is_named(name: str, tmp_path: Path) -> None:
    """The name of a task may be no name of a file; it has one of its own in the catalog all the same."""
    catalog = FileCatalog(tmp_path / "catalog")
    task = NotebookTask(notebook(tmp_path / "plot.ipynb"), name=name)
    await Pipeline([task]).execute(catalog=catalog, notebooks=Keeping(), run_id="one")
    (file,) = await catalog.files("one")
    assert file.path.startswith("notebooks/")
    assert b"{}" == await catalog.read("one", file.path)


def test_a_notebook_is_an_ipynb_file() -> None:
    """Any other file is refused when the pipeline is built."""
    with pytest.raises(GraphError, match="its notebook 'x.py' is no .ipynb file"):
        Pipeline([NotebookTask("x.py")])


# The configuration file

CONFIGURATION = """
executor:
  type: async-local
  max_concurrency: 2
store:
  type: sqlite
  path: runs.db
catalog:
  type: file-system
  root: files
secrets:
  type: chain
  providers:
    - type: dotenv
      path: secrets.env
    - type: environment
      prefix: TEST_
"""


async def test_a_configuration_file_names_the_services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Executor, store, catalog and secrets are those of the file, in paths beside it; what is passed comes first."""
    monkeypatch.setenv("TEST_B", "from the environment")
    (tmp_path / "secrets.env").write_text("A=from the file\n")
    path = tmp_path / "dagflow.yaml"
    path.write_text(CONFIGURATION)
    working, most = [0], [0]

    async def work(item: int) -> None:
        working[0] += 1
        most[0] = max(most[0], working[0])
        await anyio.sleep(0.001)
        working[0] -= 1

    def use(a: str, b: Secret) -> str:
        return f"{len(a)} {len(b.reveal())}"

    pipeline = Pipeline(
        [
            Map("items", PythonTask(work)),
            PythonTask(use, secrets={"a": "A", "b": "B"}, returns=["text"]),
            PythonTask(lambda: None, name="files", catalog=Catalog()),
        ]
    )
    result = await pipeline.execute(configuration_file=path, run_id="one", parameters={"items": list(range(8))})
    assert "13 20" == result.parameters["text"]
    assert 2 == most[0]
    assert "complete" == (await Thread("one", SQLiteStore(tmp_path / "runs.db")).summary()).status
    assert result.parameters == (await pipeline.retry("one", configuration_file=path)).parameters
    other = SQLiteStore(tmp_path / "other.db")
    await pipeline.execute(configuration_file=path, run_id="two", parameters={"items": []}, store=other)
    assert "complete" == (await Thread("two", other).summary()).status


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("store: {type: sqlit}", "did you mean 'sqlite'"),
        ("stores: {type: sqlite}", "did you mean 'store'"),
        ("store: {type: sqlite, path: '${NOT_SET_HERE}'}", "NOT_SET_HERE"),
        ("store: [", "dagflow.yaml"),
        (None, "cannot be read"),
    ],
)
async def test_a_wrong_configuration_is_told_before_anything_runs(
    text: str | None, problem: str, tmp_path: Path
) -> None:
    """Whatever is wrong with the file is told with its name."""
    path = tmp_path / "dagflow.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigurationError, match=problem) as caught:
        await Pipeline([PythonTask(lambda: 1, name="a")]).execute(configuration_file=path)
    assert "dagflow.yaml" in str(caught.value)


async def test_nothing_can_be_configured(tmp_path: Path) -> None:
    """`do-nothing` leaves a service out; JSON is read as well."""
    path = tmp_path / "dagflow.json"
    path.write_text(
        '{"catalog": {"type": "do-nothing"}, "secrets": {"type": "do-nothing"}, "store": {"type": "memory"}}'
    )
    task = PythonTask(lambda: 1, name="a", catalog=Catalog(put="x"))
    with pytest.raises(GraphError, match="there is none"):
        await Pipeline([task]).execute(configuration_file=path)
    assert "complete" == (await Pipeline([PythonTask(lambda: 1, name="a")]).execute(configuration_file=path)).status
