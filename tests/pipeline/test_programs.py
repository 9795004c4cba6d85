"""What programs and notebooks have in common: the parameters that they take, as JSON, and the folder of their files."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import attrs
import pytest

from dagflow.catalog import Catalog, FileCatalog
from dagflow.errors import NodeError
from dagflow.pipeline.parameters import ParameterError
from dagflow.pipeline.pipeline import Pipeline
from dagflow.pipeline.returns import Object
from dagflow.pipeline.tasks import NotebookTask, PythonTask, ShellTask
from notebook.made import notebook


@attrs.frozen
class Day:
    date: date
    rain: float


def wettest() -> Day:
    return Day(date(2012, 11, 19), 54.1)


AS_JSON = {"date": "2012-11-19", "rain": 54.1}


async def test_a_program_is_given_instances_and_dates_as_json() -> None:
    """An attrs class reaches a program as its object, and a date as its text, without quotes."""
    echo = 'printf \'{"day": %s, "date": "%s"}\' "$DAGFLOW_INPUT_day" "$DAGFLOW_INPUT_date" > "$DAGFLOW_OUTPUTS"'
    result = await Pipeline(
        [
            PythonTask(wettest, returns=["day"]),
            PythonTask(lambda day: day.date, name="date", returns=["date"]),
            ShellTask(echo, name="echo", shell=True, takes=["day", "date"], returns=["day", "date"]),
        ]
    ).execute()
    assert {"day": AS_JSON, "date": "2012-11-19"} == result.parameters


@pytest.mark.slow
async def test_a_notebook_is_given_what_it_takes_and_works_in_its_folder(tmp_path: Path) -> None:
    """Instances reach it as JSON, parameters that it does not take do not, and its files are those of its `cwd`."""
    pytest.importorskip("nbclient")
    source = "assert 'other' not in globals()\nopen('day.json', 'w').write(str(day) + open('given.txt').read())"
    path, work = notebook(tmp_path, source), tmp_path / "work"
    work.mkdir()
    (work / "given.txt").write_text(" given")
    catalog = FileCatalog(tmp_path / "catalog")
    plot = NotebookTask(path, takes=["day"], cwd=work, catalog=Catalog(get=["given.txt"], put=["day.json"]))
    give = ShellTask(["true"], cwd=work, catalog=Catalog(put=["given.txt"]))
    await Pipeline([PythonTask(wettest, returns=["day"]), give, plot]).execute(catalog=catalog, run_id="one")
    assert f"{AS_JSON} given" == (await catalog.read("one", "day.json")).decode()


@pytest.mark.slow
async def test_the_files_of_a_notebook_are_beside_it(tmp_path: Path) -> None:
    """Without `cwd`, a notebook works in the folder that it is in, and the catalog looks there for what it wrote."""
    pytest.importorskip("nbclient")
    path = notebook(tmp_path, "open('figure.txt', 'w').write('a figure')")
    catalog = FileCatalog(tmp_path / "catalog")
    await Pipeline([NotebookTask(path, catalog=Catalog(put=["figure.txt"]))]).execute(catalog=catalog, run_id="one")
    assert b"a figure" == await catalog.read("one", "figure.txt")


async def test_what_a_notebook_takes_is_checked(tmp_path: Path) -> None:
    """With `takes`, an unknown parameter is told before the run, and a value without a form in JSON by its name."""
    task = NotebookTask(notebook(tmp_path, "1"), takes=["day"])
    with pytest.raises(ParameterError, match="dya: no step of the pipeline reads it; did you mean 'day'"):
        await Pipeline([task]).execute(parameters={"dya": 1})
    give = PythonTask(lambda: object(), name="give", returns=[Object("day")])
    with pytest.raises(NodeError, match="task made: parameter 'day' cannot be given to a notebook: a object has no"):
        await Pipeline([give, task]).execute()
