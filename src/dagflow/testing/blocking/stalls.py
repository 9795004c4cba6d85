"""Find steps of tasks that hold an event loop up, by computing or in a call that nobody intercepts.

Theory of operation. The event loops tell when a step begins and ends: that is one entry in a dictionary. A thread
looks at the dictionary now and then. A step that it sees again and again has its thread examined. That a step takes
long says nothing on a busy machine, where a thread may be ready to run and not get to. So two things count: processor
time that the thread has used within the step, and how often in a row it was found asleep, standing at the very same
instruction. A stopped or starved process shows neither.
"""

from __future__ import annotations

import itertools
import os
import sys
import threading
from collections.abc import Callable
from types import FrameType

import attrs

__all__ = ["Stall", "Steps", "Watch"]

TICK = 0.02  # seconds between looks
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")  # of the processor times in `/proc`


class Steps:
    """Which step each event loop's thread is in: a number that is never used again, by thread."""

    def __init__(self) -> None:
        self.running: dict[int, int] = {}
        self._numbers = itertools.count(1)

    def begin(self) -> None:
        """Note that a step begins in this thread."""
        self.running[threading.get_ident()] = next(self._numbers)

    def end(self) -> None:
        """Note that it has ended."""
        self.running.pop(threading.get_ident(), None)


@attrs.frozen
class Stall:
    """A step that holds its thread up: where it stands, how long it computed, how long it slept there (seconds)."""

    step: int
    frame: FrameType
    computed: float
    slept: float


@attrs.define
class Sighting:
    """What has been seen of the step that a thread is in."""

    step: int
    processor: float | None = None
    spot: tuple[int, int] | None = None
    looks: int = 0


class Watch:
    """A thread that looks at steps from `start` to `stop`, and tells `report` of each that was seen before."""

    def __init__(self, steps: Steps, report: Callable[[Stall], None]) -> None:
        self._steps = steps
        self._report = report
        self._sightings: dict[int, Sighting] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._look_on, name="dagflow blocking detector", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread, and wait for it."""
        self._stopped.set()
        self._thread.join()

    def _look_on(self) -> None:
        while not self._stopped.wait(TICK):
            for thread, step in list(self._steps.running.items()):
                seen = self._sightings.get(thread)
                if seen is None or seen.step != step:
                    self._sightings[thread] = Sighting(step)
                else:
                    self._examine(thread, seen)

    def _examine(self, thread: int, seen: Sighting) -> None:
        frame = sys._current_frames().get(thread)
        asleep, processor = activity(thread)
        if frame is None or self._steps.running.get(thread) != seen.step:
            return
        if seen.processor is None:
            seen.processor = processor
        spot = (id(frame), frame.f_lasti)
        seen.looks = seen.looks + 1 if asleep and spot == seen.spot else 0
        seen.spot = spot
        self._report(Stall(seen.step, frame, processor - seen.processor, seen.looks * TICK))


def activity(thread: int) -> tuple[bool, float]:
    """Whether a thread sleeps in the kernel, and its processor time in seconds; a guess and 0 but for Linux."""
    number = next((each.native_id for each in threading.enumerate() if each.ident == thread), None)
    try:
        with open(f"/proc/self/task/{number}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return True, 0.0
    return fields[0] in (b"S", b"D"), (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND
