"""Nodes that call functions: arguments by name, results, dependencies, threads and processes, failures."""

import threading
from pathlib import Path
from typing import Annotated, Any

import anyio
import pytest

from dagflow import Dep, NodeError
from dagflow.events import NodeRecovered, NodeRetried
from declarative.yaml_files import compiled, faults_in

ONE = """
    state: {x: int, y: {type: int, default: 5}, z: any}
    nodes: {a: {type: python, function: f, MORE}}
    edges: [{from: START, to: a}, {from: a, to: END}]
"""


async def test_parameters_get_the_state_keys_of_their_names(tmp_path: Path) -> None:
    """What has no argument of its own is taken from the state; a default stands where that has no value."""

    async def f(x: int, y: int, z: int = 100) -> int:
        return x + y + z

    graph = compiled(tmp_path, ONE.replace("MORE", "state_key: z"), f=f)
    assert 106 == (await graph.run({"x": 1})).state["z"]
    graph = compiled(tmp_path, ONE.replace("MORE", 'state_key: z, arguments: {x: "{y * 2}", z: 0}'), f=f)
    assert 15 == (await graph.run({"x": 1})).state["z"]


async def test_a_parameter_named_state_gets_all_of_it(tmp_path: Path) -> None:
    """A function may look at the whole state, which it cannot change."""

    def f(state: dict[str, Any]) -> dict[str, Any]:
        state["x"] = 99
        return {"z": sorted(state)}

    result = await compiled(tmp_path, ONE.replace("MORE", "offload: inline"), f=f).run({"x": 1})
    assert {"x": 1, "y": 5, "z": ["x", "y"]} == result.state


async def test_without_a_state_key_a_function_returns_what_it_writes(tmp_path: Path) -> None:
    """A mapping writes its keys, `None` writes nothing, and anything else is an error that says what to do."""

    async def f(x: int) -> Any:
        return [{"z": 1, "y": 2}, None, 7][x]

    graph = compiled(tmp_path, ONE.replace(", MORE", ""), f=f)
    assert {"x": 0, "y": 2, "z": 1} == (await graph.run({"x": 0})).state
    assert {"x": 1, "y": 5} == (await graph.run({"x": 1})).state
    with pytest.raises(NodeError, match="f returned a int; name the key that it belongs to as `state_key`"):
        await graph.run({"x": 2})


async def test_sync_functions_do_not_stall_the_loop(tmp_path: Path) -> None:
    """A function that is not async runs in a worker thread, unless it says otherwise."""

    def f() -> str:
        return threading.current_thread().name

    here = threading.current_thread().name
    thread = (await compiled(tmp_path, ONE.replace("MORE", "state_key: z"), f=f).run()).state["z"]
    assert here != thread
    inline = compiled(tmp_path, ONE.replace("MORE", "state_key: z, offload: inline"), f=f)
    assert here == (await inline.run()).state["z"]


async def test_a_function_may_run_in_a_process(tmp_path: Path) -> None:
    """`offload: process` runs it in a child of our own, which a timeout can end."""
    more = "state_key: z, offload: process, timeout: 20, arguments: {data: [1, 2, 6]}"
    text = ONE.replace("function: f", 'function: "statistics:fmean"').replace("MORE", more)
    assert 3.0 == (await compiled(tmp_path, text).run()).state["z"]


async def place() -> str:
    return "Brno"


async def test_dependencies_are_resolved(tmp_path: Path) -> None:
    """A parameter that is marked `Dep` gets what its callable gives, once in a run."""
    calls: list[int] = []

    async def counted(where: Annotated[str, Dep(place)]) -> str:
        calls.append(1)
        return f"{where} {len(calls)}"

    async def f(told: Annotated[str, Dep(counted)], x: int) -> str:
        return f"{told} {x}"

    text = ONE.replace(
        "a: {type: python, function: f, MORE}",
        "a: {type: python, function: f, state_key: z}, b: {type: python, function: f, state_key: w}",
    ).replace("{from: a, to: END}", "{from: a, to: b}, {from: b, to: END}")
    # Its hints name functions of this test.
    f.__annotations__["told"] = Annotated[str, Dep(counted)]
    state = (await compiled(tmp_path, text, f=f).run({"x": 3})).state
    assert ("Brno 1 3", "Brno 1 3") == (state["z"], state["w"])


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ("arguments: {xx: 1}, state_key: z", "f takes no 'xx'; did you mean 'x'?"),
        ("state_key: z, timeout: 1", "a thread cannot be stopped"),
        ("state_key: z, offload: process", "cannot have offload: process"),
        ('state_key: z, arguments: {x: "{stat.y}"}', "the state has no key 'stat'"),
        ("state_key: z, requires: [q]", "the state has no key 'q'"),
        ("skip_if_exists: true", "give the node a state_key"),
    ],
)
def test_faults_are_told_at_their_lines(tmp_path: Path, more: str, problem: str) -> None:
    """What a function cannot take, and options that cannot work, are found when the graph is loaded."""

    def f(x: int) -> int:
        return x

    (fault,) = faults_in(tmp_path, ONE.replace("MORE", more), f=f)
    assert fault.startswith("2:")
    assert problem in fault


