"""What a mutant is."""

from __future__ import annotations

import attrs

__all__ = ["Mutant"]


@attrs.frozen
class Mutant:
    """A promise, the line that keeps it, what to write instead, and the tests that must notice."""

    promise: str
    module: str
    line: str
    broken: str
    tests: str
