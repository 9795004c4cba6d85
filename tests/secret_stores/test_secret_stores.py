"""Secrets come from where they were said to be, as secrets, and what is missing is told without showing any."""

import os
from collections.abc import Collection
from pathlib import Path

import pytest

from dagflow import DagflowError, Secret
from dagflow.secret_stores import (
    ChainedSecrets,
    EnvironmentSecrets,
    MappingSecrets,
    SecretProvider,
)


class Sealed:
    """A provider that cannot be asked."""

    place = "the sealed vault"

    async def find(self, name: str) -> Secret | None:
        raise DagflowError(f"the vault is sealed, so {name!r} cannot be read")

    async def names(self) -> Collection[str]:
        return ()


async def test_the_environment_is_a_snapshot() -> None:
    """A provider over an environment gives what was there when it was made, and writes nothing."""
    environment = {"TOKEN": "t-1234"}
    provider = EnvironmentSecrets(environment)
    environment["TOKEN"] = "changed"
    before = dict(os.environ)
    assert Secret("t-1234") == await provider.find("TOKEN")
    assert before == dict(os.environ)


async def test_a_prefix_shows_only_its_own_variables() -> None:
    """With a prefix no variable without it can be asked for, nor is it suggested."""
    provider = EnvironmentSecrets({"TOKEN": "outer", "APP_TOKEN": "inner", "APP_OTHER": "x"}, prefix="APP_")
    assert Secret("inner") == await provider.find("TOKEN")
    assert None is await provider.find("APP_TOKEN")
    assert ["TOKEN", "OTHER"] == list(await provider.names())


@pytest.mark.parametrize("provider", [MappingSecrets({"TOKEN": ""}), EnvironmentSecrets({"TOKEN": ""})])
async def test_an_empty_secret_is_missing(provider: SecretProvider) -> None:
    """A variable that is set to nothing is no secret."""
    assert None is await provider.find("TOKEN")


async def test_a_chain_asks_in_order() -> None:
    """The first provider that has a secret gives it, and the next ones are not asked."""
    chain = ChainedSecrets([MappingSecrets({"A": "first"}), MappingSecrets({"A": "second", "B": "found"}), Sealed()])
    assert (Secret("first"), Secret("found")) == (await chain.find("A"), await chain.find("B"))
    assert ["A", "B"] == list(await chain.names())


async def test_a_provider_that_fails_ends_the_search() -> None:
    """A secret is not taken from a later place because an earlier one could not be asked."""
    with pytest.raises(DagflowError, match="the vault is sealed"):
        await ChainedSecrets([Sealed(), MappingSecrets({"A": "other"})]).find("A")


async def test_no_provider_has_nothing() -> None:
    """A mapping without values, and a chain without providers, have no secret; each says where it looks."""
    for provider, place in ((MappingSecrets(), "the given mapping"), (ChainedSecrets([]), "no place at all")):
        assert (None, place) == (await provider.find("A"), provider.place)
    chain = ChainedSecrets([MappingSecrets(), EnvironmentSecrets({}, prefix="APP_")])
    assert "the given mapping, then the environment (as APP_NAME)" == chain.place


def test_providers_do_not_show_their_secrets(tmp_path: Path) -> None:
    """No repr of a provider holds a value."""
    providers: list[SecretProvider] = [MappingSecrets({"A": "canary"}), EnvironmentSecrets({"A": "canary"})]
    assert "canary" not in repr(ChainedSecrets(providers))
