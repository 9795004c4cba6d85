"""What the cells of a notebook show: kept in the notebook, up to a bound, and handed on."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from typing import Any, Literal, TypeAlias

from dagflow.notebook.channels import Message
from dagflow.notebook.library import Jupyter

__all__ = ["OnOutput", "Outputs", "Stream"]

Stream: TypeAlias = Literal["stdout", "stderr"]
OnOutput: TypeAlias = Callable[[Stream, bytes], Awaitable[object]]
"""Takes a piece of what cells print."""

_SHOWING = frozenset({"stream", "display_data", "execute_result", "update_display_data"})


class Outputs:
    """Folds the messages of a kernel into the outputs of cells, as nbclient does."""

    def __init__(self, jupyter: Jupyter, notebook: Any, limit: int, on_output: OnOutput | None) -> None:
        # Without times: the same notebook, run twice, is to be the same file.
        self._client = jupyter.nbclient.NotebookClient(notebook, record_timing=False)
        self._complete = jupyter.nbclient.CellExecutionComplete
        self._make = jupyter.nbformat.v4.new_output
        self._left = limit
        self._limit = limit
        self._on_output = on_output

    def begin(self, cell: Any) -> None:
        """Forget what a cell showed in an earlier run."""
        cell.outputs = []
        cell.execution_count = None
        self._client.clear_before_next_output = False

    async def add(self, message: Message, cell: Any, number: int) -> bool:
        """Take a message; `True` for the one that says that the cell is done."""
        if message.type == "stream" and self._on_output is not None:
            name: Stream = "stderr" if message.content.get("name") == "stderr" else "stdout"
            await self._on_output(name, str(message.content.get("text", "")).encode(errors="backslashreplace"))
        if message.type in _SHOWING and not self._has_room(message, cell):
            return False
        try:
            self._client.process_message(message.raw, cell, number)
        except self._complete:
            return True
        return False

    def _has_room(self, message: Message, cell: Any) -> bool:
        if self._left < 0:
            return False
        self._left -= message.size
        if self._left < 0:
            told = f"[more than {self._limit} bytes of output: from here on it is left out of the notebook]\n"
            cell.outputs.append(self._make("stream", name="stderr", text=told))
        return self._left >= 0

    def finish(self, notebook: Any) -> None:
        """Put what belongs to no cell, the state of widgets, into the notebook, and join what was printed in pieces.

        Not before the end: a later cell may change what an earlier one shows, which is found by its place.
        """
        self._client.set_widgets_metadata()
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs = _joined(cell.outputs)


def _joined(outputs: list[Any]) -> list[Any]:
    found: list[Any] = []
    for name, group in itertools.groupby(outputs, key=_stream_name):
        members = list(group)
        if name is not None:
            members[0].text = "".join(member.text for member in members)
            del members[1:]
        found += members
    return found


def _stream_name(output: Any) -> str | None:
    return str(output.name) if output.output_type == "stream" else None