def test_a_parameter_that_nothing_gives_is_a_fault(tmp_path: Path) -> None:
    """A function whose parameter is no state key cannot be called, and that is known before."""

    async def f(w: int) -> None: ...

    (fault,) = faults_in(tmp_path, ONE.replace("MORE", "state_key: z"), f=f)
    assert "f takes 'w', which is no state key; give it in `arguments`" in fault


def test_functions_that_are_not_there(tmp_path: Path) -> None:
    """A module, a name in it and a file that do not exist are told apart, with the nearest name."""
    (fault,) = faults_in(tmp_path, ONE.replace("function: f", 'function: "mth:sqrt"').replace(", MORE", ""))
    assert "there is no module mth" in fault
    (fault,) = faults_in(tmp_path, ONE.replace("function: f", 'function: "math:sqr"').replace(", MORE", ""))
    assert "math has no sqr; did you mean 'sqrt'?" in fault
    (fault,) = faults_in(tmp_path, ONE.replace("function: f", 'function: "./tools.py:f"').replace(", MORE", ""))
    assert "tools.py" in fault
    (tmp_path / "tools.py").write_text("raise ValueError('broken')")
    (fault,) = faults_in(tmp_path, ONE.replace("function: f", 'function: "./tools.py:f"').replace(", MORE", ""))
    assert "importing ./tools.py failed: ValueError: broken" in fault


async def test_a_file_beside_the_graph_is_imported(tmp_path: Path) -> None:
    """`./file.py:name` needs no path to be set; classes in it work as anywhere."""
    (tmp_path / "tools.py").write_text(
        "import attrs\n@attrs.frozen\nclass P:\n    n: int\n\nasync def f(x: int) -> int:\n    return P(x).n + 1\n"
    )
    graph = compiled(tmp_path, ONE.replace("function: f", 'function: "./tools.py:f"').replace("MORE", "state_key: z"))
    assert 3 == (await graph.run({"x": 2})).state["z"]


async def test_a_tool_node_checks_its_arguments(tmp_path: Path) -> None:
    """Arguments of a tool are checked against its hints, and every one that does not fit is told."""

    async def f(x: int, names: list[str]) -> str:
        return ",".join(names) * x

    text = ONE.replace("type: python, function: f", 'type: tool, tool: f, arguments: {x: "{x}", names: "{z}"}')
    graph = compiled(tmp_path, text.replace("MORE", "state_key: z"), f=f)
    assert "a,ba,b" == (await graph.run({"x": 2, "z": ["a", "b"]})).state["z"]
    with pytest.raises(NodeError, match=r"the arguments of tool f do not fit: \$.names\[1\]"):
        await graph.run({"x": 2, "z": ["a", 1]})
    (fault,) = faults_in(tmp_path, text.replace('{x: "{x}", ', "{").replace("MORE", "state_key: z"), f=f)
    assert "f needs 'x'" in fault


class Flaky:
    """Fails so many times."""

    def __init__(self, failures: int) -> None:
        self.left = failures
        self.calls = 0

    async def __call__(self) -> str:
        self.calls += 1
        if self.left:
            self.left -= 1
            raise ValueError(f"{self.left} left")
        return "done"


