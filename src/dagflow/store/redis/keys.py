"""Names of keys (what a thread has, and the one that lists all threads), and text as Redis has it: bytes."""

from __future__ import annotations

import attrs

__all__ = ["Keys", "decoded", "encoded"]

KINDS = ("lease", "thread", "records", "values")


@attrs.frozen
class Keys:
    """The keys below one prefix. A thread's id is the end of its keys, so it needs no escaping whatever it holds."""

    prefix: str

    @property
    def threads(self) -> bytes:
        """The key of the listing."""
        return encoded(f"{self.prefix}threads")

    def thread(self, thread_id: str) -> tuple[bytes, ...]:
        """Give the keys of a thread and of the listing, in the order that the scripts expect."""
        return (*(self.of(kind, thread_id) for kind in KINDS), self.threads)

    def of(self, kind: str, thread_id: str) -> bytes:
        """Give one key of a thread."""
        return encoded(f"{self.prefix}{kind}:{thread_id}")


def encoded(text: str) -> bytes:
    """Encode any `str`, also one with lone surrogates, which UTF-8 proper has no place for."""
    return text.encode("utf-8", "surrogatepass")


def decoded(text: bytes) -> str:
    """Decode what `encoded` made; what was damaged in the server gives a text that its checksum is not of."""
    try:
        return text.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return text.decode("utf-8", "replace")
