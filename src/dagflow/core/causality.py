"""State as each activation sees it: the writes of its ancestors and of no others.

Theory of operation
===================

A `State` is what one activation sees, or what its successors see after it: for each key a `Slot`, that is the
value and a `Mark`. States never change, and share whatever they have in common: slots sit in a tree of tuples,
so that a write copies one short path and comparing two states visits only where they differ.

A mark says which write a value comes from and which writes were seen before. Marks of one key are linked from
the newest to the oldest, with a second link that skips far back (Myers, "An applicative random-access stack",
Information Processing Letters 17, 1983), so whether one mark lies behind another takes logarithmically many steps.

Where several states meet, only keys whose slots differ need work:

- A key without a reducer keeps the write that no other state has seen overwritten. That is the one whose mark
  all others lie behind. Several such writes of one node give the highest `k`, and a mark with links to each.
  Writes of different nodes are a `StateConflict`.
- A key with a reducer is folded over the writes in the order of the first state, then what the second adds, and so
  on. Links are then the order of the fold, and a write that is folded in again gets a mark of its own that names the
  original as its `origin`.

Marks do not hold folded values, so a list that grows by a reducer is not kept once for each of its lengths.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from dagflow.errors import StateConflict

Reducer = Callable[[Any, Any], Any]

_BITS = 5
_WIDTH = 1 << _BITS


class Mark:
    """One write as seen from where it was made, or folded in again: linked to what was seen before it."""

    __slots__ = ("also", "depth", "k", "node", "origin", "previous", "skip", "written")

    def __init__(
        self,
        node: int,
        k: int,
        previous: Mark | None,
        *,
        written: Any = None,
        origin: Mark | None = None,
        also: tuple[Mark, ...] = (),
    ) -> None:
        self.node = node
        self.k = k
        self.written = written
        self.origin = origin or self
        self.previous = previous
        self.also = also
        if previous is None:
            self.depth = 0
            self.skip: Mark = self
            return
        self.depth = 1 + max([previous.depth, *(mark.depth for mark in also)]) if also else previous.depth + 1
        far = previous.skip
        # Two skips of one length in a row become one of twice that length, and a bit.
        even = previous.depth - far.depth == far.depth - far.skip.depth
        self.skip = far.skip if even else previous


Slot = tuple[Mark, Any]


class State:
    """The slots of every key that was written, by the number of the key. Immutable."""

    __slots__ = ("root", "shift")

    def __init__(self, root: tuple[Any, ...] = (), shift: int = 0) -> None:
        self.root = root
        self.shift = shift

    def get(self, key: int) -> Slot | None:
        """Return the slot of a key, `None` if nothing has been written to it."""
        shift = self.shift
        if key >> (shift + _BITS):
            return None
        node: Any = self.root
        while True:
            place = (key >> shift) & (_WIDTH - 1)
            if node is None or place >= len(node):
                return None
            node = node[place]
            if not shift:
                return node  # type: ignore[no-any-return]  # a leaf holds slots
            shift -= _BITS

    def put(self, key: int, slot: Slot) -> State:
        """Return a state in which a key has another slot."""
        state = self.grown_to(key)
        return State(_put(state.root, state.shift, key, slot), state.shift)

    def grown_to(self, key: int) -> State:
        """Return this state with a tree that is high enough for a key."""
        root, shift = self.root, self.shift
        while key >> (shift + _BITS):
            root, shift = (root,), shift + _BITS
        return State(root, shift) if shift != self.shift else self

    def raised_to(self, shift: int) -> tuple[Any, ...]:
        """Return the root of this state's tree at a height of at least its own."""
        root, height = self.root, self.shift
        while height < shift:
            root, height = (root,), height + _BITS
        return root


def _put(node: tuple[Any, ...] | None, shift: int, key: int, slot: Slot) -> tuple[Any, ...]:
    place = (key >> shift) & (_WIDTH - 1)
    children = list(node) if node else []
    if place >= len(children):
        children.extend([None] * (place + 1 - len(children)))
    children[place] = _put(children[place], shift - _BITS, key, slot) if shift else slot
    return tuple(children)


def differences(one: State, other: State) -> Iterator[tuple[int, Slot]]:
    """Yield each key whose slot in the second state is there, and is not that of the first; with that slot."""
    shift = max(one.shift, other.shift)
    pending = [(one.raised_to(shift), other.raised_to(shift), shift, 0)]
    while pending:
        left, right, shift, base = pending.pop()
        if left is right:
            continue
        for place, theirs in enumerate(right):
            ours = left[place] if place < len(left) else None
            if theirs is None or theirs is ours:
                continue
            key = base | (place << shift)
            if shift:
                pending.append((ours or (), theirs, shift - _BITS, key))
            else:
                yield key, theirs


def lies_behind(old: Mark, new: Mark) -> bool:
    """Tell whether `old` is `new` or can be reached from it by links to the previous mark."""
    depth = old.depth
    mark = new
    while mark.depth > depth:
        skip = mark.skip
        mark = skip if skip.depth >= depth else mark.previous  # type: ignore[assignment]  # depth > 0 has one
    return mark is old


