"""Workers: tasks that drain a queue, so that only work that suspends costs a task of its own.

Spawning a task costs more than most small work. A worker takes items from the queue one after another, and
before it begins an item while others wait, it makes sure that one standby worker is spawned behind it. An item
that never suspends lets its worker go on to the next one; the moment an item suspends, the standby gets its
turn and takes over the queue. So every suspended item has a task of its own, and the others share one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Generic, TypeVar

from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint

__all__ = ["Workers"]

Item = TypeVar("Item")

BREATH = 64
"""After how many items that did not suspend the event loop gets its turn."""


class Workers(Generic[Item]):
    """Runs `work(item)` for every item that is added, in tasks of `group` and in the one that drains.

    `work` must isolate the context variables of its items (`run_isolated`), because items share tasks.
    """

    __slots__ = ("_group", "_queue", "_standby", "_work")

    def __init__(self, group: TaskGroup, work: Callable[[Item], Awaitable[None]]) -> None:
        self._group = group
        self._work = work
        self._queue: deque[Item] = deque()
        self._standby = False

    def add(self, items: Iterable[Item]) -> None:
        """Queue items. An item that adds others must do so last: its own worker then goes on with them."""
        self._queue.extend(items)

    def clear(self) -> None:
        """Drop the items that have not begun."""
        self._queue.clear()

    async def drain(self) -> None:
        """Work until the queue is empty; what others still do then is awaited by leaving the task group.

        Items that never suspend would otherwise keep the event loop to themselves, and could not be cancelled.
        """
        queue = self._queue
        left = BREATH
        while queue:
            if not left:
                left = BREATH
                await checkpoint()
                continue  # another worker may have emptied the queue
            left -= 1
            item = queue.popleft()
            if queue and not self._standby:
                self._standby = True
                self._group.start_soon(self._stand_by)
            await self._work(item)

    async def _stand_by(self) -> None:
        self._standby = False
        await self.drain()
