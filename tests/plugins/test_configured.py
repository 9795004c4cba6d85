"""A configuration file names plug-ins by their types, with options that are those of their classes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dagflow import (
    LMError,
    Pipeline,
    PythonTask,
    SourceError,
    list_threads,
    load_and_compile,
    load_lm,
    plugins,
    run_graph_async,
)
from dagflow.configuration import ConfigurationError
from dagflow.declarative.lint import lint_file
from dagflow.plugins import PluginError
from declarative.yaml_files import write_graph
from plugins.packages import install

SOURCE = """
from __future__ import annotations
from collections.abc import Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING
import attrs
from dagflow import MemoryStore, Secret
from dagflow.pipeline.executors import LocalExecutor

if TYPE_CHECKING:
    from nowhere import Client

MADE = {}


class Shelf:
    def __init__(self, name: str, depth: int = 3, *, folder: Path | None = None, clock: Callable[[], float] = int):
        if depth > 10:
            raise ValueError(f"a shelf of {depth} is too deep")
        self.options = MADE["shelf"] = (name, depth, folder)
        self.inner = MemoryStore()

    def open(self):
        return self.inner.open()


@attrs.frozen(eq=False)
class Far(LocalExecutor):
    service_name = "far"
    client: Client | None = None
    address: str | Path = "here"
    tags: list[str] = attrs.field(factory=list)

    def __attrs_post_init__(self):
        MADE["far"] = (self.client, self.address, self.tags)


class Vault:
    place = "the vault"

    def __init__(self, token: Secret, names=None):
        if not isinstance(token, Secret) or token.reveal() == "wrong-token":
            raise RuntimeError(f"the vault does not know {token.reveal()}")
        self.token = token

    async def find(self, name):
        return Secret(f"of {self.token.reveal()}") if name == "KEY" else None

    async def names(self):
        return ["KEY"]


class Foreign:
    def make(self): ...
    def decide(self): ...
    def choose_type(self): ...
    def fill(self): ...


class Needy:
    def __init__(self, client: Callable[[], float]):
        ...

    async def get(self, patterns, folder, place): ...
    async def put(self, patterns, folder, place): ...
    async def put_bytes(self, path, data, place): ...
"""
ECHO = """
from dagflow import BaseLM
from dagflow.lm.protocol import LMResponse


class Echo(BaseLM):
    def __init__(self, word):
        super().__init__()
        self.word = word

    async def complete(self, request):
        return LMResponse(text=self.word)
"""
POINTS = {
    "dagflow.stores": {"shelf": "acme_config:Shelf", "ruin": "acme_config:Nothing"},
    "dagflow.executors": {"far": "acme_config:Far"},
    "dagflow.secrets": {"vault": "acme_config:Vault"},
    "dagflow.catalogs": {"needy": "acme_config:Needy"},
    "dagflow.lms": {"echo": "acme_echo:Echo", "gone": "acme_config:Gone", "foreign": "acme_config:Foreign"},
}


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """An installed package with a plug-in of each kind; what was made of them comes back."""
    install(tmp_path / "site", "acme", POINTS, {"acme_config": SOURCE, "acme_echo": ECHO})
    monkeypatch.syspath_prepend(tmp_path / "site")
    plugins.forget()
    found: dict[str, Any] = plugins.load("stores", "shelf").__init__.__globals__["MADE"]
    found.clear()
    sys.modules.pop("acme_echo", None)
    yield found
    plugins.forget()


def told(token: str) -> str:
    return f"<{token}>"


async def run(tmp_path: Path, text: str, **options: Any) -> Any:
    file = tmp_path / "dagflow.yaml"
    file.write_text(text)
    pipeline = Pipeline([PythonTask(told, secrets={"token": "KEY"}, returns=["said"])])
    return await pipeline.execute(configuration_file=file, **options)


async def faults(tmp_path: Path, text: str) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        await run(tmp_path, text)
    return caught.value


VAULT = "secrets: {type: vault, token: '${VAULT_TOKEN}'}\n"


async def test_a_run_has_the_plugins_that_its_file_names(
    made: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Options are given in the types of the hints; a path begins at the file, and a secret is one."""
    monkeypatch.setenv("VAULT_TOKEN", "token-1")
    text = "store: {type: shelf, name: top, folder: boxes}\nexecutor: {type: far, tags: [a, b]}\n"
    result = await run(tmp_path, text + VAULT)
    assert "<<secret>>" == result.parameters["said"]
    assert ("top", 3, tmp_path / "boxes") == made["shelf"]
    assert (None, "here", ["a", "b"]) == made["far"]


