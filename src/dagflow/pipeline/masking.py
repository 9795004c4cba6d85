"""Keeping the secrets of a run out of everything that is told of it: texts, values and errors."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from dagflow.core.secrets import Mask, Secret
from dagflow.errors import DagflowError, NodeError

__all__ = ["Masking"]


class Masking:
    """Hides known secrets. Without any, everything is passed on as it is."""

    def __init__(self, secrets: Iterable[Secret] = ()) -> None:
        self.text: Mask = Mask(secrets)
        """Hides secrets in a text."""

    def value(self, value: Any) -> Any:
        """Hide secrets in the texts of a value of JSON, and of tuples; anything else is passed on as it is."""
        if not self.text:
            return value
        if isinstance(value, str):
            return self.text(value) if type(value) is str else value
        if type(value) is list or type(value) is tuple:
            return type(value)(map(self.value, value))
        if type(value) is dict:
            return {self.value(key): self.value(item) for key, item in value.items()}
        return value

    def error(self, error: Exception) -> Exception:
        """Hide secrets in an exception and in all that it tells of: itself where that can be done, else a stand-in."""
        if not self.text:
            return error
        for part in _parts(error):
            self._hide_in(part)
        if all(self._is_clean(part) for part in _parts(error)):
            return error
        return NodeError(f"{type(error).__name__}: {self.text(str(error))}", node=getattr(error, "node", ""))

    def _hide_in(self, error: BaseException) -> None:
        with suppress(Exception):  # what an exception of somebody else's does with its attributes is its own affair
            error.args = self.value(error.args)
        for name, value in list(vars(error).items()):
            if name == "failures":
                continue
            hidden = self.value(value)
            if hidden != value:
                with suppress(Exception):
                    setattr(error, name, hidden)

    def _is_clean(self, error: BaseException) -> bool:
        texts = [str(error), repr(error), *getattr(error, "__notes__", ())]
        return all(self.text(text) == text for text in texts)


def _parts(error: BaseException) -> list[BaseException]:
    """An exception with its causes, contexts, members and failures, each once."""
    found: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        part = waiting.pop()
        if part is None or any(part is known for known in found):
            continue
        found.append(part)
        waiting += [part.__cause__, part.__context__]
        if isinstance(part, BaseExceptionGroup):
            waiting += part.exceptions
        if isinstance(part, DagflowError):
            waiting += [failure.exception for failure in part.failures]
    return found
