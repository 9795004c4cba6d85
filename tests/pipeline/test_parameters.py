"""Parameters: where they come from, how they are bound to functions, and what is told of those that do not fit."""

from __future__ import annotations

import json
import os
from datetime import date
from pathlib import Path
from typing import Any, Literal

import anyio
import attrs
import pytest

from dagflow.core.secrets import Secret
from dagflow.errors import NodeError
from dagflow.pipeline.parameters import ParameterError, environment_parameters
from dagflow.pipeline.pipeline import Pipeline
from dagflow.pipeline.tasks import PythonTask, ShellTask, Stub


@attrs.frozen
class Place:
    name: str
    height: float = 0.0


def take(
    count: int,
    rate: float = 0.5,
    on: bool = False,
    day: date | None = None,
    place: Place | None = None,
    names: tuple[str, ...] = (),
    level: Literal["low", "high"] = "low",
) -> dict[str, Any]:
    return {"seen": [count, rate, on, day, place, names, level]}


def seen(value: Any) -> Any:
    return value.parameters["seen"]


PIPELINE = Pipeline([PythonTask(take, returns=["seen"])])


async def test_json_becomes_the_declared_types() -> None:
    """JSON is read as what the hints say: dates, classes, tuples; what is not given has the function's default."""
    given = {"count": 3, "day": "2030-01-31", "place": {"name": "Brno", "height": 237}, "names": ["a", "b"]}
    result = await PIPELINE.execute(parameters=given)
    assert [3, 0.5, False, date(2030, 1, 31), Place("Brno", 237.0), ("a", "b"), "low"] == seen(result)


async def test_values_of_the_declared_types_are_taken_as_they_are() -> None:
    """A caller in Python may give the typed value itself."""
    place = Place("Brno")
    result = await PIPELINE.execute(parameters={"count": 1, "place": place, "day": date(2030, 1, 31)})
    assert (date(2030, 1, 31), place) == (seen(result)[3], seen(result)[4])


async def test_everything_that_is_wrong_is_told_before_anything_runs() -> None:
    """Missing, unknown and unfit parameters are all in one error, with paths and nearest names."""
    ran: list[int] = []

    def first(x: int) -> None:
        ran.append(x)

    pipeline = Pipeline([PythonTask(first), PythonTask(take, returns=["seen"])], name="report")
    given = {"x": 1, "cuont": 3, "rate": "fast", "place": {"nam": "Brno"}, "level": "middle"}
    with pytest.raises(ParameterError) as caught:
        await pipeline.execute(parameters=given)
    told = {str(one) for one in caught.value.invalid}
    assert "cuont: no step of the pipeline reads it; did you mean 'count'?" in told
    assert "count: it has no value; step 'take' reads it, and no step before that returns it" in told
    assert any(line.startswith("rate: expected number, got string 'fast'") for line in told)
    assert any(line.startswith("place.nam: unknown field") for line in told)
    assert any(line.startswith("level: ") for line in told)
    assert isinstance(caught.value, ValueError)
    assert "pipeline report" in str(caught.value)
    assert [] == ran


async def test_an_option_that_there_is_not_is_told() -> None:
    """A misspelt option is an error, with the nearest one, and never ignored."""
    with pytest.raises(TypeError, match="there is no option 'parameter'; did you mean 'parameters'"):
        await PIPELINE.execute(parameter={"count": 1})  # type: ignore[call-arg]  # what it is about
    with pytest.raises(TypeError, match="there is no option 'parameters'"):
        await PIPELINE.retry("one", parameters={})  # type: ignore[call-arg]  # what it is about


async def test_a_parameter_that_an_earlier_step_returns_is_not_missing() -> None:
    """What a step before returns need not be given; what only a step after returns must be."""
    make = PythonTask(lambda: 3, name="make", returns=["count"])
    use = PythonTask(take, returns=["seen"])
    assert 3 == seen(await Pipeline([make, use]).execute())[0]
    with pytest.raises(ParameterError, match="count: it has no value"):
        await Pipeline([use, make]).execute()


