"""A configuration says what it should, or every fault is told with its path, and nothing out of the environment."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest

from dagflow.configuration import (
    ChainedSecretsOptions,
    Choice,
    Configuration,
    ConfigurationError,
    DotenvSecretsOptions,
    EnvironmentSecretsOptions,
    FileCatalogOptions,
    LocalExecutorOptions,
    RedisStoreOptions,
    SQLiteStoreOptions,
    load_configuration,
    read_configuration,
)
from dagflow.core.structure import structure
from dagflow.plugins import PluginError

WHOLE: dict[str, Any] = {
    "executor": {"type": "local", "max_concurrency": 4},
    "store": {"type": "sqlite", "path": "runs.db"},
    "catalog": {"type": "file-system", "root": "files"},
    "secrets": {"type": "environment", "prefix": "APP_"},
}


def read(data: Any, **environment: str) -> Configuration:
    return read_configuration(data, environment=environment)


def problems(data: Any, **environment: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        read(data, **environment)
    assert all(str(item) in str(caught.value) for item in caught.value.invalid)
    return [str(item) for item in caught.value.invalid]


def test_every_section_is_read() -> None:
    """Each section gives the options of the type that it names."""
    expected = Configuration(
        executor=Choice("local", LocalExecutorOptions(max_concurrency=4)),
        store=Choice("sqlite", SQLiteStoreOptions(path="runs.db")),
        catalog=Choice("file-system", FileCatalogOptions(root="files")),
        secrets=Choice("environment", EnvironmentSecretsOptions(prefix="APP_")),
    )
    assert expected == read(WHOLE)


@pytest.mark.parametrize("data", [{}, None, {"store": None}])
def test_what_is_not_said_is_none(data: Any) -> None:
    """A section that is not there, or is empty, is `None`."""
    assert Configuration() == read(data)


def test_secrets_can_be_chained() -> None:
    """The providers of a chain are sections as `secrets` is, and are read as strictly."""
    chain = {"type": "chain", "providers": [{"type": "environment"}, {"type": "dotenv", "path": "x.env"}]}
    choices = [Choice("environment", EnvironmentSecretsOptions()), Choice("dotenv", DotenvSecretsOptions(path="x.env"))]
    assert Choice("chain", ChainedSecretsOptions(providers=choices)) == read({"secrets": chain}).secrets
    chain["providers"] = [{"type": "dotenf"}, {"type": "dotenv", "pth": "x"}, "environment"]
    told = problems({"secrets": chain})
    assert "$.secrets.providers[0].type: expected one of" in told[0]
    assert "did you mean 'dotenv'?" in told[0]
    assert "$.secrets.providers[1].pth: unknown field; did you mean 'path'?" == told[1]
    assert "$.secrets.providers[2]: expected an object" in told[2]


def test_every_fault_is_told_with_its_path_and_the_nearest_name() -> None:
    """Unknown sections, types and options, and values that do not fit, are all told at once."""
    told = problems(
        {
            "exectuor": {},
            "executor": {"type": "lokal"},
            "store": {"type": "sqlite", "pat": "runs.db", "ttl": -1},
            "catalog": {"root": "files"},
            "secrets": ["environment"],
        }
    )
    assert "$: unknown section 'exectuor'; did you mean 'executor'?" == told[0]
    assert "$.executor.type: expected one of local, async-local; got 'lokal'; did you mean 'local'?" == told[1]
    assert "$.store.pat: unknown field; did you mean 'path'?" in told
    assert "$.store.path: missing; expected string" in told
    assert any(line.startswith("$.store.ttl: ") for line in told)
    assert "$.catalog.type: missing; expected one of file-system, do-nothing" in told
    assert any(line.startswith("$.secrets: expected an object") for line in told)


def test_variables_are_put_in() -> None:
    """`${NAME}` is the variable of the given environment, and what it holds is not looked at again."""
    found = read({"store": {"type": "redis", "url": "redis://:${PW}@${HOST}/0"}}, PW="a${HOST}", HOST="db")
    assert Choice("redis", RedisStoreOptions(url="redis://:a${HOST}@db/0")) == found.store


def test_the_process_environment_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the environment that is passed counts, and an unset or empty variable is an error that suggests one."""
    monkeypatch.setenv("DAGFLOW_TEST_PATH", "x")
    path = {"type": "sqlite", "path": "${DAGFLOW_TEST_PATH}"}
    expected = "the environment has no value for ${DAGFLOW_TEST_PATH}; did you mean 'DAGFLOW_TEST_PATHS'?; set it"
    assert [f"$.store.path: {expected}"] == problems({"store": path}, DAGFLOW_TEST_PATHS="y")
    assert 1 == len(problems({"store": path}, DAGFLOW_TEST_PATH=""))


