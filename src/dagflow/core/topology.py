"""Order and connectivity of directed graphs: plain functions over mappings, linear in nodes and edges.

Nothing here recurses, so a chain of 100,000 nodes is as good as a short one. Every answer follows the order of
the mapping that it was given, never a hash, so that two processes agree about it.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import TypeVar

K = TypeVar("K", bound=Hashable)


class CycleFound(Exception):
    """Raised by `levels` when the graph has a cycle; `cycle` spells it out and ends where it began."""

    def __init__(self, cycle: tuple[Hashable, ...]) -> None:
        self.cycle = cycle
        super().__init__(" -> ".join(str(key) for key in cycle))


def levels(predecessors: Mapping[K, Iterable[K]]) -> tuple[tuple[K, ...], ...]:
    """Group keys into topological levels: each key one level below the lowest of its predecessors.

    Keys keep the mapping's order inside a level. Every predecessor must itself be a key.

    Raises `CycleFound` if there is a cycle; it is spelled in the mapping's direction, `a -> b -> a` where `b` is
    a predecessor of `a`. Raises `KeyError` for a predecessor that is no key.

    Source: Kahn, "Topological sorting of large networks", CACM 5 (1962).
    """
    needs = {key: tuple(before) for key, before in predecessors.items()}
    followers: dict[K, list[K]] = {key: [] for key in needs}
    for key, before in needs.items():
        for other in before:
            followers[other].append(key)
    missing = {key: len(before) for key, before in needs.items()}
    level = {key: 0 for key, count in missing.items() if not count}
    ready = list(level)
    for key in ready:  # grows while it is read: it is the queue
        below = level[key] + 1
        for follower in followers[key]:
            missing[follower] -= 1
            if not missing[follower]:
                # Keys leave the queue in the order of their levels, so the last to count down is the lowest.
                level[follower] = below
                ready.append(follower)
    if len(level) < len(needs):
        cycle = find_cycle({key: before for key, before in needs.items() if key not in level})
        raise CycleFound(cycle or ())
    grouped: list[list[K]] = [[] for _ in range(max(level.values(), default=-1) + 1)]
    for key in needs:
        grouped[level[key]].append(key)
    return tuple(map(tuple, grouped))


def find_cycle(successors: Mapping[K, Iterable[K]]) -> tuple[K, ...] | None:
    """Find a cycle, `(a, b, a)`, each key followed by one that it maps to; `None` if there is none.

    Successors that are no keys of the mapping lead nowhere.
    """
    finished: set[K] = set()
    for root in successors:
        if root in finished:
            continue
        path: dict[K, Iterator[K]] = {root: iter(successors[root])}
        while path:
            key = next(reversed(path))
            for follower in path[key]:
                if follower in path:
                    keys = list(path)
                    return (*keys[keys.index(follower) :], follower)
                if follower in successors and follower not in finished:
                    path[follower] = iter(successors[follower])
                    break
            else:
                finished.add(key)
                del path[key]
    return None


def strongly_connected(successors: Mapping[K, Iterable[K]]) -> tuple[tuple[K, ...], ...]:
    """Split a graph into its strongly connected components, in topological order (sources first).

    Members keep the mapping's order. Successors that are no keys of the mapping are ignored, so a mapping of
    some nodes is the subgraph that they span.

    Source: Tarjan, "Depth-first search and linear graph algorithms", SIAM J. Comput. 1 (1972), unrolled.
    """
    position = {key: number for number, key in enumerate(successors)}
    visited: dict[K, int] = {}
    low: dict[K, int] = {}
    rest: dict[K, Iterator[K]] = {}
    pending: list[K] = []
    closed: set[K] = set()
    components: list[tuple[K, ...]] = []
    # From the last key to the first: reversing the answer then leaves unrelated components in the given order.
    for root in reversed(tuple(successors)):
        path = [root] if root not in visited else []
        while path:
            key = path[-1]
            if key not in visited:
                visited[key] = low[key] = len(visited)
                rest[key] = iter(successors[key])
                pending.append(key)
            for follower in rest[key]:
                if follower not in position or follower in closed:
                    continue
                if follower not in visited:
                    path.append(follower)
                    break
                low[key] = min(low[key], visited[follower])
            else:
                path.pop()
                if path:
                    low[path[-1]] = min(low[path[-1]], low[key])
                if low[key] == visited[key]:
                    start = len(pending) - 1
                    while pending[start] != key:
                        start -= 1
                    members = pending[start:]
                    del pending[start:]
                    closed.update(members)
                    components.append(tuple(sorted(members, key=position.__getitem__)))
    components.reverse()
    return tuple(components)


def reachable(successors: Mapping[K, Iterable[K]], origins: Iterable[K]) -> set[K]:
    """Collect everything that can be reached from `origins`, themselves included.

    Keys that the mapping lacks have no successors.
    """
    found = set(origins)
    pending = list(found)
    while pending:
        for follower in successors.get(pending.pop(), ()):
            if follower not in found:
                found.add(follower)
                pending.append(follower)
    return found
