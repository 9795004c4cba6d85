"""One execution of a pipeline: what is found out before it begins, the run itself, and what it came to."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

import attrs
from anyio.to_thread import run_sync

from dagflow.core.secrets import Secret
from dagflow.core.storage import Store, check_thread_id
from dagflow.core.structure import nearest
from dagflow.errors import GraphError, InvalidField
from dagflow.kernel.context import current_activation
from dagflow.kernel.prepared import PreparedRun
from dagflow.kernel.run import Run, RunSettings
from dagflow.pipeline.compiled import CompiledPipeline
from dagflow.pipeline.compiling import described
from dagflow.pipeline.front import PipelineRun, Shared
from dagflow.pipeline.options import ExecuteOptions, RetryOptions
from dagflow.pipeline.parameters import ParameterError, beginning, environment_parameters, read_parameters
from dagflow.pipeline.ports import Services
from dagflow.pipeline.recording import PARAMETERS
from dagflow.pipeline.results import PipelineResult
from dagflow.pipeline.wiring import completed, read_services
from dagflow.types import Outcome

__all__ = ["PreparedPipeline", "prepare", "prepare_retry"]

LEASE_WAIT = 12.0
"""Seconds that a retry waits for the lease: that of a process that died ends within 10 of them."""


SERVICES: Final[Mapping[str, tuple[str, str]]] = {
    "executor": ("execute", "LocalExecutor()"),
    "store": ("open", 'SQLiteStore("runs.db")'),
    "catalog": ("put_bytes", 'FileCatalog("files")'),
    "secrets": ("names", "EnvironmentSecrets(os.environ)"),
    "capture": ("open", "Capture()"),
    "notebooks": ("run", "JupyterDriver()"),
}
"""A method that the object for each service has, and an example of one."""


@attrs.frozen(kw_only=True, eq=False)
class Recorded:
    """How a run is recorded, once it is known where."""

    run_id: str | None
    resume: bool = False
    answers: Mapping[str, Any] = attrs.field(factory=dict)
    accept_changes: bool = False


def prepare(compiled: CompiledPipeline, options: ExecuteOptions) -> PreparedPipeline:
    """Prepare a run that begins anew; raises `TypeError` and `ValueError` for options that make no sense."""
    check_options(options, ExecuteOptions.__optional_keys__)
    run_id = options.get("run_id")
    return PreparedPipeline(compiled, options, Recorded(run_id=None if run_id is None else check_run_id(run_id)))


def prepare_retry(
    compiled: CompiledPipeline, run_id: str, store: Store | None, answers: Mapping[str, Any], options: RetryOptions
) -> PreparedPipeline:
    """Prepare to go on with a run of a store; raises `TypeError` and `ValueError` for what makes no sense."""
    check_options(options, RetryOptions.__optional_keys__)
    if current_activation() is not None:
        raise ValueError("a run inside another goes on with it; retry the outermost run")
    recorded = Recorded(
        run_id=check_run_id(run_id),
        resume=True,
        answers=answers,
        accept_changes=options.get("accept_changes", False),
    )
    given: dict[str, Any] = {**options, "store": store}
    return PreparedPipeline(compiled, cast("ExecuteOptions", given), recorded)


def check_options(given: Mapping[str, Any], known: Collection[str]) -> None:
    """Refuse an option that there is not: `**options` takes any."""
    for name in given:
        if name not in known:
            near = nearest(name, known) or f"; there is {', '.join(sorted(known))}"
            raise TypeError(f"there is no option {name!r}{near}")


def check_values(given: Mapping[str, Any]) -> None:
    """Refuse what is no service, and what are no parameters, before anything is done with them."""
    for name, (method, example) in SERVICES.items():
        value = given.get(name)
        if value is not None and (isinstance(value, type) or not callable(getattr(value, method, None))):
            raise TypeError(f"{name}= takes an object such as {example}, and not {described(value)}")
    parameters = given.get("parameters")
    if parameters is not None and not isinstance(parameters, Mapping):
        raise TypeError(f"parameters= takes names with their values, and not {described(parameters)}")


def check_run_id(run_id: object) -> str:
    """Give an id that names a run in a store, or raise `ValueError` or `TypeError` that says what is wrong."""
    try:
        return check_thread_id(run_id)
    except (TypeError, ValueError) as error:
        raise type(error)(str(error).replace("thread_id", "run_id")) from None


class PreparedPipeline(PreparedRun[PipelineResult]):
    """A run of a pipeline that has not begun. What it needs from files and services is found out when it does."""

    def __init__(self, compiled: CompiledPipeline, options: ExecuteOptions, recorded: Recorded) -> None:
        check_values(options)
        outer = current_activation()
        around = outer.run.front.shared if outer is not None and isinstance(outer.run.front, PipelineRun) else None
        self._compiled = compiled
        self._options = options
        self._recorded = recorded
        self._around = around
        shared = Shared(compiled, Services(), recorded.run_id or "")
        # By what it was given, a run inside of another finds what is recorded of it, before any file is read.
        identity = _identity(options) if outer is not None else None
        self._front = PipelineRun(compiled, {}, shared, identity=identity)
        settings = RunSettings(max_steps=None, max_concurrency=compiled.max_concurrency, timeout=options.get("timeout"))
        run = Run(compiled.program, self._front, settings)
        super().__init__(run, trace=lambda: tuple(self._front.trace), result=self._made)
        for name in ("store", "run_folder"):
            if run.is_nested and options.get(name) is not None:
                raise ValueError(
                    f"a run inside another is recorded with it; leave {name}= out, and give it to the outermost run"
                )

    async def execute(self) -> PipelineResult:
        """Run to the end; raises what ended the run, with the activations that had completed in its `trace`."""
        await self._open()
        folder = self._front.shared.services.run_folder
        if folder is None or self.run.is_nested:
            return await super().execute()
        from dagflow.pipeline.run_log_file import with_run_log  # most runs have no folder

        return await with_run_log(folder, self.run.journal, self._compiled.outlines, self._heading, super().execute)

    def _heading(self) -> dict[str, Any]:
        return {"run_id": self._front.shared.run_id, **self._front.heading, PARAMETERS: dict(self._front.parameters)}

    async def _open(self) -> None:
        shared = self._front.shared
        shared.environ = self._around.environ if self._around is not None else dict(os.environ)
        shared.services = await self._services()
        shared.secrets = await _find_secrets(self._compiled, shared.services, self._around)
        shared.hide(self._around.hidden if self._around is not None else (), shared.secrets.values())
        self._limit(shared.services.max_concurrency)
        self._check_services(shared.services)
        if not self._recorded.resume:
            found = await self._parameters()
            shared.hide(shared.hidden, [value for value in found.values() if isinstance(value, Secret)])
            self._front.parameters.update(found)
        await self._record(shared)

    async def _services(self) -> Services:
        options = self._options
        path = options.get("configuration_file")
        if path is not None:
            services = await read_services(Path(path), self._front.shared.environ)
        elif self._around is not None:
            services = attrs.evolve(self._around.services, store=None, run_folder=None)
        else:
            services = Services()
        names = ("executor", "store", "catalog", "secrets", "capture", "notebooks")
        given: dict[str, Any] = {name: value for name in names if (value := options.get(name)) is not None}
        folder = options.get("run_folder")
        if folder is not None:
            given["run_folder"] = Path(folder)
        return completed(attrs.evolve(services, **given))

    def _limit(self, most: int | None) -> None:
        """Bound what works at once by what the configuration says, too."""
        own = self._compiled.max_concurrency
        if most is not None and not self.run.is_nested:
            self.run.limit_to(most if own is None else min(most, own))

    def _check_services(self, services: Services) -> None:
        """Refuse a run that is sure to fail for want of something."""
        compiled, faults = self._compiled, []
        for task, function in compiled.functions:
            reason = services.executor.refusal(function)
            if reason is not None:
                faults.append(f"task {task!r} cannot run on the executor {services.executor.service_name}: {reason}")
        if compiled.keeps_files and services.catalog is None:
            faults.append("its tasks have files for a catalog, and there is none; pass catalog=, or configure one")
        if faults:
            raise GraphError(faults, subject=f"pipeline {compiled.name}")

    async def _parameters(self) -> dict[str, Any]:
        path = self._options.get("parameters_file")
        from_file: dict[str, Any] = {}
        if path is not None:
            from_file = await run_sync(partial(read_parameters, path, pipeline=self._compiled.name))
        environ = {} if self.run.is_nested else self._front.shared.environ
        given = dict(self._options.get("parameters") or {})
        found = beginning(self._compiled, given, from_file=from_file, from_environment=environment_parameters(environ))
        masking = self._front.shared.masking
        held = [name for name, value in found.items() if masking.value(value) != value]
        if held:
            problem = "it holds the value of a secret, which would be recorded; take it through the task's `secrets`"
            raise ParameterError([InvalidField(name, problem) for name in held], pipeline=self._compiled.name)
        return found

    async def _record(self, shared: Shared) -> None:
        """Find out where the run is recorded, and what the journal says of it as a whole."""
        services, run = shared.services, self.run
        shared.run_id = self._recorded.run_id or (self._around.run_id if self._around is not None else run.id)
        if run.is_nested:
            shared.is_recorded = run.durable is not None
            return
        if self._recorded.resume and services.store is None:
            raise ValueError(f"run {shared.run_id} is to go on, and no store says where it is; pass store=")
        if not self._recorded.resume and (services.store is not None or services.run_folder is not None):
            from dagflow.pipeline.heading import heading

            self._front.heading = await heading(self._options.get("tag", ""), shared)
        if services.store is None:
            return
        from dagflow.kernel.durable import Durable  # a run without a store never needs it

        shared.is_recorded = True
        self._durable = Durable(
            store=services.store,
            thread_id=shared.run_id,
            durability=self._options.get("durability", "sync"),
            lease_wait=self._options.get("lease_wait", LEASE_WAIT if self._recorded.resume else 0.0),
            resume=self._recorded.resume,
            answers=self._recorded.answers,
            accept_changes=self._recorded.accept_changes,
        )

    def _made(self, outcome: Outcome, thread_id: str) -> PipelineResult:
        run, compiled = self.run, self._compiled
        assert run.schedule is not None
        state = run.schedule.final_state()
        return PipelineResult(
            status=outcome,
            run_id=thread_id or self._front.shared.run_id,
            parameters=state,
            metrics={name: state[name] for name in compiled.gives if name in compiled.metrics and name in state},
            run=run.id,
            events=run.journal.of(run.id),
            interrupts=run.interrupts,
            outlines=self._compiled.outlines,
            heading=self._heading(),
        )


def _identity(options: ExecuteOptions) -> dict[str, Any]:
    file = options.get("parameters_file")
    return {
        PARAMETERS: dict(options.get("parameters") or {}),
        "parameters_file": None if file is None else os.fspath(file),
    }


async def _find_secrets(compiled: CompiledPipeline, services: Services, around: Shared | None) -> dict[str, Secret]:
    """Find all secrets that tasks are given before anything runs; raises `GraphError` with those that are not there."""
    found: dict[str, Secret] = dict(around.secrets) if around is not None else {}
    wanted = [name for name in compiled.secrets if name not in found]
    if wanted and services.secrets is None:
        listed = ", ".join(map(repr, wanted))
        fault = f"its tasks are given the secrets {listed}, and there is no provider; pass secrets=, or configure one"
        raise GraphError([fault], subject=f"pipeline {compiled.name}")
    missing = []
    for name in wanted:
        assert services.secrets is not None
        secret = await services.secrets.find(name)
        if secret is None:
            near = nearest(name, await services.secrets.names())
            missing.append(f"there is no secret {name!r} in {services.secrets.place}{near}")
        else:
            found[name] = secret
    if missing:
        raise GraphError(missing, subject=f"pipeline {compiled.name}")
    return found
