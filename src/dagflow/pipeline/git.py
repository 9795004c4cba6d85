"""The identity of the code that a run is of, as git knows it: asked once for a run, and never at any price."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from dagflow.errors import ProcessError
from dagflow.kernel.process import run_process

__all__ = ["GitIdentity", "git_identity"]

PATIENCE = 2.0
"""Seconds that git may take; a repository may be large, or lie on a slow disk."""

QUIETLY = ("git", "--no-optional-locks", "-c", "core.fsmonitor=false")
"""git that writes nothing and starts nothing."""


@attrs.frozen
class GitIdentity:
    """A commit; `dirty` tells that tracked files differ from it, and `branch` is empty where there is none."""

    commit: str
    branch: str
    dirty: bool


async def git_identity(environ: Mapping[str, str]) -> GitIdentity | None:
    """Ask git about the current folder; `None` where there is no git, no repository, no commit, or no quick answer."""
    try:
        commit, _, branch = (await _ask(environ, "rev-parse", "HEAD", "--abbrev-ref", "HEAD")).partition("\n")
        changes = await _ask(environ, "status", "--porcelain", "--untracked-files=no")
    except ProcessError:
        return None
    return GitIdentity(commit, "" if branch == "HEAD" else branch, bool(changes))


async def _ask(environ: Mapping[str, str], *arguments: str) -> str:
    found = await run_process([*QUIETLY, *arguments], env=environ, timeout=PATIENCE, grace=0.2)
    return found.stdout.decode(errors="replace").strip()
