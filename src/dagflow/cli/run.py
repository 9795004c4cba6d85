"""`dagflow run`: runs a graph, shows its progress and tells how it ended."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import typer

from dagflow.cli.endings import tell
from dagflow.cli.follow import run_and_show
from dagflow.cli.language_models import LanguageModel, find_lm
from dagflow.cli.options import (
    Backend,
    BackendOption,
    BaseURLOption,
    DurabilityChoice,
    DurabilityOption,
    EventsOption,
    LMOption,
    MaxStepsOption,
    StoreOption,
    TargetArgument,
    TimeoutOption,
    TracebackOption,
    check_backend,
    check_timeout,
)
from dagflow.cli.pipeline_options import (
    ConfigurationOption,
    ParametersOption,
    PipelineOptions,
    PrintsOption,
    RunFolderOption,
    TagOption,
)
from dagflow.cli.problems import UsageProblem, told
from dagflow.cli.runnable import Runnable
from dagflow.cli.runs.questions import Resumption
from dagflow.cli.runs.stores import Place, find_place, thread_name
from dagflow.cli.targets import load_target
from dagflow.kernel.prepared import PreparedRun

__all__ = ["needed_lm", "repeated", "run"]


def run(
    target: TargetArgument,
    given: Annotated[
        str | None,
        typer.Option(
            "--input",
            "-i",
            metavar="JSON",
            help="Fields of the start node, keys of the state, or parameters: JSON, @file or @- (stdin).",
        ),
    ] = None,
    variables: Annotated[
        list[str] | None,
        typer.Option(
            "--var",
            "-v",
            metavar="KEY=VALUE",
            help="A key of a YAML graph's state, or a parameter: JSON, text, @file or @-.",
        ),
    ] = None,
    lm: LMOption = None,
    base_url: BaseURLOption = None,
    backend: BackendOption = Backend.ASYNCIO,
    events: EventsOption = None,
    timeout: TimeoutOption = None,
    max_steps: MaxStepsOption = None,
    store: StoreOption = None,
    thread: Annotated[
        str | None,
        typer.Option(metavar="ID", help="The name to record the run under in the store. Default: a new one."),
    ] = None,
    durability: DurabilityOption = None,
    parameters: ParametersOption = None,
    configuration: ConfigurationOption = None,
    run_folder: RunFolderOption = None,
    capture_prints: PrintsOption = False,
    tag: TagOption = None,
    traceback: TracebackOption = False,
) -> None:
    """Run a graph or pipeline; print its last node, the state of a YAML graph, or the parameters at the end, as JSON.

    Progress, timeline and errors go to standard error. The exit status is 0 for a run that completed, 1 for
    one that failed, 2 for a wrong command line, 3 for one that waits for answers, 130 after Ctrl-C and 143 after
    SIGTERM.
    """
    with told(with_traceback=traceback):
        check_timeout(timeout)
        check_backend(backend)
        for_pipeline = PipelineOptions(
            configuration=configuration,
            parameters=parameters,
            run_folder=run_folder,
            capture_prints=capture_prints,
            tag=tag,
        )
        graph = load_target(target).with_options(for_pipeline)
        start = graph.begin(given, variables or ())
        model = needed_lm(graph, lm, base_url)
        again = repeated(lm=lm, base_url=base_url, backend=backend, others=for_pipeline.repeated)
        resumption = _recording(graph, target, store, thread, durability, again)

        def prepare() -> PreparedRun[Any]:
            recorded: dict[str, Any] = {}
            if resumption is not None:
                recorded = {"store": resumption.place.store, "thread_id": resumption.thread_id}
                recorded |= {"durability": durability.value} if durability else {}
            return graph.prepare(
                start, lm=model.lm if model else None, timeout=timeout, max_steps=max_steps, **recorded
            )

        notes = [f"language model: {model.label}"] if model else []
        notes += [f"thread {resumption.thread_id} in {resumption.place.shown}"] if resumption else []
        quiet = events is not None
        ending = run_and_show(prepare, backend=backend.value, as_json=quiet, notes=notes)
        status = tell(ending, resumption, output=graph.output, quiet=quiet, with_traceback=traceback)
    raise typer.Exit(status)


def needed_lm(graph: Runnable, spec: str | None, base_url: str | None) -> LanguageModel | None:
    """Find the language model that a graph is to run with; raises `UsageProblem` where it needs one and has none."""
    if spec is not None:
        return find_lm(spec, graph.module, base_url=base_url)
    if base_url is not None:
        raise UsageProblem("--base-url says where a model is, and --lm which: give both")
    if graph.lm_needs:
        raise UsageProblem(f"graph {graph.name} needs a language model; give one with --lm:{_listed(graph.lm_needs)}")
    return None


def repeated(*, lm: str | None, base_url: str | None, backend: Backend, others: Sequence[str]) -> tuple[str, ...]:
    """The options of a run that whoever goes on with it gives again, with the `others`."""
    options: list[str] = list(others)
    for name, value in (("--lm", lm), ("--base-url", base_url)):
        options += [name, value] if value is not None else []
    options += ["--backend", backend.value] if backend is not Backend.ASYNCIO else []
    return tuple(options)


def _recording(
    graph: Runnable,
    target: str,
    store: str | None,
    thread: str | None,
    durability: DurabilityChoice | None,
    options: tuple[str, ...],
) -> Resumption | None:
    """Where the run is to be recorded, and how it is gone on with; nowhere without a store."""
    if store is not None:
        return Resumption(find_place(store), _thread(thread), target, options)
    if graph.own_store is not None:
        return Resumption(Place(graph.own_store, ""), _thread(thread), target, options)
    for option, value in (("--thread", thread), ("--durability", durability)):
        if value is not None:
            raise UsageProblem(
                f"{option} is about a run that is recorded; say where with --store, as in --store runs.db"
            )
    if graph.questions:
        raise UsageProblem(
            f"graph {graph.name} asks, and only a run that is recorded can wait for an answer; say where with --store, "
            f"as in --store runs.db:{_listed(graph.questions)}"
        )
    return None


def _thread(given: str | None) -> str:
    return os.urandom(6).hex() if given is None else thread_name(given)


def _listed(reasons: Iterable[str]) -> str:
    return "".join(f"\n  - {reason}" for reason in reasons)
