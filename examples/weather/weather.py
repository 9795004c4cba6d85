"""Four years of weather in Seattle: fetched month by month, summed up, ranked and drawn.

    python examples/weather/weather.py [--backend trio] [--year 2014]

1,461 real days come over HTTP from a server that the example starts itself, so that it runs offline. What it makes is
in the folder that it runs in: tables, a figure, the catalog of the run in `files/`, and its record in `runs.db`. That
record is why a run that fails, or is killed, goes on where it was:

    python examples/weather/weather.py --fail 2013-07        # the server does not give that month; the run fails
    python examples/weather/weather.py --retry RUN           # it does; only what is missing is fetched
"""

from __future__ import annotations

import argparse
import csv
import ssl
import sys
from collections.abc import Sequence
from datetime import date, datetime
from importlib.util import find_spec
from pathlib import Path
from secrets import token_hex
from statistics import fmean
from urllib.parse import urlsplit

import anyio
import attrs
import httpx
from station import Station

from dagflow import (
    Catalog,
    DagflowError,
    FileCatalog,
    Map,
    Metric,
    NotebookTask,
    Parallel,
    Pipeline,
    PipelineResult,
    PythonTask,
    Retry,
    ShellTask,
    SQLiteStore,
    read_run_log,
)

NOTEBOOK = Path(__file__).parent / "plot.ipynb"
TLS = ssl.create_default_context()  # once: reading all the certificates takes longer than a request


@attrs.frozen
class Day:
    """A day: rain in millimetres, temperatures in degrees Celsius, wind in metres per second."""

    date: date
    rain: float
    high: float
    low: float
    wind: float


@attrs.frozen
class Month:
    """What the days of a month come to: rain in millimetres, mean temperatures in degrees Celsius."""

    month: str
    days: int
    rainy_days: int
    rain: float
    high: float
    low: float


# The tasks: plain functions. They take parameters by name, in the types that they declare.


def check_installed() -> None:
    """Tell at once what drawing needs, and not after everything has been fetched."""
    missing = [name for name in ("nbclient", "nbformat", "ipykernel", "matplotlib") if find_spec(name) is None]
    if missing:
        raise ImportError(f"drawing needs {', '.join(missing)}: pip install 'dagflow[notebook]' matplotlib")


async def list_months(url: str, year: int | None = None) -> list[str]:
    """Ask the station which months it has, and choose those of a year, or all."""
    months: list[str] = (await get(f"{url}/months")).json()
    chosen = [month for month in months if year is None or month.startswith(f"{year}-")]
    if not chosen:
        raise ValueError(f"the station has no month of {year}; it has {months[0]} to {months[-1]}")
    return chosen


async def fetch(url: str, month: str) -> str:
    """Fetch the records of a month, as CSV."""
    return (await get(f"{url}/months/{month}")).text


async def get(url: str) -> httpx.Response:
    async with httpx.AsyncClient(verify=TLS) as client:
        response = await client.get(url)
        return response.raise_for_status()


def parse(month: str, records: str) -> list[Day]:
    """Read the days of a month."""
    days = []
    for number, row in enumerate(csv.DictReader(records.splitlines()), 2):
        try:
            days.append(
                Day(
                    date=datetime.strptime(row["date"], "%Y/%m/%d").date(),
                    rain=float(row["precipitation"]),
                    high=float(row["temp_max"]),
                    low=float(row["temp_min"]),
                    wind=float(row["wind"]),
                )
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"line {number} of the records of {month} is no day: {error!r}") from error
    return days


def sum_up(month: str, days: list[Day]) -> Month:
    """Sum up a month."""
    return Month(
        month=month,
        days=len(days),
        rainy_days=sum(day.rain > 0 for day in days),
        rain=round(sum(day.rain for day in days), 1),
        high=fmean(day.high for day in days),
        low=fmean(day.low for day in days),
    )


def hottest(days: Sequence[Day]) -> Day:
    """Find the hottest day: a task for the days of a month, and a reducer for those of all months."""
    return max(days, key=lambda day: day.high)


def measure(climate: list[Month]) -> dict[str, float]:
    """Sum up all months: rain in millimetres, the part of the days that had some, the mean of their highs."""
    days = sum(month.days for month in climate)
    return {
        "rain": round(sum(month.rain for month in climate), 1),
        "rainy": sum(month.rainy_days for month in climate) / days,
        "mean_high": sum(month.high * month.days for month in climate) / days,
    }


