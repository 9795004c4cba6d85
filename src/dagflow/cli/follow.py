"""One run on the command line, from its first event to its last, whatever ends it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, Literal

import anyio
import attrs
from anyio import CancelScope

from dagflow.cli.display import Display, open_display
from dagflow.cli.runnable import Result
from dagflow.cli.signals import Signals
from dagflow.events import Event
from dagflow.kernel.entry import run_to_completion
from dagflow.kernel.journal import Subscription
from dagflow.kernel.prepared import PreparedRun

__all__ = ["Ending", "follow", "run_and_show"]


@attrs.define(eq=False)
class Ending:
    """How a run ended: with a result, an error or a signal, or with several of them.

    `events` are all that is known of the run, what was recorded before it was resumed too; `news` those of now. None of
    them is live only.
    """

    events: Sequence[Event] = ()
    news: list[Event] = attrs.field(factory=list)
    result: Result | None = None
    error: BaseException | None = None
    stopped_by: signal.Signals | None = None


def run_and_show(
    prepare: Callable[[], PreparedRun[Any]],
    *,
    backend: Literal["asyncio", "trio"],
    as_json: bool,
    notes: Iterable[str] = (),
) -> Ending:
    """Run to the end in an event loop of its own, and show it, after some `notes`; see `follow`."""
    with Signals() as signals, open_display(as_json=as_json) as display:
        for note in notes:
            display.say(note)
        return run_to_completion(
            lambda: follow(prepare, display, signals), backend=backend, instead="await graph.run(...)"
        )


async def follow(prepare: Callable[[], PreparedRun[Any]], display: Display, signals: Signals) -> Ending:
    """Run to the end and show every event, those of the clean-up too; a signal cancels the run.

    Nothing is raised for a failed run. Raises `OSError` where the display cannot write any more; the run has
    been cancelled then.
    """
    prepared = prepare()
    journal, scope, ending = prepared.run.journal, CancelScope(), Ending()
    broken: OSError | None = None
    # Everything that is new in its journal belongs to the run, whose id is another once it goes on from a record.
    with journal.follow(after=None) as events:
        async with anyio.create_task_group() as group:
            group.start_soon(_execute, prepared, scope, events, ending)
            group.start_soon(_cancel_on_signal, signals, scope, display, ending)
            async for event in events:
                if not event.live:  # there may be very many of those: a line of output each, say
                    ending.news.append(event)
                try:
                    if broken is None:
                        display.show(event)
                except OSError as error:  # raised from here, it would come out in an exception group
                    broken = error
                    scope.cancel()
            group.cancel_scope.cancel()
    if broken is not None:
        raise broken
    ending.events = journal.of(prepared.run.id)
    return ending


async def _execute(prepared: PreparedRun[Any], scope: CancelScope, events: Subscription, ending: Ending) -> None:
    try:
        with scope:
            ending.result = await prepared.execute()
    except anyio.get_cancelled_exc_class():
        raise
    except BaseException as error:
        # Also what is never wrapped, such as a `SystemExit` of the user's: it goes on outside of the event loop.
        ending.error = error
    finally:
        events.finish()


async def _cancel_on_signal(signals: Signals, scope: CancelScope, display: Display, ending: Ending) -> None:
    ending.stopped_by = await signals.wait()
    scope.cancel()
    with suppress(OSError):  # whoever closed the pipe does not want to know
        display.say(f"{ending.stopped_by.name}: cancelled; waiting for the clean-up (once more to leave at once)")
