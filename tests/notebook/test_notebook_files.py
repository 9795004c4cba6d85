"""Notebooks are read strictly, parameters are values and never code, and what is missing is told."""

import json
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import nbformat
import nbformat.v4
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagflow.notebook import JupyterDriver, NotebookError
from dagflow.notebook.documents import read_notebook, write_notebook
from dagflow.notebook.kernels import find_spec
from dagflow.notebook.library import load_jupyter
from dagflow.notebook.parameters import inject, parameters_source
from notebook.made import code, notebook, text

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.slow
@given(st.dictionaries(st.from_regex(r"[a-z]{1,3}_", fullmatch=True), json_values, max_size=3))
def test_parameters_are_what_they_were(parameters: dict[str, Any]) -> None:
    """Whatever the values are, running the cell gives them again and nothing else."""
    found: dict[str, Any] = {}
    exec(parameters_source(parameters), {"__builtins__": {"float": float}}, found)
    assert parameters == found


@pytest.mark.parametrize("value", ['"; import os #', "'''", '\\"', "\n\r\0", "{x}", "%(x)s", "\u2028", float("inf")])
def test_a_value_never_becomes_code(value: Any) -> None:
    """Quotes, escapes, line ends and templates in a value stay in it."""
    found: dict[str, Any] = {}
    exec(parameters_source({"x": value, "y": {"k": [value]}}), {"float": float}, found)
    assert {"x": value, "y": {"k": [value]}} == found


def test_deep_values_are_given() -> None:
    """A value that is deeper than Python's parser takes is given all the same."""
    value: Any = "x"
    for _ in range(400):
        value = [value]
    found: dict[str, Any] = {}
    exec(parameters_source({"x": value}), {}, found)
    assert value == found["x"]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"a b": 1}, "'a b' cannot be a variable"),
        ({"x; import os": 1}, "cannot be a variable"),
        ({"class": 1}, "'class' cannot be a variable"),
        ({"": 1}, "'' cannot be a variable"),
        ({7: 1}, "7 cannot be a variable"),
        ({"x": {"k": [object()]}}, r"'x' cannot be given .* it has a object at \.k\[0\]"),
        ({"x": (1, 2)}, "it has a tuple, which is no value of JSON"),
        ({"x": {1: 2}}, "it has a key that is no text"),
        ({"x": 10**5000}, "a number of thousands of digits"),
        ({"x": b"bytes"}, "it has a bytes"),
    ],
)
def test_what_is_no_parameter_is_refused(parameters: dict[Any, Any], message: str) -> None:
    """A name that is none in Python, and a value that is none of JSON, are errors that say which."""
    with pytest.raises(ValueError, match=message):
        parameters_source(parameters)


@pytest.mark.parametrize(
    ("cells", "place"),
    [
        ([text("title"), code("x = 1", "parameters"), code("x")], 2),
        ([code("x")], 0),
        ([], 0),
        ([code("x = 1", "parameters"), code("x = 2", "injected-parameters"), code("x")], 1),
        ([code("x = 2", "injected-parameters"), code("x")], 0),
    ],
)
@pytest.mark.parametrize("minor", [2, 5])
def test_parameters_follow_their_defaults(tmp_path: Path, cells: list[Any], place: int, minor: int) -> None:
    """The cell follows the one that is tagged `parameters`, is the first, or takes the place of an earlier one."""
    jupyter = load_jupyter()
    document = read_notebook(jupyter, notebook(tmp_path, *cells, minor=minor))
    assert place == inject(document, {"x": 5}, nbformat.v4.new_code_cell)
    assert "# Parameters\nx = 5" == document.cells[place].source
    assert 1 == sum("injected-parameters" in cell.metadata.get("tags", ()) for cell in document.cells)
    nbformat.validate(document)
    write_notebook(jupyter, document, lambda found: found)


def test_without_parameters_nothing_is_injected(tmp_path: Path) -> None:
    """No parameters, no cell; one of an earlier run is removed."""
    document = read_notebook(load_jupyter(), notebook(tmp_path, code("x = 2", "injected-parameters"), "x"))
    assert (None, 1) == (inject(document, {}, None), len(document.cells))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is no JSON"),
        (b"{", "it is no JSON"),
        (b"[" * 100_000, "it is no JSON"),
        (b"[]", "it has no `nbformat`"),
        (b"{}", "it has no `nbformat`"),
        (b"\xff\xfe", "it is not UTF-8"),
        (b'{"nbformat": 9, "nbformat_minor": 0, "metadata": {}, "cells": []}', "no valid notebook: Unsupported"),
        (b'{"nbformat": 4, "nbformat_minor": 5, "metadata": {}}', "no valid notebook"),
        (b'{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [7]}', "no valid notebook"),
        (b'{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [{"cell_type": "odd"}]}', "no valid notebook"),
    ],
)
def test_what_is_no_notebook_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    """A file that is no notebook is an error that says why."""
    path = tmp_path / "x.ipynb"
    path.write_bytes(content)
    with pytest.raises(NotebookError, match=message) as caught:
        read_notebook(load_jupyter(), path)
    assert str(path) == caught.value.notebook


