"""Secrets: how tasks get them, and that they are in nothing that is told or kept."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from dagflow.core.secrets import MASK, Secret
from dagflow.errors import GraphError, NodeError
from dagflow.events import Printed, Yielded
from dagflow.pipeline.composites import Map, Parallel
from dagflow.pipeline.parameters import ParameterError
from dagflow.pipeline.pipeline import Pipeline
from dagflow.pipeline.returns import Returned
from dagflow.pipeline.tasks import PythonTask, ShellTask
from dagflow.store.sqlite import SQLiteStore

VALUE = "hunter2-and-more"


class Vault:
    """A provider of secrets, which counts how often it is asked."""

    def __init__(self, **secrets: str) -> None:
        self.asked: list[str] = []
        self._secrets = secrets

    place = "the vault"

    async def names(self) -> list[str]:
        return list(self._secrets)

    async def find(self, name: str) -> Secret | None:
        self.asked.append(name)
        value = self._secrets.get(name)
        return None if value is None else Secret(value)


async def test_a_task_takes_secrets_by_name() -> None:
    """A parameter gets the secret as a `Secret`, or as text where that is declared; a command in its environment."""
    seen: dict[str, Any] = {}

    def use(token: Secret, plain: str, free: Any) -> None:
        seen.update(token=token, plain=plain, free=free)

    vault = Vault(TOKEN=VALUE)
    secrets = {"token": "TOKEN", "plain": "TOKEN", "free": "TOKEN"}
    code = f"import os, sys; sys.exit(os.environ['TOKEN'] != {VALUE!r})"
    await Pipeline(
        [PythonTask(use, secrets=secrets), ShellTask([sys.executable, "-c", code], secrets=["TOKEN"])]
    ).execute(secrets=vault)
    assert {"token": Secret(VALUE), "plain": VALUE, "free": Secret(VALUE)} == seen
    assert ["TOKEN"] == vault.asked
    assert VALUE not in "".join(os.environ.values())


async def test_missing_secrets_are_told_before_anything_runs() -> None:
    """All secrets that are not there are in one error, also those of branches; so is the lack of a provider."""
    ran: list[int] = []
    steps = [
        PythonTask(lambda: ran.append(1), name="first"),
        PythonTask(lambda a: None, name="use", secrets={"a": "A"}),
        Parallel({"x": PythonTask(lambda b: None, name="use", secrets={"b": "B"})}),
    ]
    with pytest.raises(GraphError) as caught:
        await Pipeline(steps).execute(secrets=Vault(A2="1234"))
    expected = ("there is no secret 'A' in the vault; did you mean 'A2'?", "there is no secret 'B' in the vault")
    assert expected == caught.value.faults
    with pytest.raises(GraphError, match="are given the secrets 'A', 'B', and there is no provider"):
        await Pipeline(steps).execute()
    assert [] == ran


def test_a_secret_for_no_parameter_is_a_fault() -> None:
    """A function that does not take the secret is refused when the pipeline is built."""
    with pytest.raises(GraphError, match="takes no parameter 'TOKEN' for the secret 'TOKEN'"):
        Pipeline([PythonTask(lambda x: None, name="use", secrets=["TOKEN"])])


class Stubborn(Exception):
    """Its text comes from elsewhere than its arguments."""

    def __str__(self) -> str:
        return f"it was {VALUE}"


async def tell_everything(item: int, token: str) -> Any:
    """Print, return, yield or raise the secret, one way or another."""
    if item % 4 == 0:
        return {"said": f"the token is {token}", "list": [token, (token, {token: 1})]}
    if item % 4 == 1:
        raise ValueError(f"refused: {token}")
    if item % 4 == 2:
        raise KeyError("cause") from RuntimeError(token)
    raise Stubborn


@pytest.mark.slow
async def test_a_known_secret_is_in_nothing_that_is_told_or_kept(tmp_path: Path) -> None:
    """Tasks that return, raise, print and yield a secret leave it in no event, log, result, error or file."""

    async def stream(token: str) -> AsyncIterator[Any]:
        yield f"say {token}"
        yield Returned(token)

    each = PythonTask(tell_everything, returns=["x"], secrets={"token": "TOKEN"}, on_failure="continue")
    shell = f"echo {VALUE}; echo {VALUE} >&2; echo out=$TOKEN >> $DAGFLOW_OUTPUTS"
    pipeline = Pipeline(
        [
            Map("items", each, max_concurrency=64),
            ShellTask(shell, shell=True, secrets=["TOKEN"], returns=["out"]),
            PythonTask(stream, secrets={"token": "TOKEN"}, returns=["streamed"]),
            PythonTask(lambda token: 1 / 0, name="last", secrets={"token": "TOKEN"}),
        ]
    )
    store = SQLiteStore(tmp_path / "runs.db")
    folder = tmp_path / "run"
    told: list[Any] = []
    stream_of_it = pipeline.stream(
        parameters={"items": list(range(200))}, secrets=Vault(TOKEN=VALUE), store=store, run_id="one", run_folder=folder
    )
    with pytest.raises(NodeError) as caught:
        async with stream_of_it as events:
            async for event in events:
                told.append(event)
    printed = {event.text for event in told if isinstance(event, Printed)}
    assert {MASK} == printed
    assert [f"say {MASK}"] == [event.value for event in told if isinstance(event, Yielded)]
    texts = [repr(event) for event in told]
    texts += traceback.format_exception(caught.value)
    texts += [(folder / "run_log.json").read_text()]
    files = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert VALUE not in "".join(texts)
    assert VALUE.encode() not in files
    assert b"division by zero" in files


async def test_the_error_of_a_single_task_does_not_show_the_secret() -> None:
    """The error that the caller gets, with its causes and notes, is free of it too; its type is kept if it can be."""
    for item, kind in ((1, ValueError), (2, KeyError), (3, NodeError)):
        task = PythonTask(tell_everything, secrets={"token": "TOKEN"})
        with pytest.raises(NodeError) as caught:
            await Pipeline([task]).execute(parameters={"item": item}, secrets=Vault(TOKEN=VALUE))
        assert VALUE not in "".join(traceback.format_exception(caught.value))
        assert isinstance(caught.value.failures[0].exception, kind)


async def test_a_parameter_that_holds_a_secret_is_refused() -> None:
    """A parameter would be recorded: one with the value of a known secret is told by its name, and not shown."""
    task = PythonTask(lambda x, token: None, name="use", secrets={"token": "TOKEN"})
    with pytest.raises(ParameterError, match="x: it holds the value of a secret") as caught:
        await Pipeline([task]).execute(parameters={"x": ["a", VALUE]}, secrets=Vault(TOKEN=VALUE))
    assert VALUE not in str(caught.value)


async def test_a_returned_secret_is_refused_where_it_would_be_recorded(tmp_path: Path) -> None:
    """A `Secret` that a task returns is never written: the error names the task."""
    task = PythonTask(lambda token: token, name="give", secrets={"token": "TOKEN"}, returns=["x"])
    with pytest.raises(NodeError, match="task give returned 'x', which cannot be recorded"):
        await Pipeline([task]).execute(secrets=Vault(TOKEN=VALUE), store=SQLiteStore(tmp_path / "runs.db"))
