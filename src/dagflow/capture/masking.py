"""Masking known secrets in output that comes in pieces, wherever the pieces begin and end.

What has come is passed on up to the first place from which a secret may have begun; that is kept until the next piece
shows whether it is one. So every piece of a secret is masked, and the pieces together are what `core.secrets.mask`
makes of the whole text (the tests compare the two over random texts and cuts).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from dagflow.core.secrets import MASK, Secret, forms_of

__all__ = ["MaskedStream", "Masker"]

_MASK: Final = MASK.encode()


class Masker:
    """Masks secrets in UTF-8, in all of their forms (`core.secrets.forms_of`)."""

    def __init__(self, secrets: Iterable[str | Secret] = ()) -> None:
        forms = {form.encode(errors="surrogatepass") for form in forms_of(secrets)}
        self.forms: tuple[bytes, ...] = tuple(sorted(forms, key=len, reverse=True))
        self._pattern = re.compile(b"|".join(map(re.escape, self.forms)))
        first = b"".join(re.escape(form[:1]) for form in self.forms)
        self._first = re.compile(b"[" + first + b"]" if first else b"(?!)")

    def __repr__(self) -> str:
        return f"<Masker of {len(self.forms)} texts>"

    def stream(self) -> MaskedStream:
        """Begin to mask one stream."""
        return MaskedStream(self)

    def mask(self, data: bytes) -> bytes:
        """Mask a whole text."""
        return self._pattern.sub(_MASK, data) if self._may_hold_one(data) else data

    def settled(self, data: bytes) -> tuple[bytes, bytes]:
        """Mask what is certain of a text that goes on, and give the rest as it is.

        A match that begins before the rest is certain: if a longer secret could begin where it does, the rest would
        begin there.
        """
        if not self.forms:
            return data, b""
        end = self._open_from(data, 0)
        if not self._may_hold_one(data):
            return data[:end], data[end:]
        pieces: list[bytes] = []
        position = 0
        for match in self._pattern.finditer(data):
            if match.start() >= end:
                break
            pieces += (data[position : match.start()], _MASK)
            position = match.end()
            if position > end:
                end = self._open_from(data, position)
        pieces.append(data[position:end])
        return b"".join(pieces), data[end:]

    def _may_hold_one(self, data: bytes) -> bool:
        # Far faster than the expression, and nearly always enough.
        return any(form in data for form in self.forms)

    def _open_from(self, data: bytes, start: int) -> int:
        """Where the first secret begins that may go on after the end; the end, if there is none."""
        longest = len(self.forms[0])
        for match in self._first.finditer(data, max(start, len(data) - longest + 1)):
            rest = data[match.start() :]
            if any(len(form) > len(rest) and form.startswith(rest) for form in self.forms):
                return match.start()
        return len(data)


class MaskedStream:
    """Masks one stream, piece by piece."""

    def __init__(self, masker: Masker) -> None:
        self._masker = masker
        self._kept = b""

    def feed(self, data: bytes) -> bytes:
        """Take a piece, and give what can be passed on."""
        passed, self._kept = self._masker.settled(self._kept + data if self._kept else data)
        return passed

    def finish(self) -> bytes:
        """Give what was kept, at the end of the stream."""
        kept, self._kept = self._kept, b""
        return self._masker.mask(kept)
