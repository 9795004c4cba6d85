"""The architecture: what may import what, read from the imports themselves."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

import dagflow
from dagflow.core.topology import CycleFound, levels

ROOT = Path(dagflow.__file__).parent

ADAPTERS = frozenset(
    {
        "capture",
        "catalog",
        "configuration",
        "executors",
        "lm",
        "notebook",
        "secret_stores",
        "store",
        "telemetry",
    }
)
"""What talks to the world outside, each to a part of it; none imports another."""

LAYERS: tuple[Collection[str], ...] = (
    ("errors", "events", "types"),
    ("core",),
    ("kernel",),
    ("source", "plugins"),
    ADAPTERS,
    ("graph", "declarative", "pipeline"),
    ("optimize",),
    ("cli", "report", "testing", "web", "__main__"),
)
"""Each package or module imports only from its own layer or one above it in this list."""

ONLY_IN = {
    "asyncio": {"testing", "declarative.hosting"},
    "httpx": {"lm.http"},
    "httpx2": {"lm.http"},
    "h11": {"testing.lm_server"},
    "dspy": {"lm.dspy", "optimize"},
    "pydantic_ai": {"lm.pydantic_ai"},
    "genai_prices": {"lm.prices"},
    "trio": {"testing", "declarative.hosting"},
    "opentelemetry": {"telemetry"},
    "distributed": {"executors"},
    "nbclient": {"notebook.library"},
    "nbformat": {"notebook.library"},
    "jupyter_client": {"notebook.library"},
    "zmq": {"notebook.library"},
    "yaml": {"source"},
    "jinja2": {"declarative.prompts"},
    "fastapi": {"web"},
    "starlette": {"web"},
    "uvicorn": {"web.servers"},
    "hypercorn": {"web.servers"},
    "blockbuster": {"testing.blocking"},
    "sqlite3": {"store.sqlite"},
    "coredis": {"store.redis"},
    "subprocess": {"kernel.process", "kernel.session", "testing.redis_server"},
    "pickle": {"kernel.offload", "kernel.offload_child"},
    "typer": {"cli"},
    "rich": {"cli"},
    "psutil": {"testing.leaks"},
}
"""Where a module may be imported; nowhere else."""

NOT_IN_CORE = {"anyio", "asyncio", "trio", "os", "socket", "threading", "time"}


WRITES = re.compile(r"os\.(environ(\[[^]]+\] =|\.(update|setdefault|pop|clear))|chdir|putenv|unsetenv)|del os\.environ")


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


MODULES = {module_name(path): ast.parse(path.read_text()) for path in ROOT.rglob("*.py")}


def imports(tree: ast.AST, *, everywhere: bool = True) -> Iterator[str]:
    """The modules that a module imports; without those inside functions and for type checkers unless `everywhere`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif everywhere or not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.If)):
            yield from imports(node, everywhere=everywhere)


def is_attribute(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute)


def own(names: Iterator[str]) -> set[str]:
    found = {name.removeprefix("dagflow.") for name in names if name.startswith("dagflow.")}
    return found & MODULES.keys()


def layer(module: str) -> int:
    return next((depth for depth, names in enumerate(LAYERS) if module.split(".")[0] in names), len(LAYERS))


def test_every_module_belongs_to_a_layer() -> None:
    """A new package is given its place among the layers before anything else."""
    assert [] == [module for module in MODULES if module and layer(module) == len(LAYERS)]


@pytest.mark.parametrize("module", sorted(module for module in MODULES if module))
def test_a_module_imports_only_from_its_layer_or_above(module: str) -> None:
    """Imports never lead from an inner layer to an outer one."""
    wrong = [name for name in own(imports(MODULES[module])) if layer(name) > layer(module)]
    assert [] == wrong, "imported from a later layer"


@pytest.mark.parametrize("module", sorted(module for module in MODULES if module.split(".")[0] in ADAPTERS))
def test_adapters_do_not_know_each_other(module: str) -> None:
    """An adapter can be taken away without touching another."""
    packages = {name.split(".")[0] for name in own(imports(MODULES[module]))}
    assert {module.split(".")[0]} >= packages & ADAPTERS


