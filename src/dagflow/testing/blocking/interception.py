"""Standing between the code under test and what can block, in every thread that runs an event loop."""

from __future__ import annotations

import asyncio
import functools
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from types import FrameType
from typing import Any, Protocol

from dagflow.testing.blocking.calls import BlockingFunction, Exemptions, blocking_functions
from dagflow.testing.blocking.stalls import Stall, Steps, Watch

__all__ = ["Observer", "beneath", "intercepting", "observing"]


class Observer(Protocol):
    """What is told of calls that may block, and of steps that take long."""

    def saw_call(self, name: str, advice: str, frame: FrameType, exempt: Exemptions) -> None:
        """Be told of a call, which is made from `frame` afterwards."""

    def saw_stall(self, stall: Stall) -> None:
        """Be told, by another thread and again and again, of a step that goes on."""


class Interception(threading.local):
    """Whether this thread is within a call that was told of: what that calls in turn is part of it."""

    inside: bool = False


observers: list[Observer] = []
interception: Interception = Interception()
guard: threading.Lock = threading.Lock()
users: int = 0
undo: ExitStack[bool | None] = ExitStack()


@contextmanager
def observing(observer: Observer) -> Iterator[None]:
    """Tell `observer` of everything that is seen meanwhile, in any thread that runs an event loop."""
    with intercepting():
        observers.append(observer)
        try:
            yield
        finally:
            observers.remove(observer)


@contextmanager
def intercepting() -> Iterator[None]:
    """Stand between event loops and blocking functions; detectors begin and end at no cost meanwhile.

    A test suite enters it once, so that a detector for each test costs microseconds instead of milliseconds.
    """
    global users
    with guard:
        if users == 0:
            install()
        users += 1
    try:
        yield
    finally:
        with guard:
            users -= 1
            if users == 0:
                undo.close()


def install() -> None:
    steps = Steps()
    with ExitStack() as stack:
        watch = Watch(steps, report_stall)
        watch.start()
        stack.callback(watch.stop)
        watch_asyncio(steps, stack)
        watch_trio(steps, stack)
        for function in blocking_functions():
            replace(function.owner, function.attribute, guarded(function), stack)
        undo.push(stack.pop_all())


def report_stall(stall: Stall) -> None:
    for observer in tuple(observers):
        observer.saw_stall(stall)


def guarded(function: BlockingFunction) -> Callable[..., Any]:
    """Wrap a function so that observers are told of the calls that block an event loop, and then make the call."""
    original = getattr(function.owner, function.attribute)
    harmless, exempt, name, advice = function.harmless, function.exempt, function.name, function.advice

    @functools.wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        if not observers or interception.inside or not in_event_loop():
            return original(*args, **kwargs)
        interception.inside = True
        try:
            if not harmless(*args, **kwargs):
                frame = sys._getframe(1)
                for observer in tuple(observers):
                    observer.saw_call(name, advice, frame, exempt)
            return original(*args, **kwargs)
        finally:
            interception.inside = False

    return call


def beneath(frame: FrameType | None) -> FrameType | None:
    """Return the frame that an intercepted call was made from, for a frame of ours; any other as it is."""
    while frame is not None and frame.f_code.co_filename == __file__:
        frame = frame.f_back
    return frame


def in_event_loop() -> bool:
    """Whether this thread runs an asyncio loop, or a task of trio's."""
    if asyncio._get_running_loop() is not None:
        return True
    trio = sys.modules.get("trio")
    return trio is not None and trio.lowlevel.in_trio_task()


def watch_asyncio(steps: Steps, stack: ExitStack) -> None:
    original = asyncio.Handle._run

    @functools.wraps(original)
    def run(self: asyncio.Handle) -> None:
        steps.begin()
        try:
            original(self)
        finally:
            steps.end()

    replace(asyncio.Handle, "_run", run, stack)


def watch_trio(steps: Steps, stack: ExitStack) -> None:
    try:
        import trio
    except ImportError:
        return

    class Instrument(trio.abc.Instrument):
        def before_task_step(self, task: trio.lowlevel.Task) -> None:
            steps.begin()

        def after_task_step(self, task: trio.lowlevel.Task) -> None:
            steps.end()

    instrument = Instrument()

    def with_instrument(run: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(run)
        def call(*args: Any, instruments: Any = (), **kwargs: Any) -> Any:
            return run(*args, instruments=[*instruments, instrument], **kwargs)

        return call

    replace(trio, "run", with_instrument(trio.run), stack)
    replace(trio.lowlevel, "start_guest_run", with_instrument(trio.lowlevel.start_guest_run), stack)
    if trio.lowlevel.in_trio_run():
        trio.lowlevel.add_instrument(instrument)
        stack.callback(drop_instrument, instrument)


def drop_instrument(instrument: Any) -> None:
    import trio

    if trio.lowlevel.in_trio_run():
        with suppress(KeyError):  # it may be another run by now
            trio.lowlevel.remove_instrument(instrument)


def replace(owner: Any, attribute: str, value: object, stack: ExitStack) -> None:
    """Set an attribute, of a type that is written in C too, until `stack` is closed."""
    inherited = attribute not in vars(owner)
    original = getattr(owner, attribute)
    try:
        setattr(owner, attribute, value)
    except TypeError:
        from forbiddenfruit import curse  # type: ignore[import-untyped]  # it has no types

        curse(owner, attribute, value)
        stack.callback(curse, owner, attribute, original)
        return
    if inherited:
        stack.callback(delattr, owner, attribute)
    else:
        stack.callback(setattr, owner, attribute, original)