async def test_a_chain_of_secrets_may_hold_plugins(
    made: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sections of a chain are read as `secrets` itself."""
    monkeypatch.setenv("VAULT_TOKEN", "token-1")
    chain = "secrets: {type: chain, providers: [{type: environment, prefix: NO_}, {type: vault, token: x-token}]}"
    assert "<<secret>>" == (await run(tmp_path, chain)).parameters["said"]


async def test_options_are_checked_by_the_class(made: dict[str, Any], tmp_path: Path) -> None:
    """Options that are unknown, missing or of another type are told with their paths, as are types."""
    error = await faults(
        tmp_path,
        "store: {type: shelf, depht: 4, depth: deep, clock: x}\nexecutor: {type: fra}\ncatalog: {type: needy}\n"
        "secrets: {type: vault}",
    )
    lines = [str(item) for item in error.invalid]
    assert [
        "$.store.depht: unknown field; did you mean 'depth'?",
        "$.store.clock: unknown field; expected 'name', 'depth', 'folder'",
    ] == [line for line in lines[:5] if "unknown" in line]
    assert lines[0].startswith("$.executor.type: expected one of local, async-local, dask, far")
    assert lines[0].endswith("got 'fra'; did you mean 'far'?")
    assert {"$.store.name: missing; expected string", "$.store.depth: expected integer, got string 'deep'"} < {*lines}
    assert "$.catalog.type: the plug-in 'needy' of acme 1.0" in lines[5]
    assert "is broken: Needy cannot be made from a file, which cannot give its parameter client" in lines[5]
    assert "$.secrets.token: missing; expected string" == lines[6]


async def test_a_broken_plugin_is_told_as_what_it_is(made: dict[str, Any], tmp_path: Path) -> None:
    """The error of the configuration names distribution and line, and has the plug-in's as its cause."""
    error = await faults(tmp_path, "store: {type: ruin}")
    assert "$.store.type: the plug-in 'ruin' of acme 1.0 (dagflow.stores: ruin = acme_config:Nothing)" in str(error)
    assert "has no Nothing" in str(error)
    assert isinstance(error.__cause__, PluginError)
    assert "acme 1.0" == error.__cause__.distribution


async def test_a_plugin_that_refuses_its_options_is_told(made: dict[str, Any], tmp_path: Path) -> None:
    """What its class raises is the cause, and no secret is in the text."""
    with pytest.raises(PluginError, match="'shelf' of acme 1.0 .* cannot be made .* a shelf of 11 is too deep") as deep:
        await run(tmp_path, "store: {type: shelf, name: x, depth: 11}")
    assert isinstance(deep.value.__cause__, ValueError)
    with pytest.raises(PluginError, match="the vault does not know <secret>"):
        await run(tmp_path, "secrets: {type: vault, token: wrong-token}")


GRAPH = """
    checkpointer: {type: shelf, name: "${SHELF}", folder: boxes}
    state: {said: str}
    nodes:
      say: {type: passthrough, output: {said: hello}}
    edges: [{from: START, to: say}, {from: say, to: END}]
"""


async def test_a_graph_file_names_a_plugin_as_its_checkpointer(
    made: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its options are those of the class, with variables put in and paths relative to the file; runs are kept in it."""
    monkeypatch.setenv("SHELF", "lower")
    path = write_graph(tmp_path, GRAPH)
    graph = load_and_compile(path)
    assert ("lower", 3, path.parent / "boxes") == made["shelf"]
    await run_graph_async(graph, {}, thread_id="t")
    assert graph.store is not None
    assert ["t"] == [thread.thread_id for thread in (await list_threads(graph.store)).threads]


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ("{type: shelf, nmae: x}", "1:29: checkpointer.nmae: unknown field; did you mean 'name'?"),
        ("{type: shelf, name: x, depth: '${SHELF}'}", "depth: expected integer, got what ${SHELF} stands for, a text"),
        ("{type: shelf, name: '${SHLF}'}", "the environment has no value for ${SHLF}; did you mean 'SHELF'?"),
        ("{type: ruin}", "the plug-in 'ruin' of acme 1.0 (dagflow.stores: ruin = acme_config:Nothing) is broken"),
        ("{type: shelf, name: x, depth: 11}", "cannot be made from its options: ValueError: a shelf of 11"),
        ("{type: shlef, name: x}", "checkpointer"),
    ],
)
def test_a_wrong_checkpointer_is_told_with_its_place(
    made: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, fault: str
) -> None:
    """The loader and the linter tell options and plug-ins that are wrong, and nothing out of the environment."""
    monkeypatch.setenv("SHELF", "canary")
    path = write_graph(tmp_path, GRAPH.replace('{type: shelf, name: "${SHELF}", folder: boxes}', given))
    with pytest.raises(SourceError) as caught:
        load_and_compile(path)
    assert fault in str(caught.value)
    assert "canary" not in str(caught.value)
    assert any(finding.path.startswith("checkpointer") for finding in lint_file(path).findings)


ASKING = """
    state: {word: str}
    nodes:
      ask: {type: llm, lm: "echo:loud", prompt: {system: s, user: hi}, state_key: word}
    edges: [{from: START, to: ask}, {from: ask, to: END}]
"""


async def test_a_graph_file_names_a_plugin_as_its_language_model(made: dict[str, Any], tmp_path: Path) -> None:
    """`lm: name:model` calls the class with the model; one that is broken is told when it is asked."""
    graph = load_and_compile(write_graph(tmp_path, ASKING))
    assert "acme_echo" in sys.modules, "imported by now: a run would hold up its event loop for it"
    assert {"word": "loud"} == (await run_graph_async(graph, {}))["state"]
    assert "quiet" == getattr(load_lm("echo:quiet"), "word", None)
    broken = load_and_compile(write_graph(tmp_path, ASKING.replace("echo:loud", "gone")))
    with pytest.raises(LMError, match="the plug-in 'gone' of acme 1.0 .* is broken"):
        await run_graph_async(broken, {})
    with pytest.raises(TypeError, match="Foreign extends no BaseLM"):
        load_lm("foreign")
    with pytest.raises(ValueError, match=r"'ecoh:x' names no language model; did you mean 'echo'.*echo\[:MODEL\]"):
        load_lm("ecoh:x")
