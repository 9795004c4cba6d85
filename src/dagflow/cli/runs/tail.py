"""`dagflow runs tail`: follows a run from another shell."""

from __future__ import annotations

import signal
from typing import Annotated

import anyio
import attrs
import typer

from dagflow.cli.display import Display, open_display
from dagflow.cli.endings import print_value, tell_line, tell_timeline
from dagflow.cli.options import EventsOption, StoreOption, ThreadArgument, TracebackOption
from dagflow.cli.problems import FAILED, WAITING, told
from dagflow.cli.runs.account import Account, account_of
from dagflow.cli.runs.questions import Resumption, describe_questions
from dagflow.cli.runs.show import check_place
from dagflow.cli.runs.stores import existing_place, on_thread
from dagflow.cli.signals import Signals
from dagflow.kernel.thread import Thread

__all__ = ["tail_command"]


@attrs.define(eq=False)
class Following:
    """How following ended: with an account where nobody works on the thread any more, or by a signal or an error."""

    account: Account | None = None
    stopped_by: signal.Signals | None = None
    error: Exception | None = None


def tail_command(
    thread: ThreadArgument,
    store: StoreOption = None,
    after: Annotated[
        int, typer.Option(min=0, metavar="SEQ", help="The number of the last event that was seen already.")
    ] = 0,
    events: EventsOption = None,
    traceback: TracebackOption = False,
) -> None:
    """Follow a thread from its first event until nobody works on it, whichever process does.

    Events are shown as `run` shows them, once they are recorded, each one once. The exit status is 0 where the
    newest run is complete, 3 where it waits for answers, and 1 where it failed, was cancelled or its process died.
    Ctrl-C (130) and SIGTERM (143) stop following, and leave the run alone.
    """
    with told(with_traceback=traceback):
        place = existing_place(store)
        quiet = events is not None
        with Signals() as signals, open_display(as_json=quiet) as display:
            following = on_thread(place, thread, lambda known: _follow(known, after, display, signals))
        if following.error is not None:
            raise following.error
        if following.stopped_by is not None:
            tell_line(f"{following.stopped_by.name}: followed no further; the run is left alone")
            raise typer.Exit(128 + following.stopped_by)
        assert following.account is not None
        status = _tell(following.account, Resumption(place, thread), quiet=quiet)
    raise typer.Exit(status)


async def _follow(thread: Thread, after: int, display: Display, signals: Signals) -> Following:
    summary = await thread.summary()
    check_place("--after", after, summary.records, thread.thread_id)
    following = Following()
    newest = after
    async with anyio.create_task_group() as group:
        group.start_soon(_stop_on_signal, signals, group.cancel_scope, following)
        try:
            async with thread.follow(after=after) as events:
                async for event in events:
                    newest = event.seq
                    display.show(event)
            # Up to where it was followed: somebody may have gone on with the thread since.
            following.account = account_of(summary, await thread.events(until=newest))
        except Exception as error:  # raised from here, it would come out in an exception group
            following.error = error
        group.cancel_scope.cancel()
    return following


async def _stop_on_signal(signals: Signals, scope: anyio.CancelScope, following: Following) -> None:
    following.stopped_by = await signals.wait()
    scope.cancel()


def _tell(account: Account, resumption: Resumption, *, quiet: bool) -> int:
    """Tell how the newest run ended, as `run` does; the exit status comes back."""
    if not quiet:
        tell_timeline(account.events)
    match account.newest.outcome:
        case "complete":
            if not quiet and account.nodes:
                print_value(account.nodes[-1].value)
            return 0
        case "interrupted":
            tell_line(describe_questions(account.questions, resumption))
            return WAITING
        case None:
            tell_line("error: nobody works on the run any more, and it has not ended: its process died")
        case "failed":
            tell_line(f"error: {account.newest.error}")
        case "cancelled":
            tell_line(f"cancelled: {account.newest.error}")
    tell_line(f"what completed is recorded; go on with: {resumption.command()}")
    return FAILED
