"""`dagflow runs show`: what is recorded of one thread."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import attrs
import typer

from dagflow.cli.display import can_write_unicode, writable
from dagflow.cli.endings import describe_usage, draw_timeline
from dagflow.cli.options import StoreOption, ThreadArgument, TracebackOption
from dagflow.cli.problems import UsageProblem, told
from dagflow.cli.runs.account import Account, NodeAccount, RunAccount, account_of
from dagflow.cli.runs.listing import moment, status_of, summary_json, table
from dagflow.cli.runs.questions import Resumption, describe_questions
from dagflow.cli.runs.stores import existing_place, on_thread
from dagflow.cli.values import to_json
from dagflow.core import folds
from dagflow.core.drawing.text import printable, shorten
from dagflow.events import Event
from dagflow.kernel.thread import Thread
from dagflow.report.timeline import human_duration, without_waits
from dagflow.types import Usage

__all__ = ["AtOption", "check_place", "show_command"]

LINES_SHOWN = 30
"""Of more steps or nodes, the last ones are shown; `--json` has all."""
WIDEST_VALUE = 100

AtOption = Annotated[int | None, typer.Option("--at", min=1, metavar="SEQ", help="The number of an event.")]


def show_command(
    thread: ThreadArgument,
    store: StoreOption = None,
    at: AtOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write a JSON object, for machines.")] = False,
    traceback: TracebackOption = False,
) -> None:
    """Show a thread: its runs and steps, the nodes that completed, open questions, and the newest run's timeline.

    With --at, as it was at that event. Values are shown as the store has them.
    """
    with told(with_traceback=traceback):
        place = existing_place(store)

        async def read(known: Thread) -> Account:
            summary = await known.summary()
            check_place("--at", at, summary.records, known.thread_id)
            return account_of(summary, await known.events(until=at or summary.records))

        account = on_thread(place, thread, read)
        resumption = Resumption(place, thread)
        if as_json:
            text = json.dumps(to_data(account), indent=2, ensure_ascii=not can_write_unicode(sys.stdout))
        else:
            text = "\n".join(
                writable(line, sys.stdout) for line in describe(account, resumption, is_past=at is not None)
            )
        print(text, flush=True)


def check_place(option: str, seq: int | None, records: int, thread_id: str) -> None:
    """Raise `UsageProblem` for the number of an event that a thread does not have."""
    if seq is not None and seq > records:
        raise UsageProblem(f"{option} {seq}: thread {thread_id} has the events 1 to {records}")


def to_data(account: Account) -> dict[str, Any]:
    """Write an account for machines; times are seconds, those of the timeline since the run began."""
    return {
        **summary_json(account.summary),
        "at": account.at,
        "runs": [attrs.asdict(run) for run in account.runs],
        "steps": [attrs.asdict(step) for step in account.steps],
        "nodes": [attrs.asdict(node) for node in account.nodes],
        "interrupts": to_json(account.questions),
        "usage": attrs.asdict(account.usage),
        "timeline": attrs.asdict(folds.timeline(without_waits(account.events))),
    }


def describe(account: Account, resumption: Resumption, *, is_past: bool) -> Iterator[str]:
    """Write an account for people, line by line."""
    summary = account.summary
    yield f"thread {summary.thread_id}: {printable(summary.graph)}, {status_of(summary)}"
    yield f"created {moment(summary.created)}, updated {moment(summary.updated)}, {summary.records} records"
    if is_past:
        yield f"as it was at event {account.at}"
    yield from ("", "runs")
    yield from ("  " + line.rstrip() for line in table([_run_row(run) for run in account.runs]))
    if account.newest.error:
        yield f"  {printable(account.newest.error)}"
    yield from ("", "steps")
    steps = [
        (str(step.seq), step.kind, step.activation or "-") for step in account.steps if step.run == account.newest.run
    ]
    yield from _last(["  " + _step_line(*step) for step in steps], "steps")
    for node in account.nodes[-LINES_SHOWN:]:
        yield from ("", *_node_lines(node))
    if account.questions:
        yield ""
        yield from describe_questions(account.questions, resumption).splitlines()
    if account.usage != Usage():
        yield from ("", describe_usage(account.usage))
    yield from ("", draw(account.events).rstrip("\n"))


def draw(events: Sequence[Event]) -> str:
    """Draw a timeline for standard output."""
    return draw_timeline(events, ascii=not can_write_unicode(sys.stdout))


def _run_row(run: RunAccount) -> tuple[str, ...]:
    nodes = "1 node" if run.nodes == 1 else f"{run.nodes} nodes"
    resumed = f"resumed {run.resumed} times" if run.resumed > 1 else "resumed once" if run.resumed else ""
    return (run.run, run.outcome or "not ended", moment(run.began), human_duration(run.worked), nodes, resumed)


def _step_line(seq: str, kind: str, activation: str) -> str:
    return f"{seq:>6}  {kind:<16}  {printable(activation)}".rstrip()


def _node_lines(node: NodeAccount) -> Iterator[str]:
    yield printable(node.activation)
    fields = node.value if isinstance(node.value, dict) else {"value": node.value}
    for name, value in fields.items():
        yield f"    {printable(name)}: {shorten(json.dumps(value, ensure_ascii=False), WIDEST_VALUE)}"


def _last(lines: Sequence[str], what: str) -> Iterator[str]:
    hidden = len(lines) - LINES_SHOWN
    if hidden > 0:
        yield f"  ({hidden} {what} before; --json has all)"
    yield from lines[-LINES_SHOWN:]
