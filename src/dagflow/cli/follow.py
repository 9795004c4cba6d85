"""One run on the command line, from its first event to its last, whatever ends it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from contextlib import suppress

import anyio
import attrs
from anyio import CancelScope

from dagflow.cli.display import Display
from dagflow.cli.signals import Signals
from dagflow.events import Event
from dagflow.graph.graph import PreparedRun
from dagflow.graph.result import GraphResult
from dagflow.kernel.journal import Subscription

__all__ = ["Ending", "follow"]


@attrs.define(eq=False)
class Ending:
    """How a run ended: with a result, an error or a signal, or with several of them."""

    events: Sequence[Event] = ()
    result: GraphResult | None = None
    error: BaseException | None = None
    stopped_by: signal.Signals | None = None


async def follow(prepare: Callable[[], PreparedRun], display: Display, signals: Signals) -> Ending:
    """Run to the end and show every event, those of the clean-up too; a signal cancels the run.

    Nothing is raised for a failed run. Raises `OSError` where the display cannot write any more; the run has
    been cancelled then.
    """
    prepared = prepare()
    journal, scope = prepared.run.journal, CancelScope()
    ending = Ending(journal.events)
    broken: OSError | None = None
    with journal.follow(prepared.run.id) as events:
        async with anyio.create_task_group() as group:
            group.start_soon(_execute, prepared, scope, events, ending)
            group.start_soon(_cancel_on_signal, signals, scope, display, ending)
            async for event in events:
                try:
                    if broken is None:
                        display.show(event)
                except OSError as error:  # raised from here, it would come out in an exception group
                    broken = error
                    scope.cancel()
            group.cancel_scope.cancel()
    if broken is not None:
        raise broken
    return ending


async def _execute(prepared: PreparedRun, scope: CancelScope, events: Subscription, ending: Ending) -> None:
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
