"""Whose code a call on the event loop's thread comes from, read from the stack of frames."""

from __future__ import annotations

import inspect
import os
import sys
import sysconfig
from collections.abc import Collection, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Literal

import attrs

from dagflow.testing.blocking.calls import Exemptions

__all__ = ["Scope", "describe_frame", "scope_of"]

Side = Literal["ours", "library", "other"]

ASYNC = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR

Functions = dict[str, tuple[str, ...]]

STEP: Functions = {
    "_run": ("asyncio/events.py",),  # of a `Handle`: a callback, or the step of a task
    "run_forever": ("asyncio/base_events.py",),
    "run": ("asyncio/runners.py",),
    "unrolled_run": ("trio/_core/_run.py",),
}
"""Where the event loop begins: functions that call tasks, and their files. Their callers are not on the async path."""

IMPORTS: Functions = {
    "_find_and_load": ("importlib._bootstrap>",),
    "exec_module": ("importlib._bootstrap_external>",),
}
"""Functions, and the ends of their file names, that import modules: that reads files, once."""

ASIDE: Functions = {
    "updatecache": ("linecache.py", "<frozen linecache>"),
    "checkcache": ("linecache.py", "<frozen linecache>"),
    "callHandlers": ("logging/__init__.py",),
}
"""Functions that read source code for a traceback, or write a log line where the application wants it written."""


@attrs.frozen(eq=False)
class Scope:
    """Which code is looked at: the files below `ours` but not below `excluded`; without `ours` all but libraries.

    `allowed` names functions, as `module:qualified.name`, that may block, themselves and in sync functions they call.
    """

    ours: tuple[str, ...]
    excluded: tuple[str, ...]
    allowed: Collection[str]
    _sides: dict[str, Side] = attrs.field(factory=dict, init=False)

    def step_of(self, innermost: FrameType, exempt: Exemptions = ()) -> list[FrameType]:
        """Return the frames from the function of ours that called a blocking one, up to the event loop; no library's.

        Empty where it is not our code that did, where it is an import, or where the call is allowed.
        """
        step: list[FrameType] = []
        awaited = False
        for frame in frames_of_step(innermost):
            name, file = frame.f_code.co_name, frame.f_code.co_filename
            if is_one_of(IMPORTS, name, file):
                return []
            side = self.side(file)
            if side == "library":
                if not step and (is_one_of(ASIDE, name, file) or is_exempt(exempt, name, file)):
                    return []
                continue
            if (not step and side == "other") or (not awaited and self.is_allowed(frame)):
                return []
            step.append(frame)
            awaited = awaited or bool(frame.f_code.co_flags & ASYNC)
        return step

    def side(self, file: str) -> Side:
        """Tell whose code a file holds."""
        side = self._sides.get(file)
        if side is None:
            side = self._sides[file] = self._find_side(file)
        return side

    def is_allowed(self, frame: FrameType) -> bool:
        """Tell whether the function that runs in a frame may block."""
        return f"{frame.f_globals.get('__name__')}:{frame.f_code.co_qualname}" in self.allowed

    def _find_side(self, file: str) -> Side:
        if file.startswith("<"):  # frozen modules, and methods that attrs and others generate
            return "library"
        if file.startswith(self.excluded):
            return "other"
        if file.startswith(self.ours):
            return "ours"
        if file.startswith(LIBRARIES):
            return "library"
        return "other" if self.ours else "ours"


def scope_of(modules: Sequence[str], exclude: Sequence[str], allowed: Collection[str]) -> Scope:
    """Find the files of modules and packages by name; `ModuleNotFoundError` where one is not there."""
    return Scope(
        ours=tuple(place for name in modules for place in places(name)),
        excluded=tuple(place for name in exclude for place in places(name)),
        allowed=allowed,
    )


def places(module: str) -> Iterator[str]:
    spec = getattr(sys.modules.get(module), "__spec__", None) or find_spec(module)
    if spec is None:
        raise ModuleNotFoundError(f"there is no module {module!r} whose calls could be looked at", name=module)
    if spec.submodule_search_locations is not None:
        yield from (os.path.join(place, "") for place in spec.submodule_search_locations)
    elif spec.origin is not None:
        yield spec.origin


def frames_of_step(innermost: FrameType) -> Iterator[FrameType]:
    frame: FrameType | None = innermost
    while frame is not None:
        code = frame.f_code
        if is_one_of(STEP, code.co_name, code.co_filename):
            return
        yield frame
        frame = frame.f_back


def is_one_of(functions: Functions, name: str, file: str) -> bool:
    ends = functions.get(name)
    return ends is not None and file.endswith(ends)


def is_exempt(exempt: Exemptions, name: str, file: str) -> bool:
    return any(name in names and file.endswith(end) for end, names in exempt)


def describe_frame(frame: FrameType) -> str:
    """Say where a frame stands, as `Class.method (file:line)`; the path of a file below this folder is relative."""
    file = os.path.relpath(frame.f_code.co_filename)
    if file.startswith(".."):
        file = frame.f_code.co_filename
    return f"{frame.f_code.co_qualname} ({file}:{frame.f_lineno})"


def library_folders() -> tuple[str, ...]:
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    folders = {os.path.join(place, "") for name in names if (place := sysconfig.get_path(name))}
    return tuple(sorted(folders | {str(Path(os.__file__).parent) + os.sep}))


LIBRARIES = library_folders()
