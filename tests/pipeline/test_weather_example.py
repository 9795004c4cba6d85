"""The larger example runs as a user would run it, and what it comes to is worked out again from its records."""

from __future__ import annotations

import csv
import importlib
import json
import os
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from statistics import fmean
from types import ModuleType
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import anyio
import pytest

from cli.cli_program import own_modules
from dagflow import FileCatalog, NodeError, PipelineResult, SQLiteStore, read_run_log
from dagflow.pipeline.run_log import RunLog, StepLog

if TYPE_CHECKING:
    from station import Station

EXAMPLE = Path(__file__).parents[2] / "examples" / "weather"
BROKEN = "2013-07"


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(EXAMPLE)
    with own_modules():
        yield


@pytest.fixture
def weather() -> ModuleType:
    return importlib.import_module("weather")


@pytest.fixture
def station() -> Station:
    from station import Station

    return Station.read()


@asynccontextmanager
async def serving(station: Station) -> AsyncIterator[str]:
    async with anyio.create_task_group() as group:
        yield await group.start(station.serve, 0)
        group.cancel_scope.cancel()


def records() -> Mapping[str, list[dict[str, str]]]:
    """The rows of the file, by month."""
    months: defaultdict[str, list[dict[str, str]]] = defaultdict(list)
    with (EXAMPLE / "seattle-weather.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            year, month, _ = row["date"].split("/")
            months[f"{year}-{month}"].append(row)
    return months


def numbers(column: str, *months: str) -> list[float]:
    known = records()
    return [float(row[column]) for month in months or known for row in known[month]]


def rain_of(month: str) -> float:
    return round(sum(numbers("precipitation", month)), 1)


def check(result: PipelineResult) -> None:
    """Compare what a run of all months came to with what is worked out here, from the records."""
    assert {
        "rain": pytest.approx(sum(numbers("precipitation"))),
        "rainy": pytest.approx(fmean(rain > 0 for rain in numbers("precipitation"))),
        "mean_high": pytest.approx(fmean(numbers("temp_max"))),
    } == result.metrics
    assert (35.6, 35.6) == (max(numbers("temp_max")), result.parameters["hottest"].high)
    climate = result.parameters["climate"]
    assert list(records()) == [month.month for month in climate]
    for month in climate:
        assert (len(records()[month.month]), rain_of(month.month)) == (month.days, month.rain)
        assert pytest.approx(fmean(numbers("temp_max", month.month))) == month.high
        assert pytest.approx(fmean(numbers("temp_min", month.month))) == month.low
        assert sum(rain > 0 for rain in numbers("precipitation", month.month)) == month.rainy_days


async def check_files(catalog: FileCatalog, run_id: str, months: list[str]) -> None:
    """Look at what a run has put into its catalog, with what was drawn and ranked."""
    drawn = ElementTree.fromstring(await catalog.read(run_id, "climate.svg"))
    assert "{http://www.w3.org/2000/svg}svg" == drawn.tag
    notebook = json.loads(await catalog.read(run_id, "notebooks/present/draw/plot.ipynb"))
    outputs = [output.get("data", {}) for cell in notebook["cells"] for output in cell.get("outputs", ())]
    assert ["image/png"] == [kind for data in outputs for kind in data if kind.startswith("image/")]
    (injected,) = ("".join(cell["source"]) for cell in notebook["cells"] if "injected-parameters" in str(cell))
    assert set(months) == {word for word in injected.split("'") if word in records()}
    ranked = [line.split(",") for line in (await catalog.read(run_id, "wettest.csv")).decode().split()]
    assert sorted(((rain_of(month), month) for month in months), reverse=True) == [(float(r), m) for r, m in ranked]


def step(log: RunLog, name: str) -> StepLog:
    (found,) = (step for step in log.steps if step.name == name)
    return found


def fetched(log: RunLog, months: list[str]) -> set[str]:
    """The months that a run had fetched, and recorded as such."""
    return {
        months[int(part.name.strip("[]"))]
        for part in step(log, "each month").parts
        if any(inner.name == "fetch" and inner.status == "succeeded" for inner in part.steps)
    }


async def test_what_it_comes_to_is_in_the_records(weather: ModuleType, station: Station) -> None:
    """Metrics, months, ranking, figure and run log of 1,461 days are as independent arithmetic has them."""
    assert 1461 == len(numbers("wind"))
    store, catalog = SQLiteStore("runs.db"), FileCatalog("files")
    async with serving(station) as url:
        result = await weather.pipeline.execute(parameters={"url": url}, store=store, catalog=catalog, run_id="one")
    check(result)
    await check_files(catalog, "one", list(records()))
    assert sorted(records()) == sorted(station.asked)
    log = await read_run_log(store, "one")
    assert ("weather", "complete", {"url": url}) == (log.pipeline, log.status, log.parameters)
    assert ["check_installed", "list_months", "each month", "measure", "write_table", "present"] == [
        step.name for step in log.steps
    ]
    assert {"succeeded"} == {step.status for step in log.steps}
    assert result.metrics == step(log, "measure").metrics
    assert set(records()) == fetched(log, list(records()))
    assert {"rank": ["sort"], "draw": ["plot"]} == {
        part.name: [inner.name for inner in part.steps] for part in step(log, "present").parts
    }


@pytest.mark.slow
async def test_a_month_that_is_not_to_be_had_ends_the_run_and_the_retry_fetches_the_rest(
    weather: ModuleType, station: Station
) -> None:
    """A fetch is tried three times; a run that fails on it goes on later, and asks for no month that it has."""
    store, catalog = SQLiteStore("runs.db"), FileCatalog("files")
    station.failing.add(BROKEN)
    async with serving(station) as url:
        with pytest.raises(NodeError, match="503 Service Unavailable"):
            await weather.pipeline.execute(parameters={"url": url}, store=store, catalog=catalog, run_id="one")
        assert 3 == station.asked.count(BROKEN)
        failed = await read_run_log(store, "one")
        before = fetched(failed, list(records()))
        assert ("failed", True) == (failed.status, 0 < len(before) < 48)
        station.failing.clear()
        station.asked.clear()
        result = await weather.pipeline.retry("one", store=store, catalog=catalog)
    assert sorted(set(records()) - before) == sorted(station.asked)
    assert 2 == (await read_run_log(store, "one")).begun
    check(result)


def dagflow(*arguments: str) -> list[str]:
    return [sys.executable, "-W", "error", "-m", "dagflow", *arguments]


@pytest.mark.slow
async def test_a_run_that_is_killed_goes_on_from_the_command_line(tmp_path: Path, anyio_backend_name: str) -> None:
    """Killed by SIGKILL amid its months and retried on the other event loop, it fetches only what it has not."""
    configuration = tmp_path / "dagflow.yaml"
    configuration.write_bytes((EXAMPLE / "dagflow.yaml").read_bytes())
    target, options = str(EXAMPLE / "weather.py"), ("--configuration", str(configuration), "--backend")
    other = {"asyncio": "trio", "trio": "asyncio"}[anyio_backend_name]
    amid = anyio.Event()
    from station import Station  # the folder of the example is on the path in tests alone

    class Watched(Station):
        def answer(self, path: str) -> tuple[HTTPStatus, str, str]:
            if len(self.asked) == 9:  # six at once: some are recorded, and some are not
                amid.set()
            return super().answer(path)

    station = Watched.read()
    store, months = SQLiteStore("runs.db"), [month for month in records() if month.startswith("2014")]
    parameters = str(EXAMPLE / "parameters.yaml")
    async with serving(station) as url:
        run = dagflow("run", f"{target}:pipeline", "--parameters", parameters, "-v", f"url={url}")
        run += ["--thread", "one", *options, anyio_backend_name]
        async with await anyio.open_process(run, stdout=subprocess.DEVNULL, stderr=None) as process:
            with anyio.fail_after(30):
                await amid.wait()
            os.kill(process.pid, signal.SIGKILL)
        killed = await read_run_log(store, "one")
        before = fetched(killed, months)
        assert ("lost", True) == (killed.status, 0 < len(before) < 12)
        station.asked.clear()
        done = await anyio.run_process(dagflow("runs", "retry", target, "one", *options, other), check=False)
    assert 0 == done.returncode, done.stderr.decode()
    assert sorted(set(months) - before) == sorted(station.asked)
    assert pytest.approx(sum(numbers("precipitation", *months))) == json.loads(done.stdout)["rain"]
    await check_files(FileCatalog("files"), "one", months)
    told = await anyio.run_process(dagflow("runs", "log", "one", "--store", "runs.db"))
    assert ("complete", 2) == (json.loads(told.stdout)["status"], json.loads(told.stdout)["begun"])


def program(*arguments: str, before: str = "") -> subprocess.CompletedProcess[str]:
    """Run the example, any warning being an error."""
    script = str(EXAMPLE / "weather.py")
    start = f"import sys, runpy; sys.path.insert(0, {str(EXAMPLE)!r}); sys.argv[0] = {script!r}; {before}\n"
    start += f"runpy.run_path({script!r}, run_name='__main__')"
    command = [sys.executable, "-W", "error", "-X", "utf8", "-c", start, *arguments]
    return subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60)


