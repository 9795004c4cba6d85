"""The detector: collects blocking calls on the async path, and fails where there are any."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType

import attrs

from dagflow.testing.blocking.calls import Exemptions
from dagflow.testing.blocking.frames import Scope, describe_frame, scope_of
from dagflow.testing.blocking.interception import observing
from dagflow.testing.blocking.stalls import Stall

__all__ = ["BlockingCall", "EventLoopBlocked", "blocking_detector"]

SHOWN = 5  # callers that a message names


@attrs.frozen
class BlockingCall:
    """A call that held an event loop's thread up: what was called, where, and what to do instead.

    `stack` has the places from the function that made the call up to the event loop.
    """

    call: str
    stack: tuple[str, ...]
    advice: str

    @property
    def place(self) -> str:
        """The function that made the call, with its file and line."""
        return self.stack[0]

    def __str__(self) -> str:
        callers = self.stack[1 : SHOWN + 1]
        through = f", called by {', '.join(callers)}" if callers else ""
        return f"{self.call} in {self.place}{through}\n    {self.advice}"


class EventLoopBlocked(AssertionError):
    """Raised when a block made blocking calls on the async path; `calls` has each, once for each place."""

    def __init__(self, calls: Sequence[BlockingCall]) -> None:
        self.calls: tuple[BlockingCall, ...] = tuple(calls)
        super().__init__("\n".join(["the event loop was blocked by:", *(f"  - {call}" for call in self.calls)]))


@contextmanager
def blocking_detector(
    *modules: str, exclude: Sequence[str] = (), allow: Mapping[str, str] | None = None, limit: float = 1.0
) -> Iterator[list[BlockingCall]]:
    """Check, as `with blocking_detector("my_app"):`, that no code of these modules blocks an event loop meanwhile.

    What counts is a call in a task or callback, of asyncio or trio and in whatever thread that runs, of a function
    that waits for a disk, a socket, a process, another thread or the clock, made by code of `modules` (packages with
    all that is in them, but for those in `exclude`) or by a library that it calls. Without modules all code counts
    that is no library's. What also counts is a step that computes for `limit` seconds of processor time, or sleeps as
    long in some other call. Worker threads, child processes, imports and what runs outside of an event loop are free,
    and so are calls that return at once, such as reading from a socket that does not block.

    `allow` names functions that may make such calls, as `module:qualified.name`, each with the reason: themselves, and
    in sync functions that they call.

    The block gets the list of what was found so far. The calls are made all the same: nothing changes for the code
    that is looked at, and no handler of its own can swallow them.

    Raises `EventLoopBlocked` when the block ends and calls were found; an exception of the block's own comes through,
    with a note that tells of them. `ValueError` for an allowed function without a name or reason,
    `ModuleNotFoundError` for a module that is not there, `ImportError` where the `testing` extra is not installed.
    """
    allow = allow or {}
    for name, reason in allow.items():
        if ":" not in name or not reason.strip():
            raise ValueError(f"allow has {name!r}: {reason!r}; give 'module:qualified.name' and the reason")
    detector = Detector(scope_of(modules, exclude, allow), limit)
    try:
        with observing(detector):
            yield detector.calls
    except BaseException as error:
        if detector.calls:
            error.add_note(str(EventLoopBlocked(detector.calls)))
        raise
    if detector.calls:
        raise EventLoopBlocked(detector.calls)


class Detector:
    """Collects the blocking calls of the code in a scope."""

    def __init__(self, scope: Scope, limit: float) -> None:
        self.calls: list[BlockingCall] = []
        self._scope = scope
        self._limit = limit
        self._known: set[tuple[str, str]] = set()
        self._places: set[str] = set()
        self._computing = 0

    def saw_call(self, name: str, advice: str, frame: FrameType, exempt: Exemptions) -> None:
        """Note a call that blocks, unless it is none of this scope's."""
        self._note(name, advice, self._scope.step_of(frame, exempt))

    def saw_stall(self, stall: Stall) -> None:
        """Note a step that takes too long, unless it is none of this scope's, or in a call that is known."""
        if stall.computed >= self._limit and stall.step != self._computing:
            self._computing = stall.step
            call = f"{stall.computed:.2g} s of computing without a pause"
            advice = "compute in a worker thread or process, or let others run meanwhile: await anyio.sleep(0)"
            self._note(call, advice, self._scope.step_of(stall.frame))
        elif stall.slept >= self._limit:
            call = f"a call that slept for {stall.slept:.2g} s or longer"
            advice = "call it in a worker thread: anyio.to_thread.run_sync(...)"
            step = self._scope.step_of(stall.frame)
            if step and place(step[0]) not in self._places:
                self._note(call, advice, step)

    def _note(self, call: str, advice: str, step: list[FrameType]) -> None:
        if not step:
            return
        where = place(step[0])
        if (call, where) not in self._known:
            self._known.add((call, where))
            self._places.add(where)
            self.calls.append(BlockingCall(call, tuple(map(describe_frame, step)), advice))


def place(frame: FrameType) -> str:
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