async def test_nothing_is_unknown_to_a_step_that_takes_all() -> None:
    """A function with `**kwargs`, a command and a notebook read whatever there is."""
    result = await Pipeline([PythonTask(lambda **all: sorted(all), name="all", returns=["names"])]).execute(
        parameters={"b": 1, "a": 2}
    )
    assert ["a", "b"] == result.parameters["names"]
    await Pipeline([ShellTask("true")]).execute(parameters={"any": 1})
    with pytest.raises(ParameterError, match="any: no step of the pipeline reads it; they read none"):
        await Pipeline([Stub()]).execute(parameters={"any": 1})


async def test_a_value_that_does_not_fit_a_later_task_names_it() -> None:
    """What a task returned and the next cannot take is an error that names task, parameter and path."""
    make = PythonTask(lambda: ([1, "x"], "?"), name="make", returns=["rows", "count"])

    def use(rows: list[int], count: int) -> None: ...

    with pytest.raises(NodeError) as caught:
        await Pipeline([make, PythonTask(use)]).execute()
    assert str(caught.value) == (
        "task use: rows[1]: expected integer, got string 'x'; count: expected integer, got string '?'"
    )


class Plain:
    """A class without a form in JSON."""


async def test_a_type_without_a_form_in_json_takes_only_its_instances() -> None:
    """An instance of any class is passed on; anything else in its place is told by the type's name."""

    def use(thing: Plain) -> None: ...

    await Pipeline([PythonTask(use)]).execute(parameters={"thing": Plain()})
    with pytest.raises(ParameterError, match="thing: expected Plain, got a value of type int"):
        await Pipeline([PythonTask(use)]).execute(parameters={"thing": 3})


@pytest.fixture
def set_environment(monkeypatch: pytest.MonkeyPatch) -> Any:
    def set_all(**texts: str) -> None:
        for name, text in texts.items():
            monkeypatch.setenv(f"DAGFLOW_PARAMETER_{name}", text)

    return set_all


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("count", "8", 8),
        ("rate", "0.25", 0.25),
        ("rate", "3", 3.0),
        ("on", "true", True),
        ("day", "2030-01-31", date(2030, 1, 31)),
        ("place", '{"name": "Brno"}', Place("Brno")),
        ("names", '["1", "2"]', ("1", "2")),
        ("level", "high", "high"),
    ],
)
async def test_text_is_read_as_the_hint_says(
    name: str, text: str, expected: Any, set_environment: Any, tmp_path: Path
) -> None:
    """Text of the environment, or of a file, becomes the number, boolean or list that the first reader declares."""
    place = ["count", "rate", "on", "day", "place", "names", "level"].index(name)
    path = tmp_path / "parameters.json"
    path.write_text(json.dumps({"count": "1", name: text}))
    assert expected == seen(await PIPELINE.execute(parameters_file=path))[place]
    set_environment(**{"count": "1", name: text})
    assert expected == seen(await PIPELINE.execute())[place]


async def test_text_stays_text_where_text_is_wanted(set_environment: Any) -> None:
    """A zip code that looks like a number stays text for a parameter of text; without a hint it is read as JSON."""

    def use(code: str, free: Any, word: Any) -> list[Any]:
        return [code, free, word]

    for code in ("01234", "12345", "true"):
        set_environment(code=code, free="12", word="plain")
        result = await Pipeline([PythonTask(use, returns=["seen"])]).execute()
        assert [code, 12, "plain"] == seen(result)


async def test_text_that_is_no_number_is_told(set_environment: Any) -> None:
    """Text that cannot be read as the hint says is refused before anything runs."""
    set_environment(count="many")
    with pytest.raises(ParameterError, match="count: expected integer, got string 'many'"):
        await PIPELINE.execute()


async def test_the_caller_stands_for_the_environment_and_that_for_the_file(
    set_environment: Any, tmp_path: Path
) -> None:
    """Of several sources the nearest to the call counts."""
    path = tmp_path / "parameters.json"
    path.write_text('{"count": 1, "rate": 1.5, "level": "high"}')
    set_environment(count="2", rate="2.5")
    result = await PIPELINE.execute(parameters_file=path, parameters={"count": 3})
    assert [3, 2.5, "high"] == [seen(result)[0], seen(result)[1], seen(result)[6]]