async def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """A notebook that is missing is an error that names it."""
    path = tmp_path / "x.ipynb"
    with pytest.raises(NotebookError, match="the notebook .* cannot be read: No such file") as caught:
        await JupyterDriver().run(path)
    assert str(path) in str(caught.value)


def test_cells_without_ids_get_them(tmp_path: Path) -> None:
    """A notebook whose cells lack ids, or share one, is fine, and nobody is warned."""
    cells = [code("1"), code("2") | {"id": "same"}, code("3") | {"id": "same"}, code("4") | {"id": "cell-0"}]
    path = tmp_path / "x.ipynb"
    path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        document = read_notebook(load_jupyter(), path)
        nbformat.validate(document)
    assert 4 == len({cell["id"] for cell in document.cells})


def test_old_notebooks_are_read(tmp_path: Path) -> None:
    """A notebook of version 3 is brought to version 4."""
    cell = {"cell_type": "code", "input": "x = 1", "language": "python", "outputs": [], "metadata": {}}
    old = {"nbformat": 3, "nbformat_minor": 0, "metadata": {}, "worksheets": [{"cells": [cell], "metadata": {}}]}
    path = tmp_path / "x.ipynb"
    path.write_text(json.dumps(old))
    assert ["x = 1"] == [cell.source for cell in read_notebook(load_jupyter(), path).cells]


def test_every_text_of_a_notebook_is_masked(tmp_path: Path) -> None:
    """What hides secrets goes over sources, outputs and keys, before texts are cut into lines."""
    jupyter = load_jupyter()
    document = read_notebook(jupyter, notebook(tmp_path, "a = 'ca\nnary'", odd={"ca\nnary": ["ca\nnary"]}))
    assert b"nary" not in write_notebook(jupyter, document, lambda found: found.replace("ca\nnary", "***"))


async def test_a_kernel_that_is_missing_is_told(tmp_path: Path) -> None:
    """A kernel that is not installed is an error that names those that are, and the nearest."""
    path = notebook(tmp_path, "1", kernelspec={"name": "pythn3", "display_name": "?"})
    with pytest.raises(
        NotebookError, match=r"needs the kernel 'pythn3', which is not installed; did you mean 'python3'"
    ):
        await JupyterDriver().run(path)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"metadata": {"kernel_provisioner": {"provisioner_name": "cluster"}}}, "what starts it is not installed"),
        ({"argv": []}, "it is no program of this machine"),
        ({"language": "R"}, "is in r; parameters and returns are for notebooks in Python"),
    ],
)
async def test_a_kernel_that_will_not_do_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: dict[str, Any], message: str
) -> None:
    """A kernel that somebody else starts, and one that cannot take parameters, are refused before anything runs."""
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    folder = tmp_path / "kernels" / "odd"
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text(json.dumps({"argv": ["x"], "display_name": "x", "language": "python"} | spec))
    with pytest.raises(NotebookError, match=message):
        await JupyterDriver(kernel="odd").run(notebook(tmp_path, "1"), returns=["x"])


def test_the_command_of_a_kernel_is_our_python() -> None:
    """The kernel that comes with ipykernel runs in the Python that we run in, and leaves the user's history alone."""
    command = find_spec(load_jupyter(), "python3", "x").command("/c.json")
    assert sys.executable == command[0]
    assert ["-f", "/c.json", "--HistoryManager.hist_file=:memory:"] == command[-3:]


@pytest.mark.slow
@pytest.mark.parametrize("missing", ["nbclient", "nbformat", "jupyter_client", "zmq"])
def test_a_library_that_is_missing_is_told(missing: str) -> None:
    """Without one of Jupyter's libraries the error names the extra to install."""
    program = f"""
import sys; sys.modules["{missing}"] = None
import anyio
from dagflow.notebook import JupyterDriver
anyio.run(JupyterDriver().run, "x.ipynb")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "ImportError: running a notebook needs nbclient, nbformat and ipykernel" in done.stderr
    assert "pip install 'dagflow[notebook]'" in done.stderr


def test_importing_the_driver_imports_no_jupyter() -> None:
    """The libraries are imported when a notebook is run, and not before."""
    program = "import sys, dagflow.notebook; print([m for m in ('zmq', 'nbformat', 'traitlets') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "[]\n" == done.stdout