def test_there_are_no_import_cycles() -> None:
    """The modules can be imported one after the other."""
    graph = {module: own(imports(tree, everywhere=False)) - {module} for module, tree in MODULES.items() if module}
    graph = {module: {name for name in names if name in graph} for module, names in graph.items()}
    packages = {module for module in graph if any(other.startswith(f"{module}.") for other in graph)}
    graph = {module: names - packages for module, names in graph.items() if module not in packages}
    try:
        levels(graph)
    except CycleFound as found:
        pytest.fail(f"import cycle: {found}")


@pytest.mark.parametrize("library", ONLY_IN)
def test_a_library_is_imported_only_where_it_may_be(library: str) -> None:
    """Event loops, processes, pickles and optional libraries stay in the modules that are about them."""
    places = ONLY_IN[library]
    wrong = [
        module
        for module, tree in MODULES.items()
        if any(name.split(".")[0] == library for name in imports(tree))
        and not any(module == place or module.startswith(f"{place}.") for place in places)
    ]
    assert [] == wrong


@pytest.mark.parametrize("module", sorted(module for module in MODULES if module.startswith("core")))
def test_the_core_knows_no_event_loop(module: str) -> None:
    """What can be decided without awaiting is decided without an event loop, a clock or a thread."""
    found = {name.split(".")[0] for name in imports(MODULES[module])} & NOT_IN_CORE
    assert set() == found
    assert not any(isinstance(node, (ast.Await, ast.AsyncFor, ast.AsyncWith)) for node in ast.walk(MODULES[module]))


def test_processes_are_opened_in_one_place() -> None:
    """Only `kernel.process` starts processes, so that no other can be left behind; but for a server of tests."""
    ways = {"anyio.open_process", "anyio.run_process", "subprocess.Popen", "os.posix_spawn", "os.fork"}
    opening = {
        module
        for module, tree in MODULES.items()
        if ways & set(imports(tree)) or any(ast.unparse(node) in ways for node in ast.walk(tree) if is_attribute(node))
    }
    assert {"kernel.process", "testing.redis_server"} == opening


def test_the_environment_is_not_written() -> None:
    """The library changes neither `os.environ` nor the working directory; only the CLI extends the path."""
    wrong = []
    for module, tree in MODULES.items():
        text = ast.unparse(tree)
        if WRITES.search(text):
            wrong.append(module)
        if "sys.path.insert" in text or "sys.path.append" in text:
            assert module.startswith("cli"), module
    assert [] == wrong


def test_modules_stay_small() -> None:
    """No module passes 500 lines: one that does has two jobs."""
    sizes = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in ROOT.rglob("*.py")}
    assert {} == {name: size for name, size in sizes.items() if size > 500}


def test_public_names_are_sorted_and_there() -> None:
    """`dagflow.__all__` is sorted, and every name in it can be imported."""
    names = list(dagflow.__all__)
    assert names == sorted(names, key=lambda name: (not name.isupper(), not name[0].isupper(), name))
    assert all(getattr(dagflow, name) is not None for name in names)
    with pytest.raises(AttributeError, match="has no attribute 'Grph'"):
        _ = dagflow.Grph


def test_every_public_name_comes_without_the_extras() -> None:
    """`from dagflow import *` works where no optional library is installed."""
    import subprocess
    import sys

    missing = (
        "dspy, pydantic_ai, openai, anthropic, genai_prices, trio, typer, rich, psutil, hypothesis, pytest, yaml, "
        "jinja2, fastapi, starlette, uvicorn, hypercorn, blockbuster, "
        "opentelemetry, distributed, nbclient, nbformat, zmq"
    )
    block = f"import sys; sys.modules.update(dict.fromkeys('{missing}'.split(', ')))"
    subprocess.run([sys.executable, "-c", f"{block}; from dagflow import *; print(Graph)"], check=True)
    told = subprocess.run(
        [sys.executable, "-c", f"{block}; from dagflow import PydanticAIBackend"], capture_output=True, text=True
    )
    assert "PydanticAIBackend needs Pydantic AI: pip install 'dagflow[pydantic-ai]'" in told.stderr


def test_importing_dagflow_is_cheap() -> None:
    """`import dagflow` imports none of the heavy libraries."""
    import subprocess
    import sys

    heavy = "httpx, dspy, pydantic, yaml, sqlite3, cattrs, trio, typer, rich, hypothesis"
    code = f"import sys, dagflow; print([m for m in '{heavy}'.split(', ') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "[]" == found.stdout.strip()
