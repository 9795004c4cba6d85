"""`dagflow runs list`: the threads of a store, the newest first."""

from __future__ import annotations

import enum
import json
import shlex
import sys
import time
from collections.abc import Collection, Sequence
from typing import Annotated, Any, Final

import attrs
import typer

from dagflow.cli.display import can_write_unicode, writable
from dagflow.cli.endings import tell_line
from dagflow.cli.options import StoreOption, TracebackOption
from dagflow.cli.problems import UsageProblem, told
from dagflow.cli.runs.stores import Place, existing_place, in_store
from dagflow.core.drawing.text import printable
from dagflow.core.storage import Page, Session, Status, ThreadSummary
from dagflow.report.timeline import text_columns

__all__ = ["RECORDED", "StatusChoice", "list_command", "moment", "status_of", "summary_json"]

PAGE = 500
HEADINGS = ("THREAD", "GRAPH", "STATUS", "CREATED", "UPDATED", "RECORDS")


class StatusChoice(enum.StrEnum):
    """How a thread stands; `stopped` is one whose run has not ended, and that nobody works on."""

    RUNNING = "running"
    STOPPED = "stopped"
    COMPLETE = "complete"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    CANCELLED = "cancelled"


RECORDED: Final[dict[StatusChoice, Status]] = {
    StatusChoice.RUNNING: "running",
    StatusChoice.STOPPED: "running",
    StatusChoice.COMPLETE: "complete",
    StatusChoice.INTERRUPTED: "interrupted",
    StatusChoice.FAILED: "failed",
    StatusChoice.CANCELLED: "cancelled",
}
"""How a store knows threads that stand so."""


def list_command(
    store: StoreOption = None,
    status: Annotated[
        list[StatusChoice] | None, typer.Option(help="Only those that stand so; may be given several times.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="How many to list at most.")] = 50,
    cursor: Annotated[
        str | None, typer.Option(metavar="CURSOR", help="Where to go on, as the page before told.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="List all there are.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write a JSON array, for machines.")] = False,
    traceback: TracebackOption = False,
) -> None:
    """List the threads of a store, the newest first.

    A thread is the journal of one conversation: of a run, of what it asked, and of later runs under its name.
    """
    with told(with_traceback=traceback):
        place = existing_place(store)
        wanted = set(status or ())

        async def read(session: Session) -> Page:
            return await collect(session, wanted, None if every else limit, cursor)

        page = in_store(place, read)
        if as_json:
            threads = [summary_json(thread) for thread in page.threads]
            print(json.dumps(threads, indent=2, ensure_ascii=not can_write_unicode(sys.stdout)), flush=True)
        elif page.threads:
            rows = [HEADINGS, *map(row, page.threads)]
            print("\n".join(writable(line, sys.stdout) for line in table(rows)), flush=True)
        else:
            tell_line(f"no thread of the store {place.shown} stands so" if wanted else f"{place.shown} has no thread")
        if page.cursor is not None:
            tell_line(_next_page(place, wanted, limit, page.cursor))


def _next_page(place: Place, wanted: Collection[StatusChoice], limit: int, cursor: str) -> str:
    chosen = [word for status in sorted(wanted) for word in ("--status", status.value)]
    options = [*place.options, *chosen, "--limit", str(limit), "--cursor", cursor]
    return f"there are more (--all lists them all); go on with: dagflow runs list {shlex.join(options)}"


async def collect(session: Session, wanted: Collection[StatusChoice], limit: int | None, cursor: str | None) -> Page:
    """Read the threads that stand as is wanted, at most `limit`, and where to go on."""
    found: list[ThreadSummary] = []
    only = RECORDED[next(iter(wanted))] if len(wanted) == 1 else None
    while True:
        # No more than are wanted, or the cursor would lead on behind one that has not been listed.
        left = PAGE if limit is None else min(PAGE, limit - len(found))
        try:
            page = await session.list(limit=left, cursor=cursor, status=only)
        except ValueError as error:
            raise UsageProblem(f"--cursor: {error}") from None
        found += [thread for thread in page.threads if not wanted or status_of(thread) in wanted]
        cursor = page.cursor
        if cursor is None or (limit is not None and len(found) >= limit):
            return Page(tuple(found), cursor)


def status_of(thread: ThreadSummary) -> str:
    """How a thread stands, told from outside: one whose process has died is not running."""
    return "stopped" if thread.status == "running" and not thread.leased else thread.status


def summary_json(thread: ThreadSummary) -> dict[str, Any]:
    """A thread's summary for machines; times are seconds since the epoch."""
    return {**attrs.asdict(thread), "status": status_of(thread)}


def moment(seconds: float) -> str:
    """Write a time, in seconds since the epoch, as people here read it."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def row(thread: ThreadSummary) -> tuple[str, ...]:
    """A line of the table."""
    times = moment(thread.created), moment(thread.updated)
    return (printable(thread.thread_id), printable(thread.graph), status_of(thread), *times, str(thread.records))


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Set rows into columns, the last one to the right."""
    widths = [max(map(text_columns, column)) for column in zip(*rows, strict=True)]
    lines = []
    for cells in rows:
        padded = [cell + " " * (width - text_columns(cell)) for cell, width in zip(cells, widths, strict=True)]
        padded[-1] = " " * (widths[-1] - text_columns(cells[-1])) + cells[-1]
        lines.append("  ".join(padded))
    return lines
