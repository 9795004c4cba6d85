"""The places of tasks, as a front end would give them."""

from __future__ import annotations

import attrs


@attrs.frozen
class At:
    """A task of a run."""

    run_id: str = "run"
    path: tuple[str, ...] = ("report", "sort")
