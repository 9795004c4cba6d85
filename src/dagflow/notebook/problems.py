"""What can go wrong with a notebook."""

from __future__ import annotations

from dagflow.errors import DagflowError

__all__ = ["NotebookError", "NotebookTimeout"]


class NotebookError(DagflowError):
    """Raised when a notebook cannot be read or run, a cell raises, its kernel dies, or a value cannot be read back.

    `notebook` is its path. `cell` is the number of the cell that ran, counted from 1 as in the file, `None` where none
    did. For a cell that raised, `ename`, `evalue` and `traceback` are the exception as the kernel tells it; the
    traceback is in the message, too.
    """

    def __init__(
        self,
        message: str,
        *,
        notebook: str,
        cell: int | None = None,
        ename: str = "",
        evalue: str = "",
        traceback: str = "",
    ) -> None:
        super().__init__(message)
        self.notebook = notebook
        self.cell = cell
        self.ename = ename
        self.evalue = evalue
        self.traceback = traceback


class NotebookTimeout(NotebookError, TimeoutError):
    """Raised when a cell, or the start of the kernel, takes too long; the kernel has been ended."""
