"""The functions that the examples of the rules name as `tools:...`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["FUNCTIONS"]


async def grade() -> float:
    """Grade."""
    return 1.0


async def check() -> bool:
    """Check."""
    return True


async def sort() -> str:
    """Sort."""
    return "bug"


async def look() -> str:
    """Look something up."""
    return "found"


async def undocumented() -> str:
    return ""


async def study(part: str) -> str:
    """Study a part."""
    return part


async def greet(who: str) -> str:
    """Greet."""
    return f"Hello {who}"


async def sum_up(text: str) -> str:
    """Sum up."""
    return text


async def archive(text: str) -> bool:
    """Archive."""
    return bool(text)


def count_words(text: str) -> int:
    return len(text.split())


async def count_words_async(text: str) -> int:
    return len(text.split())


_ALL: tuple[Callable[..., Any], ...] = (
    grade,
    check,
    sort,
    look,
    undocumented,
    study,
    greet,
    sum_up,
    archive,
    count_words,
    count_words_async,
)

FUNCTIONS = {f"tools:{function.__name__}": function for function in _ALL}
