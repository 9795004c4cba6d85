"""The options of a pipeline's runs, as keyword arguments."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, TypedDict

from dagflow.core.storage import Store
from dagflow.pipeline.executors import Executor
from dagflow.pipeline.ports import Capture, FileCatalog, NotebookDriver
from dagflow.secret_stores.provider import SecretProvider
from dagflow.types import Durability

__all__ = ["ExecuteOptions", "OtherOptions", "RetryOptions"]

Path = str | os.PathLike[str]


class OtherOptions(TypedDict, total=False):
    """What `Pipeline.execute` and `retry` take alike.

    `configuration_file` names the services of the run: executor, store, catalog, secrets. Those that are given here
    stand for those of the file: `executor`, `catalog`, `secrets`, `capture` and `notebooks`. `run_folder` is where
    `run_log.json` is written while the run goes on. `timeout` is in seconds. `durability` and `lease_wait` (seconds)
    are those of `Graph.run`.
    """

    configuration_file: Path | None
    executor: Executor | None
    catalog: FileCatalog | None
    secrets: SecretProvider | None
    capture: Capture | None
    notebooks: NotebookDriver | None
    run_folder: Path | None
    timeout: float | None
    durability: Durability
    lease_wait: float


class ExecuteOptions(OtherOptions, total=False):
    """What `Pipeline.execute` takes: `OtherOptions`, the parameters, and where the run is recorded.

    Parameters come from `parameters_file` (JSON or YAML), from the environment (`DAGFLOW_PARAMETER_name`, read once,
    when the run begins) and from `parameters`; the later stands for the earlier. `store` keeps the run under `run_id`,
    which no other run of the store has; without one it gets a random name. `tag` is a word for the run log.
    """

    parameters: Mapping[str, Any] | None
    parameters_file: Path | None
    run_id: str | None
    tag: str
    store: Store | None


class RetryOptions(OtherOptions, total=False):
    """What `Pipeline.retry` takes beside the run and its store: `OtherOptions`.

    With `accept_changes` it goes on with a pipeline that has changed, where what was recorded still has a place in it.
    """

    accept_changes: bool