class Keys:
    """The state keys of one run: their numbers, which only the run itself sees, and their reducers."""

    __slots__ = ("names", "numbers", "reducers")

    def __init__(self, reducers: Mapping[str, Reducer]) -> None:
        self.numbers: dict[str, int] = {}
        self.names: list[str] = []
        self.reducers = reducers

    def number(self, name: str) -> int:
        """Return the number of a key, a new one if it has none yet."""
        number = self.numbers.setdefault(name, len(self.names))
        if number == len(self.names):
            self.names.append(name)
        return number

    def write(self, state: State, writes: Mapping[str, Any], node: int, k: int) -> State:
        """Return the state after an activation wrote. Raises whatever a reducer raises."""
        for name, value in writes.items():
            key = self.number(name)
            before = state.get(key)
            reducer = self.reducers.get(name)
            # Only a fold needs what was written again; other values go when the last state with them goes.
            mark = Mark(node, k, before[0] if before else None, written=value if reducer else None)
            state = state.put(key, (mark, reducer(before[1], value) if before and reducer else value))
        return state

    def meet(self, states: Sequence[State], at: str, name_of: Callable[[int, int], str]) -> State:
        """Return what is seen where states meet, in the order of the parents that they come from.

        Raises `StateConflict`, naming `at` as the place, and whatever a reducer raises.
        """
        first = states[0]
        slots: dict[int, list[Slot]] = {}
        for other in states[1:]:
            for key, slot in differences(first, other):
                found = slots.get(key)
                if found is None:
                    ours = first.get(key)
                    found = slots[key] = [ours] if ours else []
                if not found or found[-1] is not slot:
                    found.append(slot)
        merged = first
        # By name: which of two conflicts is reported must not depend on which key was written first.
        for key in sorted(slots, key=self.names.__getitem__):
            reducer = self.reducers.get(self.names[key])
            found = slots[key]
            slot = fold(found, reducer) if reducer else newest(found, self.names[key], at, name_of)
            if slot is not merged.get(key):
                merged = merged.put(key, slot)
        return merged


def newest(slots: Sequence[Slot], key: str, at: str, name_of: Callable[[int, int], str]) -> Slot:
    """Choose the write that none of the states has seen overwritten; of one node's writes the highest k."""
    if len(slots) == 1:
        return slots[0]
    if len(slots) == 2:
        (one, _), (other, _) = slots
        if lies_behind(other, one):
            return slots[0]
        if lies_behind(one, other):
            return slots[1]
    left = _not_overwritten(slots)
    best = max(left, key=lambda slot: slot[0].k)
    if any(mark.node != best[0].node for mark, _ in left):
        writers = {(mark.node, mark.k) for mark, _ in left}
        raise StateConflict(key, [name_of(node, k) for node, k in sorted(writers)], at=at)
    # Keep a way to everything that was seen, unless the link to the previous mark is one already.
    chosen = best[0]
    also = {id(mark): mark for mark, _ in slots if not lies_behind(mark, chosen)}
    if not also:
        return best
    mark = Mark(chosen.node, chosen.k, chosen, origin=chosen.origin, also=tuple(also.values()))
    return mark, best[1]


def _not_overwritten(slots: Sequence[Slot]) -> list[Slot]:
    """Walk back from every mark, and leave out the writes that are met on the way."""
    lowest = min(mark.origin.depth for mark, _ in slots)
    overwritten: set[int] = set()
    visited: set[int] = set()
    pending = [mark for mark, _ in slots]
    while pending:
        mark = pending.pop()
        if id(mark) in visited:
            continue
        visited.add(id(mark))
        for before in (mark.previous, *mark.also):
            if before is not None and before.depth >= lowest:
                if before.origin is not mark.origin:
                    overwritten.add(id(before.origin))
                pending.append(before)
    left = [slot for slot in slots if id(slot[0].origin) not in overwritten]
    # Only nodes that start for each arrival can have chosen each other's writes away; the highest k decides.
    return left or list(slots)


def fold(slots: Sequence[Slot], reducer: Reducer) -> Slot:
    """Fold what each state adds onto the first one, in order."""
    tip, value = slots[0]
    seen: set[int] = set()
    seen_from = tip.depth  # `seen` has the origins of the marks of `tip` that are deeper than this
    for other, folded in slots[1:]:
        if lies_behind(other, tip):
            continue
        if lies_behind(tip, other):
            tip, value = other, folded
            seen, seen_from = set(), tip.depth
            continue
        common = _common(tip, other)
        floor = common.depth if common else -1
        if floor < seen_from:
            seen.update(id(mark.origin) for mark in _back(tip, floor))
            seen_from = floor
        added: list[Mark] = []
        for mark in _back(other, floor):
            if id(mark.origin) in seen:
                if mark.origin is mark:
                    break  # whoever saw a write saw all that its writer had seen
            else:
                added.append(mark.origin)
        for origin in reversed(added):
            value = reducer(value, origin.written)
            tip = Mark(origin.node, origin.k, tip, origin=origin)
            seen.add(id(origin))
    return tip, value


def _back(mark: Mark, floor: int) -> Iterator[Mark]:
    current: Mark | None = mark
    while current is not None and current.depth > floor:
        yield current
        current = current.previous


def _common(one: Mark, other: Mark) -> Mark | None:
    """Find the newest mark that lies behind both."""
    while one is not other:
        if one.depth < other.depth:
            one, other = other, one
        if one.depth > other.depth:
            one = one.skip if one.skip.depth >= other.depth else one.previous  # type: ignore[assignment]
        elif one.depth == 0:
            return None
        elif one.skip is not other.skip:
            one, other = one.skip, other.skip
        else:
            one, other = one.previous, other.previous  # type: ignore[assignment]
    return one