@pytest.mark.parametrize("text", ["${", "a${NAME", "${a b}", "${}", "${1}"])
def test_a_malformed_variable_is_refused(text: str) -> None:
    """What looks like a variable and is none is an error, not a text."""
    assert " is malformed; write ${NAME}" in problems({"catalog": {"type": "file-system", "root": text}}, NAME="x")[0]


def test_what_a_variable_holds_is_in_no_error() -> None:
    """A value out of the environment that does not fit is told by the variable's name alone."""
    canary = "canary-" * 9
    told = problems(
        {"executor": {"type": "local", "max_concurrency": "${N}"}, "store": {"type": "${T}"}}, N=canary, T=canary
    )
    assert 2 == len(told)
    assert "$.executor.max_concurrency: expected integer or null, got what ${N} stands for, a text" == told[0]
    assert "canary" not in str(told)


def test_options_do_not_show_addresses() -> None:
    """The URL of a store may hold a password, and is not in its repr."""
    assert "canary" not in repr(read({"store": {"type": "redis", "url": "redis://:canary@h"}}))


class Vaults:
    """Adds one type of secrets, and one that is broken."""

    def names(self, section: str) -> list[str]:
        return ["vault", "ruin"] if section == "secrets" else []

    def problems(self) -> list[str]:
        return ["odd 1.0 cannot be read"]

    def read(self, section: str, name: str, options: Mapping[str, Any]) -> Any:
        if name == "ruin":
            raise PluginError("the plug-in 'ruin' is broken")
        return structure(dict(options), VaultOptions)


@attrs.frozen
class VaultOptions:
    address: str


def test_plug_ins_add_types() -> None:
    """Types of plug-ins are read beside our own, and are among those that an error lists, with what hinders others."""
    data = {"secrets": {"type": "vault", "address": "https://v"}}
    found = read_configuration(data, environment={}, plugins=Vaults()).secrets
    assert Choice("vault", VaultOptions("https://v")) == found
    with pytest.raises(ConfigurationError) as caught:
        read_configuration({"secrets": {"type": "vaul"}, "store": {"type": "x"}}, environment={}, plugins=Vaults())
    told = [str(item) for item in caught.value.invalid]
    assert "do-nothing, vault, ruin; got 'vaul'; did you mean 'vault'?; but odd 1.0 cannot be read" in told[1]
    assert "vault" not in told[0]


def test_a_broken_plug_in_is_told_beside_everything_else() -> None:
    """It has its place among the faults, and is the cause of the error."""
    data = {"secrets": {"type": "ruin"}, "store": {"type": "sqlite"}}
    with pytest.raises(ConfigurationError) as caught:
        read_configuration(data, environment={}, plugins=Vaults())
    told = [str(item) for item in caught.value.invalid]
    assert ["$.store.path: missing; expected string", "$.secrets.type: the plug-in 'ruin' is broken"] == told
    assert "the plug-in 'ruin' is broken" == str(caught.value.__cause__)


@pytest.mark.parametrize("data", [[], "text", 3])
def test_what_is_no_configuration_is_refused(data: Any) -> None:
    """Data that is no object is an error that says what it should be."""
    with pytest.raises(ConfigurationError, match="expected an object with executor"):
        read(data)


def test_odd_plain_data_is_refused() -> None:
    """Keys that are no texts and endless nesting are faults, not crashes."""
    nested: Any = "x"
    for _ in range(2000):
        nested = [nested]
    told = problems({"store": {"type": "sqlite", "path": nested, 1: 2}})
    assert any("has the key 1, which is no text" in line for line in told)
    assert any("is nested more than 20 levels deep" in line for line in told)


async def test_a_file_is_read(tmp_path: Path) -> None:
    """A file is JSON if its name says so, else YAML; its folder is told, for the paths in it."""
    choice = Choice("file-system", FileCatalogOptions(root="files"))
    for name, text in (("c.yaml", "catalog: {type: file-system, root: files}"), ("c.json", json.dumps(WHOLE))):
        (tmp_path / name).write_text(text)
        found = await load_configuration(tmp_path / name, environment={})
        assert (choice, tmp_path) == (found.catalog, found.folder)
    (tmp_path / "c.json").write_text("null")
    assert Configuration(folder=tmp_path) == await load_configuration(str(tmp_path / "c.json"), environment={})


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("c.json", "{", "it is no JSON: Expecting property name"),
        ("c.json", '{"store": 1, "store": 2}', "the key 'store' is there twice"),
        ("c.yaml", "store: 1\nstore: 2", r"c\.yaml:2:1: the key 'store' is there twice"),
        ("c.json", "[]", "expected an object with executor"),
        ("c.yaml", None, "No such file"),
    ],
)
async def test_a_file_that_is_no_configuration_is_told(
    name: str, text: str | None, message: str, tmp_path: Path
) -> None:
    """The error names the file, and says what is wrong and where."""
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(ConfigurationError, match=message) as caught:
        await load_configuration(tmp_path / name, environment={})
    assert str(tmp_path / name) in str(caught.value)