def write_table(climate: list[Month]) -> None:
    """Write a line for each month, for programs: its rain, then its name."""
    with open("months.csv", "w", encoding="utf-8") as file:
        file.writelines(f"{month.rain},{month.month}\n" for month in climate)


# The pipeline: what a task returns is a parameter for those that follow.

pipeline = Pipeline(
    name="weather",
    description="Four years of weather in Seattle",
    steps=[
        PythonTask(check_installed),
        PythonTask(list_months, returns=["months"]),
        Map(
            over="months",
            as_="month",
            branch=Pipeline(
                [
                    PythonTask(fetch, returns=["records"], retry=Retry(attempts=3, on=(httpx.HTTPError,))),
                    PythonTask(parse, returns=["days"]),
                    PythonTask(sum_up, returns=["climate"]),
                    PythonTask(hottest, returns=["hottest"]),
                ],
                returns=["climate", "hottest"],  # records and days stay in the branch
            ),
            reducer={"hottest": hottest},  # `climate` becomes a list: one for each month
            max_concurrency=6,
            name="each month",
        ),
        PythonTask(measure, returns=[Metric("rain"), Metric("rainy"), Metric("mean_high")]),
        PythonTask(write_table, catalog=Catalog(put=["months.csv"])),
        Parallel(
            {
                "rank": ShellTask(
                    ["env", "LC_ALL=C", "sort", "-r", "-n", "-o", "wettest.csv", "months.csv"],
                    name="sort",
                    takes=[],
                    catalog=Catalog(get=["months.csv"], put=["wettest.csv"]),
                ),
                "draw": NotebookTask(
                    NOTEBOOK,
                    cwd=".",
                    takes=["climate", "hottest"],
                    returns=["file"],
                    catalog=Catalog(put=["climate.svg"]),
                ),
            },
            name="present",
        ),
    ],
)


# The program around it.


async def main(arguments: argparse.Namespace) -> int:
    store = SQLiteStore("runs.db")
    station = Station.read(arguments.fail)
    status = 0
    async with anyio.create_task_group() as group:
        try:
            port = await port_of(arguments.retry, store) if arguments.retry else 0
            url = await group.start(station.serve, port)
            await run(url, arguments.retry, arguments.year, store)
        except (DagflowError, OSError) as error:  # OSError: the port of a retried run is taken
            print(error, file=sys.stderr)
            status = 1
        group.cancel_scope.cancel()
    print(f"asked the station {len(station.asked)} times for a month")
    return status


async def port_of(run_id: str, store: SQLiteStore) -> int:
    """Find out where a run fetches from: it goes on with the parameters that it began with."""
    log = await read_run_log(store, run_id)
    return urlsplit(log.parameters["url"]).port or 0


async def run(url: str, retried: str | None, year: int | None, store: SQLiteStore) -> None:
    """Run the pipeline, or go on with a run, and show what it came to."""
    catalog = FileCatalog("files")
    if retried is not None:
        result = await pipeline.retry(retried, store=store, catalog=catalog)
    else:
        run_id = token_hex(4)
        print(f"run {run_id}; if it does not end well: --retry {run_id}", flush=True)
        parameters = {"url": url, "year": year}
        result = await pipeline.execute(parameters=parameters, run_id=run_id, store=store, catalog=catalog)
    show(result)
    print("files:", *(file.path for file in await catalog.files(result.run_id)))
    print(f"run log: dagflow runs log {result.run_id} --store runs.db")


def show(result: PipelineResult) -> None:
    for step in result.log.steps:
        print(f"{step.name:<16} {step.status}, {step.attempts[-1].duration:.2f} s")
    day: Day = result.parameters["hottest"]
    print(f"hottest: {day.date}, {day.high} °C")
    print("rain: {rain:.1f} mm, on {rainy:.0%} of the days; mean high: {mean_high:.1f} °C".format(**result.metrics))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--backend", choices=["asyncio", "trio"], default="asyncio")
    parser.add_argument("--year", type=int, help="only this one")
    parser.add_argument("--fail", action="append", default=[], metavar="MONTH", help="a month that is not to be had")
    parser.add_argument("--retry", metavar="RUN", help="go on with this run")
    arguments = parser.parse_args()
    sys.exit(anyio.run(main, arguments, backend=arguments.backend))