@pytest.mark.slow
@pytest.mark.parametrize(("backend", "other"), [("asyncio", "trio"), ("trio", "asyncio")])
def test_the_program_fails_and_goes_on(backend: str, other: str, tmp_path: Path) -> None:
    """Each command of its docstring does what it says, from any folder, without a warning, on either event loop."""
    failed = program("--year", "2013", "--fail", BROKEN, "--backend", backend)
    assert 1 == failed.returncode, failed.stderr
    assert f"{BROKEN}'" in failed.stderr
    run_id = failed.stdout.split()[1].rstrip(";")
    retried = program("--retry", run_id, "--backend", other)
    assert (0, "") == (retried.returncode, retried.stderr)
    year = [month for month in records() if month.startswith("2013")]
    hottest = max(numbers("temp_max", *year))
    assert f", {hottest} °C\n" in retried.stdout
    assert f"rain: {sum(numbers('precipitation', *year)):.1f} mm" in retried.stdout
    assert "files: climate.svg months.csv notebooks/present/draw/plot.ipynb wettest.csv" in retried.stdout
    assert {"climate.svg", "months.csv", "wettest.csv", "files", "runs.db"} <= set(os.listdir(tmp_path))


def test_what_is_missing_is_told_before_anything_is_fetched() -> None:
    """Without matplotlib or a notebook's kernel, the run ends at once and says what to install."""
    told = program(before="sys.modules.update(matplotlib=None, ipykernel=None)")
    assert 1 == told.returncode
    assert "drawing needs ipykernel, matplotlib: pip install 'dagflow[notebook]' matplotlib" in told.stderr
    assert "asked the station 0 times" in told.stdout


async def test_what_cannot_be_is_told(weather: ModuleType, station: Station) -> None:
    """A year that the station has nothing of, and a row that is no day, are errors that say which."""
    options = {"catalog": FileCatalog("files")}
    async with serving(station) as url:
        with pytest.raises(NodeError, match="the station has no month of 1999; it has 2012-01 to 2015-12"):
            await weather.pipeline.execute(parameters={"url": url, "year": 1999}, **options)
        station.months = {"2012-01": station.months["2012-01"].replace("2012/01/02,10.9", "2012/01/02,wet")}
        with pytest.raises(NodeError, match="line 3 of the records of 2012-01 is no day: .*'wet'"):
            await weather.pipeline.execute(parameters={"url": url}, **options)
