"""Write server-sent events, as section 9.2.6 of the WHATWG HTML standard reads them; `core.sse` is the reader."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["encode_comment", "encode_event"]

_LINE_END: Final = re.compile("\r\n|\r|\n")  # and no other: what else Unicode takes for the end of a line is data
_MOST_RETRY: Final = 10**15 - 1  # milliseconds; see `core.sse`


def encode_event(data: str, *, event: str | None = None, id: str | None = None, retry: int | None = None) -> bytes:
    """Write one event, with the blank line that ends it.

    `data` may have any text; a reader joins its lines by line feeds, whichever way they ended. Without an `event` it
    is read as a "message"; without an `id` the reader keeps the last one, and an empty `id` makes it forget that.
    `retry` is in milliseconds. Lone surrogates, which UTF-8 cannot write, become question marks.

    Raises `ValueError` for an `event` or `id` with a line end in it, an `id` with a NULL, and a `retry` that is no
    number of milliseconds: readers would ignore them, or take their rest for fields.
    """
    lines = []
    if event is not None:
        lines.append(f"event: {_one_line(event, 'event')}\n")
    if id is not None:
        if "\0" in id:
            raise ValueError(f"the id of an event must not have a NULL in it: {id!r}")
        lines.append(f"id: {_one_line(id, 'id')}\n")
    if retry is not None:
        if not 0 <= retry <= _MOST_RETRY:
            raise ValueError(f"retry is a number of milliseconds from 0 to {_MOST_RETRY}, not {retry}")
        lines.append(f"retry: {retry}\n")
    lines += [f"data: {line}\n" for line in _LINE_END.split(data)]
    return "".join([*lines, "\n"]).encode("utf-8", errors="replace")


def encode_comment(text: str = "") -> bytes:
    """Write a comment, which readers skip: it keeps a connection from looking idle."""
    return "".join([*(f": {line}\n" for line in _LINE_END.split(text)), "\n"]).encode("utf-8", errors="replace")


def _one_line(value: str, name: str) -> str:
    if _LINE_END.search(value):
        raise ValueError(f"the {name} of an event must be one line, not {value!r}")
    return value
