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
    MissingSecret,
    SecretProvider,
    resolve_secrets,
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
    assert {"TOKEN": Secret("t-1234")} == await resolve_secrets(["TOKEN", "TOKEN"], provider, task="fetch")
    assert before == dict(os.environ)


async def test_a_prefix_shows_only_its_own_variables() -> None:
    """With a prefix no variable without it can be asked for, nor is it suggested."""
    provider = EnvironmentSecrets({"TOKEN": "outer", "APP_TOKEN": "inner", "APP_OTHER": "x"}, prefix="APP_")
    assert Secret("inner") == await provider.find("TOKEN")
    assert None is await provider.find("APP_TOKEN")
    assert ["TOKEN", "OTHER"] == list(await provider.names())


async def test_a_missing_secret_names_the_task_the_places_and_the_nearest_name() -> None:
    """All that is missing is told at once, with the task, everywhere that was looked, and no value."""
    provider = ChainedSecrets([MappingSecrets({"API_TOKEN": "t-1234"}), EnvironmentSecrets({}, prefix="APP_")])
    with pytest.raises(MissingSecret) as caught:
        await resolve_secrets(["API_TOKEN", "API_TOKNE", "PASSWORD"], provider, task="report.fetch")
    message = str(caught.value)
    assert ("report.fetch", ("API_TOKNE", "PASSWORD")) == (caught.value.task, caught.value.names)
    assert "task report.fetch needs the secrets 'API_TOKNE' (did you mean 'API_TOKEN'?) and 'PASSWORD'" in message
    assert "not found in the given mapping, then the environment (as APP_NAME)" in message
    assert "t-1234" not in message


@pytest.mark.parametrize("provider", [MappingSecrets({"TOKEN": ""}), EnvironmentSecrets({"TOKEN": ""})])
async def test_an_empty_secret_is_missing(provider: SecretProvider) -> None:
    """A variable that is set to nothing is no secret."""
    with pytest.raises(MissingSecret, match="needs the secret 'TOKEN'"):
        await resolve_secrets(["TOKEN"], provider, task="fetch")


async def test_a_chain_asks_in_order() -> None:
    """The first provider that has a secret gives it, and the next ones are not asked."""
    chain = ChainedSecrets([MappingSecrets({"A": "first"}), MappingSecrets({"A": "second", "B": "found"}), Sealed()])
    assert (Secret("first"), Secret("found")) == (await chain.find("A"), await chain.find("B"))
    assert ["A", "B"] == list(await chain.names())


async def test_a_provider_that_fails_ends_the_search() -> None:
    """A secret is not taken from a later place because an earlier one could not be asked."""
    with pytest.raises(DagflowError, match="the vault is sealed"):
        await resolve_secrets(["A"], ChainedSecrets([Sealed(), MappingSecrets({"A": "other"})]), task="fetch")


async def test_no_provider_has_nothing() -> None:
    """A mapping without values, and a chain without providers, have no secret and say so."""
    with pytest.raises(MissingSecret, match="not found in the given mapping"):
        await resolve_secrets(["A"], MappingSecrets(), task="fetch")
    with pytest.raises(MissingSecret, match="not found in no place at all"):
        await resolve_secrets(["A"], ChainedSecrets([]), task="fetch")


def test_providers_do_not_show_their_secrets(tmp_path: Path) -> None:
    """No repr of a provider holds a value."""
    providers: list[SecretProvider] = [MappingSecrets({"A": "canary"}), EnvironmentSecrets({"A": "canary"})]
    assert "canary" not in repr(ChainedSecrets(providers))
