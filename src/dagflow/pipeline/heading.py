"""What the journal says of a run as a whole, beside its parameters: who it is, and what code it is of."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import attrs
from anyio.to_thread import run_sync

from dagflow.pipeline.front import Shared
from dagflow.pipeline.git import git_identity

__all__ = ["heading"]


async def heading(tag: str, shared: Shared) -> dict[str, Any]:
    """Find out what there is to say, once for a run."""
    git = await git_identity(shared.environ)
    return {
        "run_id": shared.run_id,
        "tag": tag,
        "git": None if git is None else attrs.asdict(git),
        "python": platform.python_version(),
        "dagflow": await run_sync(_version),
    }


def _version() -> str:
    try:
        return version("dagflow")
    except PackageNotFoundError:  # a source tree that is not installed
        return ""
