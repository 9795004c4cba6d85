"""What is put into the process as long as anybody uses it, and taken away after the last."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["Installation"]


class Installation:
    """Calls `install` when a user comes, who may not be the first, and `remove` when the last has gone; in any thread.

    Each comes alone. `install` has to find out what is there already: others may have changed it meanwhile.
    """

    def __init__(self, install: Callable[[], None], remove: Callable[[], None]) -> None:
        self._install = install
        self._remove = remove
        self._guard = threading.Lock()
        self._users = 0

    @property
    def is_used(self) -> bool:
        """Whether anybody uses it."""
        return self._users > 0

    @contextmanager
    def used(self) -> Iterator[None]:
        """Have it there as long as the block lasts."""
        with self._guard:
            self._users += 1
            self._install()
        try:
            yield
        finally:
            with self._guard:
                self._users -= 1
                if not self._users:
                    self._remove()