@pytest.mark.parametrize("on_error", ["retry", "{retry: 2}", "{retry: {attempts: 3, delay: 0}}"])
async def test_a_failure_is_retried(tmp_path: Path, on_error: str) -> None:
    """A node that fails is tried again as often as it says, and each failure is an event."""
    text = ONE.replace("MORE", f"state_key: z, on_error: {on_error.replace('2}', '{attempts: 3, delay: 0.001}}')}")
    text = text.replace("on_error: retry", "on_error: {retry: {attempts: 3, delay: 0.001}}")
    flaky = Flaky(2)
    result = await compiled(tmp_path, text, f=flaky).run()
    assert ("done", 3) == (result.state["z"], flaky.calls)
    assert ["ValueError: 1 left", "ValueError: 0 left"] == [
        event.error for event in result.events if isinstance(event, NodeRetried)
    ]
    with pytest.raises(NodeError, match="2 left"):
        await compiled(tmp_path, text, f=Flaky(5)).run()


@pytest.mark.parametrize(
    ("on_error", "state"),
    [
        ("skip", {"y": 5, "after": True}),
        ("{then: skip}", {"y": 5, "after": True}),
        ("{fallback: {value: null}}", {"y": 5, "z": None, "after": True}),
        ('{fallback: {value: "none"}}', {"y": 5, "z": "none", "after": True}),
        ("{fallback: {to: other}}", {"y": 5, "other": True}),
        ("{fallback: {to: END}}", {"y": 5}),
    ],
)
async def test_what_stands_in_for_a_node_that_fails(tmp_path: Path, on_error: str, state: dict[str, Any]) -> None:
    """A node may be skipped, get a value, or be followed by another; the failure is in the journal."""
    text = f"""
        state: {{y: {{type: int, default: 5}}, z: any, after: any, other: any}}
        nodes:
          a: {{type: python, function: f, state_key: z, on_error: {on_error}}}
          after: {{type: passthrough, output: {{after: true}}}}
          other: {{type: passthrough, output: {{other: true}}}}
        edges:
          - {{from: START, to: a}}
          - {{from: a, to: after, condition: "y == 5"}}
          - {{from: a, to: other}}
          - {{from: after, to: END}}
          - {{from: other, to: END}}
    """
    result = await compiled(tmp_path, text, f=Flaky(9)).run()
    assert state == result.state
    assert ["ValueError: 8 left"] == [event.error for event in result.events if isinstance(event, NodeRecovered)]


async def test_a_timeout_is_a_failure_like_others(tmp_path: Path) -> None:
    """A node that passes its timeout is cancelled, and fails or is skipped as it says."""
    cleaned: list[str] = []

    async def f() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            cleaned.append("cleaned")

    with pytest.raises(NodeError, match=r"passed its timeout of 0.01 s"):
        await compiled(tmp_path, ONE.replace("MORE", "state_key: z, timeout: 0.01"), f=f).run()
    result = await compiled(tmp_path, ONE.replace("MORE", "state_key: z, timeout: 0.01, on_error: skip"), f=f).run()
    assert {"y": 5} == result.state
    assert ["cleaned", "cleaned"] == cleaned


async def test_required_keys_are_checked_before_the_call(tmp_path: Path) -> None:
    """A node whose requirement has no value fails before its function is called, naming both."""

    async def f() -> None:
        raise AssertionError("it ran")

    graph = compiled(tmp_path, ONE.replace("MORE", "state_key: z, requires: [y, x]"), f=f)
    with pytest.raises(NodeError, match="node a requires the state key 'x', and nothing before it has written it"):
        await graph.run()


async def test_skip_if_exists_saves_the_call(tmp_path: Path) -> None:
    """A node whose key has a value does nothing, and the run goes on."""

    async def f() -> str:
        return "made"

    graph = compiled(tmp_path, ONE.replace("MORE", "state_key: z, skip_if_exists: true"), f=f)
    assert "given" == (await graph.run({"z": "given"})).state["z"]
    assert "made" == (await graph.run({"z": None})).state["z"]


async def test_no_more_activations_than_allowed_are_under_way(tmp_path: Path) -> None:
    """`max_concurrency` of the graph bounds its nodes, whatever their kind."""
    under_way, most = 0, 0

    async def f() -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await anyio.sleep(0.001)
        under_way -= 1

    nodes = ", ".join(f"n{i}: {{type: python, function: f}}" for i in range(9))
    edges = ", ".join(f"{{from: START, to: n{i}}}, {{from: n{i}, to: END}}" for i in range(9))
    await compiled(tmp_path, f"max_concurrency: 2\nnodes: {{{nodes}}}\nedges: [{edges}]\n", f=f).run()
    assert 2 == most
