"""A literal interpreter of the scheduling rules: slow, short, and written without looking at the real one.

It works everything out anew at each event: what is live, what can still reach what in this turn, and, for every
activation, the whole list of writes that it sees.
"""

from dataclasses import dataclass, field
from typing import Any


@dataclass(eq=False)
class Act:
    node: str
    k: int
    parents: list["Act"]
    seen: list[tuple[str, int, str, Any]] = field(default_factory=list)  # writes before it: node, k, key, value
    after: list[tuple[str, int, str, Any]] = field(default_factory=list)  # the same, with its own
    newest: dict[str, tuple[str, int, str, Any]] = field(default_factory=dict)  # per key, what it sees as current
    conflict: str | None = None

    @property
    def id(self) -> str:
        return f"{self.node}#{self.k}"


class Reference:
    def __init__(self, edges: dict[str, list[str]], starts: list[str], each: set[str], added: set[str]) -> None:
        self.edges, self.order, self.each, self.added = edges, list(edges), each, added
        self.sources = {n: [""] * (n in starts) + [m for m in edges if n in edges[m]] for n in edges}
        self.walks: dict[tuple[str, frozenset[str]], set[str]] = {}
        self.live: list[Act] = []
        self.waiting: dict[str, list[Act]] = {}
        self.counts: dict[str, int] = {}
        self.ends: list[Act] = []
        self.loops = list(self.find_loops(set(edges)))
        self.root, self.starts = Act("", 1, []), starts

    def walk(self, start: str, inside: set[str]) -> set[str]:
        """What can be started from `start` by ways that start nodes of `inside` only."""
        question = (start, frozenset(inside))
        if question not in self.walks:  # the answer depends on the graph alone, and is asked for all the time
            found, pending = self.walks.setdefault(question, set()), [start]
            while pending:
                new = {m for m in self.edges[pending.pop()] if m in inside} - found
                found |= new
                pending += new
        return self.walks[question]

    def find_loops(self, inside: set[str]) -> Any:
        for node in self.order:
            reach = self.walk(node, inside) if node in inside else set()
            loop = {m for m in reach if node in self.walk(m, inside)}
            if node in loop and node == min(loop, key=self.order.index):
                heads = {m for m in loop if any(s not in loop for s in self.sources[m])}
                yield loop, heads
                yield from self.find_loops(loop - heads)

    def blocked(self, node: str) -> bool:
        """Whether something live can still reach a waiting join in this turn."""
        heads = next((h for loop, h in self.loops if node in h), {node})
        barred = {m for loop, h in self.loops if node in loop and node not in h for m in h}
        live = {a.node for a in self.live} | {w for w in self.waiting if w not in heads | barred}
        begun = {n for a in live for n in self.walk(a, set(self.edges) - barred - heads)} | live
        return any(heads & set(self.edges[n]) for n in begun)

    def settle(self) -> list[Act]:
        begun = []
        for node in [node for node in self.waiting if not self.blocked(node)]:
            parents = sorted(self.waiting.pop(node), key=lambda a: (self.rank(a), a.k))
            self.counts[node] = self.counts.get(node, 0) + 1
            begun.append(self.begin(node, self.counts[node], parents))
        return begun

    def rank(self, act: Act) -> int:
        return self.order.index(act.node) if act.node else -1

    def begin(self, node: str, k: int, parents: list[Act]) -> Act:
        self.live.append(Act(node, k, parents))
        self.meet(self.live[-1], parents)
        return self.live[-1]

    def meet(self, act: Act, parents: list[Act]) -> None:
        for parent in parents:
            act.seen += [write for write in parent.after if write not in act.seen]
        for key in {write[2] for write in act.seen} - self.added:
            current = [p.newest[key] for p in parents if key in p.newest]
            left = [w for w in current if not any(w in p.after and p.newest[key] != w for p in parents)]
            if len({w[0] for w in left}) > 1:
                act.conflict = key
            else:
                act.newest[key] = max(left, key=lambda w: w[1])

    def view(self, act: Act) -> dict[str, Any] | None:
        if act.conflict:
            return None
        found = {key: write[3] for key, write in act.newest.items()}
        for _, _, key, value in act.seen:
            if key in self.added:
                found[key] = found[key] + value if key in found else value
        return found

    def reach(self, node: str, parent: Act) -> list[Act]:
        sources = self.sources[node]
        if len(sources) > 1 and node not in self.each:
            self.waiting.setdefault(node, []).append(parent)
            return []
        k = len(sources) * (parent.k - 1) + sources.index(parent.node) + 1 if len(sources) > 1 else parent.k
        return [self.begin(node, k, [parent])]

    def finish(self, act: Act, targets: list[str], writes: dict[str, Any]) -> list[Act]:
        own = {key: (act.node, act.k, key, value) for key, value in writes.items()}
        act.after, act.newest = act.seen + list(own.values()), act.newest | own
        begun = [new for target in targets for new in self.reach(target, act)]
        self.live = [a for a in self.live if a is not act]
        self.ends += [] if targets else [act]
        return begun + self.settle()

    def start(self, writes: dict[str, Any]) -> list[Act]:
        return self.finish(self.root, self.starts, writes)

    def final(self) -> dict[str, Any] | None:
        end = Act("END", 1, [])
        self.meet(end, sorted(self.ends, key=lambda a: (self.rank(a), a.k)))
        return self.view(end)
