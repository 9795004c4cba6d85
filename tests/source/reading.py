"""Reading with both parsers, and what the machine takes for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import pytest

from dagflow.source import Document, Limits, SourceError
from dagflow.source.reading import read_text
from dagflow.source.scan import MakeParser, libyaml_parser, python_parser

__all__ = ["LIMITS", "PARSERS", "both", "budget", "found_in", "read", "seconds_of"]

LIMITS = Limits()
FOUND_LIBYAML = libyaml_parser()
NO_LIBYAML = pytest.mark.skipif(FOUND_LIBYAML is None, reason="PyYAML was built without libyaml")
LIBYAML = FOUND_LIBYAML or python_parser()
PARSERS = [pytest.param(LIBYAML, id="libyaml", marks=NO_LIBYAML), pytest.param(python_parser(), id="python")]
both = pytest.mark.parametrize("make_parser", PARSERS)


def read(text: str | bytes, make_parser: MakeParser = LIBYAML, limits: Limits = LIMITS) -> Document:
    return read_text(text, file="graph.yaml", limits=limits, make_parser=make_parser)


def found_in(text: str | bytes, make_parser: MakeParser = LIBYAML, limits: Limits = LIMITS) -> list[str]:
    """What is wrong with a text, without the name of its file."""
    try:
        read(text, make_parser, limits)
    except SourceError as error:
        assert error.found
        return [told.removeprefix("graph.yaml:") for told in error.faults]
    return []


def seconds_of(work: Callable[[], Any]) -> float:
    """The time that a call takes on the processor; the best of three, as others use it too."""
    found = []
    for _ in range(3):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return min(found)


@lru_cache(maxsize=1)
def _pace() -> float:
    """How many times slower the machine is, now, than the one on which the time of this loop was taken."""
    return max(1.0, seconds_of(lambda: [str(number) for number in range(100_000)]) / 0.01)


def budget(seconds: float) -> float:
    """A time on that machine, on this one."""
    return seconds * _pace()
