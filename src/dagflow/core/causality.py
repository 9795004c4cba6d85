"""State as each activation sees it: the writes of its ancestors and of no others.

Theory of operation
===================

A `State` is what one activation sees, or what its successors see after it. States never change, and share
whatever they have in common.

Most keys are written once in a run. What START writes, everybody sees, so it is kept beside the states as the
value that a key has to begin with. The first write that a node makes to a key is kept beside them as well, and a
state has one bit for it: whether it sees that write. Where states meet, the bits are joined with "or".

Only later writes to a key take a `Slot` in the state itself: the value and a `Mark`. Slots sit in a tree of tuples,
so that a write copies one short path and comparing two states visits only where they differ. A mark says which
write a value comes from and which writes were seen before. Marks of one key are linked from the newest to the
oldest, with a second link that skips far back (Myers, "An applicative random-access stack", Information Processing
Letters 17, 1983), so whether one mark lies behind another takes logarithmically many steps.

Where several states meet, only keys whose slots differ need more work than the bits:

- A key without a reducer keeps the write that no other state has seen overwritten. That is the one whose mark
  all others lie behind. Several such writes of one node give the highest `k`, and a mark with links to each.
  Writes of different nodes are a `StateConflict`.
- A key with a reducer is folded over the writes in the order of the first state, then what the second adds, and
  so on. Links are then the order of the fold, and a write that is folded in again gets a mark of its own, which
  names the original as its `origin`. This takes time in proportion to what the folds do not have in common from
  their beginning on: little after a fork, all of both where two histories began apart.

Marks do not hold folded values, so a list that grows by a reducer is not kept once for each of its lengths.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from dagflow.errors import StateConflict

Reducer = Callable[[Any, Any], Any]

_BITS = 5
_WIDTH = 1 << _BITS
_PIECE = 12
_PLACE_IN_PIECE = (1 << _PIECE) - 1


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
        self.node: int = node
        self.k: int = k
        self.written: Any = written
        self.origin: Mark = origin or self
        self.previous: Mark | None = previous
        self.also: tuple[Mark, ...] = also
        if previous is None:
            self.depth: int = 0
            self.skip: Mark = self
            return
        self.depth = 1 + max([previous.depth, *(mark.depth for mark in also)]) if also else previous.depth + 1
        far = previous.skip
        # Two skips of one length in a row become one of twice that length, and a bit.
        even = previous.depth - far.depth == far.depth - far.skip.depth
        self.skip = far.skip if even else previous


Slot = tuple[Mark, Any]


class State:
    """The first writes that are seen, as bits by the number of the key, and a tree of the later ones. Immutable."""

    __slots__ = ("bits", "root", "shift")

    def __init__(self, bits: tuple[int, ...] = (), root: tuple[Any, ...] = (), shift: int = 0) -> None:
        # In pieces: a state differs from the one before it in one bit, and one integer would be copied whole.
        self.bits: tuple[int, ...] = bits
        self.root: tuple[Any, ...] = root
        self.shift: int = shift

    def sees_first(self, key: int) -> bool:
        """Tell whether the first write to a key is seen."""
        piece = key >> _PIECE
        return piece < len(self.bits) and bool(self.bits[piece] >> (key & _PLACE_IN_PIECE) & 1)

    def later(self, key: int) -> Slot | None:
        """Return the slot of a key that has been written again; `None` if it has not."""
        shift = self.shift
        if key >> (shift + _BITS):
            return None
        node: Any = self.root
        while node is not None:
            place = (key >> shift) & (_WIDTH - 1)
            node = node[place] if place < len(node) else None
            if not shift:
                return node  # type: ignore[no-any-return]  # a leaf holds slots
            shift -= _BITS
        return None

    def with_first(self, key: int) -> State:
        """Return a state that sees the first write to a key as well."""
        bits = self.bits
        piece, bit = key >> _PIECE, 1 << (key & _PLACE_IN_PIECE)
        if piece >= len(bits):
            bits = (*bits, *[0] * (piece - len(bits)), bit)
        else:
            bits = (*bits[:piece], bits[piece] | bit, *bits[piece + 1 :])
        return State(bits, self.root, self.shift)

    def put(self, key: int, slot: Slot) -> State:
        """Return a state in which a key has another slot."""
        shift = self.shift
        while key >> (shift + _BITS):
            shift += _BITS
        return State(self.bits, _put(self.raised_to(shift), shift, key, slot), shift)

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


def differences(one: State, other: State) -> Iterator[int]:
    """Yield each key that does not have the same slot in both states."""
    shift = max(one.shift, other.shift)
    pending = [(one.raised_to(shift), other.raised_to(shift), shift, 0)]
    while pending:
        left, right, shift, base = pending.pop()
        if left is right:
            continue
        for place, (ours, theirs) in enumerate(zip_longest(left, right)):
            if ours is theirs:
                continue
            key = base | (place << shift)
            if shift:
                pending.append((ours or (), theirs or (), shift - _BITS, key))
            else:
                yield key


def lies_behind(old: Mark, new: Mark) -> bool:
    """Tell whether `old` is `new` or can be reached from it by links to the previous mark."""
    depth = old.depth
    mark: Any = new  # a depth above another has a previous mark, which no type checker can see
    while mark.depth > depth:
        skip = mark.skip
        mark = skip if skip.depth >= depth else mark.previous
    return mark is old


class Keys:
    """The state keys of one run: their numbers, which only the run itself sees, their reducers and first writes."""

    __slots__ = ("first", "initial", "names", "numbers", "reducers")

    def __init__(self, reducers: Mapping[str, Reducer], initial: Mapping[str, Any]) -> None:
        self.reducers: Mapping[str, Reducer] = reducers
        self.initial: dict[str, Any] = dict(initial)
        self.numbers: dict[str, int] = {}
        self.names: list[str] = []
        self.first: list[Slot] = []

    def slot(self, state: State, key: int) -> Slot | None:
        """Return what a state has of a key; `None` if it sees no write of a node."""
        later = state.later(key)
        return self.first[key] if later is None and state.sees_first(key) else later

    def value(self, state: State, name: str) -> Any:
        """Return the value of a key in a state. Raises `KeyError` if it has none."""
        number = self.numbers.get(name)
        slot = None if number is None else self.slot(state, number)
        return self.initial[name] if slot is None else slot[1]

    def values(self, state: State) -> dict[str, Any]:
        """Return every key that has a value in a state, in alphabetical order, with its value."""
        found = dict(self.initial)
        for number, name in enumerate(self.names):
            slot = self.slot(state, number)
            if slot is not None:
                found[name] = slot[1]
        # The keys of a run are numbered as they are written, and that depends on timing.
        return {name: found[name] for name in sorted(found)}

    def write(self, state: State, writes: Mapping[str, Any], node: int, k: int) -> State:
        """Return the state after an activation wrote. Raises whatever a reducer raises."""
        for name, value in writes.items():
            number = self.numbers.get(name)
            before = None if number is None else self.slot(state, number)
            previous = None if before is None else before[0]
            reducer = self.reducers.get(name) if self.reducers else None
            if reducer is None:
                slot = (Mark(node, k, previous), value)
            else:
                # Only a fold needs what was written again; other values go when the last state with them goes.
                mark = Mark(node, k, previous, written=value)
                if before is not None:
                    value = reducer(before[1], value)
                elif name in self.initial:
                    value = reducer(self.initial[name], value)
                slot = (mark, value)
            if number is None:
                number = self.numbers[name] = len(self.names)
                self.names.append(name)
                self.first.append(slot)
                state = state.with_first(number)
            else:
                state = state.put(number, slot)
        return state

    def meet(self, states: Sequence[State], at: str, name_of: Callable[[int, int], str]) -> State:
        """Return what is seen where states meet, in the order of the parents that they come from.

        Raises `StateConflict`, naming `at` as the place, and whatever a reducer raises.
        """
        first = states[0]
        if len(states) == 1:
            return first
        slots: dict[int, list[Slot]] = {}
        for other in states[1:]:
            if other.root is not first.root:
                for key in differences(first, other):
                    self._add(slots.setdefault(key, self._add([], first, key)), other, key)
        for key in slots:
            if not first.sees_first(key):
                # A state that has seen nothing but the first write does not differ in its tree from one without it.
                slots[key] = []
                for state in states:
                    self._add(slots[key], state, key)
        merged = State(_either(states), first.root, first.shift)
        # By name: which of two conflicts is reported must not depend on which key was written first.
        for key in sorted(slots, key=self.names.__getitem__):
            name = self.names[key]
            reducer = self.reducers.get(name)
            slot = fold(slots[key], reducer) if reducer else newest(slots[key], name, at, name_of)
            if slot is not self.slot(merged, key):
                merged = merged.put(key, slot)
        return merged

    def _add(self, slots: list[Slot], state: State, key: int) -> list[Slot]:
        slot = self.slot(state, key)
        if slot is not None and not (slots and slots[-1] is slot):
            slots.append(slot)
        return slots


def _either(states: Sequence[State]) -> tuple[int, ...]:
    bits = states[0].bits
    for state in states[1:]:
        if state.bits is not bits:
            bits = tuple([one | other for one, other in zip_longest(bits, state.bits, fillvalue=0)])
    return bits


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
