"""`dagflow runs fork`, `delete`, `prune` and `cancel`: what is done to threads from outside."""

from __future__ import annotations

import enum
import os
import re
import sys
import time
from collections.abc import Collection
from typing import Annotated, Final

import typer

from dagflow.cli.endings import tell_line
from dagflow.cli.options import StoreOption, ThreadArgument, TracebackOption
from dagflow.cli.problems import FAILED, UsageProblem, told
from dagflow.cli.runs.listing import RECORDED, StatusChoice
from dagflow.cli.runs.questions import Resumption
from dagflow.cli.runs.show import AtOption, check_place
from dagflow.cli.runs.stores import Place, ask, existing_place, in_store, on_thread, thread_name, unknown
from dagflow.core.storage import Session, Status
from dagflow.errors import RunLocked
from dagflow.kernel import thread as threads
from dagflow.kernel.thread import Thread

__all__ = ["cancel_command", "delete_command", "fork_command", "prune_command", "seconds_of"]

UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)([smhd])")


class PrunedStatus(enum.StrEnum):
    """How threads stand that can be pruned; `stopped` is one whose run has not ended, and that nobody works on."""

    STOPPED = "stopped"
    COMPLETE = "complete"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    CANCELLED = "cancelled"


def fork_command(
    thread: ThreadArgument,
    store: StoreOption = None,
    at: AtOption = None,
    to: Annotated[str | None, typer.Option(metavar="NEW", help="The new thread's name. Default: a new one.")] = None,
    traceback: TracebackOption = False,
) -> None:
    """Begin a new thread with the journal of another, all of it or up to an event, and print its name.

    The other one stays as it is; `runs resume` goes on with the new one.
    """
    with told(with_traceback=traceback):
        place = existing_place(store)
        name = f"{thread}-{os.urandom(3).hex()}" if to is None else to
        thread_name(name)

        async def fork(known: Thread) -> None:
            check_place("--at", at, (await known.summary()).records, known.thread_id)
            await known.fork(name, at=at)

        on_thread(place, thread, fork)
        print(name, flush=True)
        tell_line(f"go on with: {Resumption(place, name).command()}")


def delete_command(
    names: Annotated[list[str], typer.Argument(metavar="THREAD...", help="The threads' names.")],
    store: StoreOption = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask first.")] = False,
    traceback: TracebackOption = False,
) -> None:
    """Delete threads with all that is recorded of them, and print their names.

    Where one of them is not there, none is deleted. One that a run works on stays, and the exit status is 1, as it is
    where the answer is no.
    """
    with told(with_traceback=traceback):
        place = existing_place(store)
        wanted = list(dict.fromkeys(map(thread_name, names)))
        in_store(place, lambda session: _check_known(place, session, wanted))
        if not yes and not _is_confirmed(wanted):
            tell_line("nothing was deleted")
            raise typer.Exit(FAILED)
        locked = in_store(place, lambda session: _delete(session, wanted))
    raise typer.Exit(FAILED if locked else 0)


async def _check_known(place: Place, session: Session, names: Collection[str]) -> None:
    for name in names:
        if await session.find(name) is None:
            raise await unknown(place, session, name)


def _is_confirmed(names: Collection[str]) -> bool:
    if not sys.stdin.isatty():
        raise UsageProblem("deleting cannot be undone, and nobody can be asked here; give --yes")
    what = f"thread {next(iter(names))}" if len(names) == 1 else f"{len(names)} threads"
    return bool(typer.confirm(f"delete {what}?", err=True))


async def _delete(session: Session, names: Collection[str]) -> int:
    """Delete threads; how many are locked comes back."""
    locked = 0
    for name in names:
        try:
            if await session.delete(name):
                print(name, flush=True)
        except RunLocked as error:
            tell_line(f"error: {error}")
            locked += 1
    return locked


def prune_command(
    older_than: Annotated[
        str, typer.Option(metavar="TIME", help="How long nothing was added to them: 90s, 15m, 12h or 30d.")
    ],
    store: StoreOption = None,
    status: Annotated[
        list[PrunedStatus] | None,
        typer.Option(help="Those that stand so; may be given several times. Default: complete, failed, cancelled."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would be deleted.")] = False,
    traceback: TracebackOption = False,
) -> None:
    """Delete the threads that have rested so long, and print their names.

    One that a run works on is never deleted.
    """
    with told(with_traceback=traceback):
        place = existing_place(store)
        age = seconds_of(older_than, "--older-than")
        chosen = status or [PrunedStatus.COMPLETE, PrunedStatus.FAILED, PrunedStatus.CANCELLED]
        wanted: list[Status] = [RECORDED[StatusChoice(one.value)] for one in chosen]
        if dry_run:
            names = in_store(place, lambda session: _prunable(session, age, wanted))
        else:
            names = ask(lambda: threads.prune(place.store, older_than=age, status=wanted))
        for name in names:
            print(name)
        count = "1 thread" if len(names) == 1 else f"{len(names)} threads"
        tell_line(f"{count} {'would be ' if dry_run else ''}deleted")


async def _prunable(session: Session, age: float, wanted: Collection[Status]) -> list[str]:
    limit, found, cursor = time.time() - age, list[str](), None
    while True:
        page = await session.list(limit=500, cursor=cursor)
        found += [
            thread.thread_id
            for thread in page.threads
            if thread.updated <= limit and thread.status in wanted and not thread.leased
        ]
        cursor = page.cursor
        if cursor is None:
            return found


def seconds_of(text: str, option: str) -> float:
    """Read a duration such as 90s, 15m, 12h or 30d; raises `UsageProblem` for what is none."""
    found = DURATION.fullmatch(text.strip())
    if found is None:
        raise UsageProblem(f"{option} is a time such as 90s, 15m, 12h or 30d, and not {text}")
    return float(found[1]) * UNITS[found[2]]


def cancel_command(thread: ThreadArgument, store: StoreOption = None, traceback: TracebackOption = False) -> None:
    """Ask the run that works on a thread to cancel, within about a second; it can be resumed.

    The exit status is 1 where nobody works on the thread.
    """
    with told(with_traceback=traceback):
        place = existing_place(store)
        asked = on_thread(place, thread, lambda known: known.cancel())
        tell_line(f"asked the run of thread {thread} to cancel" if asked else f"nobody works on thread {thread}")
    raise typer.Exit(0 if asked else FAILED)