async def test_a_run_inside_another_reads_no_environment(set_environment: Any) -> None:
    """The environment is read once, where the outermost run begins."""

    async def outer(count: int, rate: float) -> Any:
        return [rate, *seen(await PIPELINE.execute(parameters={"count": count + 1}))]

    set_environment(count="1", rate="0.75")
    result = await Pipeline([PythonTask(outer, returns=["seen"])]).execute()
    assert [0.75, 2, 0.5] == seen(result)[:3]


def test_only_names_after_the_prefix_are_parameters() -> None:
    """Other variables, and the bare prefix, are none."""
    environ = {"DAGFLOW_PARAMETER_a": "1", "DAGFLOW_PARAMETER_": "2", "DAGFLOW_INPUT_b": "3", "PATH": "/"}
    assert {"a": "1"} == environment_parameters(environ)


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("p.json", "{", "it is no JSON: Expecting"),
        ("p.json", '{"count": 1, "count": 2}', "the key 'count' is there twice"),
        ("p.json", '{"count": NaN}', "NaN is no JSON"),
        ("p.json", "[1]", "holds a list"),
        ("missing.json", None, "cannot be read: No such file"),
        ("p.json", b"\xff", "it is not UTF-8 at byte 0"),
    ],
)
async def test_a_file_that_cannot_be_read_is_told(name: str, text: Any, problem: str, tmp_path: Path) -> None:
    """Whatever is wrong with a file of parameters is told with its name, before anything runs."""
    if text is not None:
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=problem) as caught:
        await PIPELINE.execute(parameters_file=tmp_path / name)
    assert name in str(caught.value)


async def test_a_yaml_file_is_read_safely(tmp_path: Path) -> None:
    """YAML gives the same as JSON; what is unsafe in it is refused with its place."""
    path = tmp_path / "parameters.yaml"
    path.write_text("count: 3\nplace: {name: Brno}\n")
    assert (3, Place("Brno")) == (lambda found: (found[0], found[4]))(
        seen(await PIPELINE.execute(parameters_file=path))
    )
    path.write_text("count: &a 3\nrate: *a\n")
    with pytest.raises(Exception, match="parameters.yaml:1"):
        await PIPELINE.execute(parameters_file=path)
    path.write_text("# nothing\n")
    with pytest.raises(Exception, match="there is nothing in the file"):
        await PIPELINE.execute(parameters_file=path)


async def test_the_callers_values_are_not_changed() -> None:
    """What tasks do to their parameters, the caller's own objects do not see."""
    given = {"rows": [[1], [2]]}

    def change(rows: list[list[int]]) -> None:
        rows[0].append(9)
        rows.clear()

    await Pipeline([PythonTask(change)]).execute(parameters=given)
    assert {"rows": [[1], [2]]} == given


async def test_a_secret_given_as_a_parameter_stays_one() -> None:
    """A `Secret` among the parameters is passed on as one, and shows nowhere, not even where a task returns it."""

    def use(token: Secret) -> tuple[int, str]:
        return len(token.reveal()), f"it is {token.reveal()}"

    pipeline = Pipeline([PythonTask(use, returns=["length", "said"])])
    result = await pipeline.execute(parameters={"token": Secret("hunter22")})
    assert (8, "it is <secret>") == (result.parameters["length"], result.parameters["said"])
    assert "hunter22" not in repr(result) + result.log.to_json() + repr(result.events)


async def test_nobody_is_waited_for(tmp_path: Path) -> None:
    """A pipe that nobody writes to is no file of parameters: it is refused at once."""
    pipe = tmp_path / "p.json"
    os.mkfifo(pipe)
    with anyio.fail_after(5), pytest.raises(ValueError, match=r"p\.json: it cannot be read: .*this is a named pipe"):
        await PIPELINE.execute(parameters_file=pipe)
