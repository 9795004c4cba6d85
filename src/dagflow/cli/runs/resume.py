"""`dagflow runs resume`: goes on with a recorded run, and answers what it asked."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import typer

from dagflow.cli.endings import tell
from dagflow.cli.follow import Ending, run_and_show
from dagflow.cli.options import (
    Backend,
    BackendOption,
    BaseURLOption,
    EventsOption,
    LMOption,
    MaxStepsOption,
    StoreOption,
    TargetArgument,
    ThreadArgument,
    TimeoutOption,
    TracebackOption,
    check_backend,
    check_timeout,
)
from dagflow.cli.pipeline_options import ConfigurationOption, PipelineOptions, PrintsOption, RunFolderOption
from dagflow.cli.problems import UsageProblem, tell_failure, told
from dagflow.cli.run import needed_lm, repeated
from dagflow.cli.runs.answers import Answers, prompt, read_answers
from dagflow.cli.runs.questions import Resumption
from dagflow.cli.runs.stores import Place, existing_place, on_thread
from dagflow.cli.targets import load_target
from dagflow.errors import AnswerError
from dagflow.kernel.prepared import PreparedRun
from dagflow.types import Interrupt

__all__ = ["resume"]


def resume(
    target: TargetArgument,
    thread: ThreadArgument,
    store: StoreOption = None,
    answer: Annotated[
        list[str] | None,
        typer.Option(metavar="ID=JSON", help="Answer an open question; may be given several times."),
    ] = None,
    answers: Annotated[
        str | None, typer.Option(metavar="JSON", help="Answers by id: a JSON object, @file or @- (stdin).")
    ] = None,
    lm: LMOption = None,
    base_url: BaseURLOption = None,
    backend: BackendOption = Backend.ASYNCIO,
    events: EventsOption = None,
    timeout: TimeoutOption = None,
    max_steps: MaxStepsOption = None,
    accept_changes: Annotated[
        bool, typer.Option("--accept-changes", help="Go on although the graph is not the one that was recorded.")
    ] = False,
    wait: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="How long to wait for another run that works on the thread. Default: 12."),
    ] = None,
    configuration: ConfigurationOption = None,
    run_folder: RunFolderOption = None,
    capture_prints: PrintsOption = False,
    traceback: TracebackOption = False,
) -> None:
    """Go on with a recorded run; print its last node, its state, or its parameters at the end, as JSON.

    What is recorded as complete is not run again. Questions that get no answer stay open; at a terminal, they are
    asked there unless answers are given. Output and exit status are those of `run`.
    """
    with told(with_traceback=traceback):
        check_timeout(timeout)
        check_backend(backend)
        if wait is not None and not wait >= 0:
            raise UsageProblem(f"--wait is a number of seconds, 0 or more, not {wait:g}")
        for_pipeline = PipelineOptions(
            configuration=configuration, run_folder=run_folder, capture_prints=capture_prints
        )
        graph = load_target(target).with_options(for_pipeline)
        place = Place(graph.own_store, "") if store is None and graph.own_store is not None else existing_place(store)
        model = needed_lm(graph, lm, base_url)
        state = on_thread(place, thread, lambda known: known.state())
        given = read_answers(answer or (), answers, state.interrupts)
        options: dict[str, Any] = {"lm": model.lm if model else None, "timeout": timeout}
        options["max_steps"] = max_steps
        options |= {"lease_wait": wait} if wait is not None else {}
        notes = [*given.notes, *([f"language model: {model.label}"] if model else [])]

        def attempt(values: Mapping[str, Any]) -> Ending:
            def prepare() -> PreparedRun[Any]:
                return graph.prepare_resume(thread, values, store=place.store, accept_changes=accept_changes, **options)

            return run_and_show(prepare, backend=backend.value, as_json=events is not None, notes=notes)

        if _is_asked_here(given, state.interrupts, answers):
            ending = _ask(attempt, state.interrupts)
        else:
            ending = attempt(given.values)
        again = repeated(lm=lm, base_url=base_url, backend=backend, others=for_pipeline.repeated)
        resumption = Resumption(place, thread, target, again)
        status = tell(ending, resumption, output=graph.output, quiet=events is not None, with_traceback=traceback)
    raise typer.Exit(status)


def _is_asked_here(given: Answers, questions: Sequence[Interrupt], file: str | None) -> bool:
    """Whether a person at the terminal is asked."""
    return bool(questions) and not given.values and file is None and sys.stdin.isatty()


def _ask(attempt: Callable[[Mapping[str, Any]], Ending], questions: Sequence[Interrupt]) -> Ending:
    """Ask the person at the terminal, again for what does not fit, which the run itself tells."""
    answers = prompt(questions)
    while True:
        ending = attempt(answers)
        if not isinstance(ending.error, AnswerError):
            return ending
        tell_failure(ending.error, with_traceback=False)
        wrong = [question for question in questions if _is_about(ending.error, question)]
        if not wrong:
            return ending
        for question in wrong:
            answers.pop(question.id, None)
        answers |= prompt(wrong)


def _is_about(error: AnswerError, question: Interrupt) -> bool:
    return any(
        item.path == question.id or item.path.startswith((f"{question.id}.", f"{question.id}["))
        for item in error.invalid
    )
