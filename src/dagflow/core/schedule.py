"""Which nodes of a run start when, and what each of them sees: a state machine that knows no event loop.

Theory of operation
===================

A driver feeds a `Schedule` with what happened to an activation (it succeeded and leads on to some successors, it
failed, it was interrupted) and is answered with the activations that start now. What starts, its parents, its
name and its state depend on the graph and on what the nodes did, never on the order of the reports. A journal can
therefore be replayed in any order in which it can have happened.

**Starting.** A node with one source starts each time it is reached. A node with several sources is a join: it starts
once, when it has been reached and nothing live (running, interrupted, waiting to start) can still reach it in this
turn. "Can still reach" is tracked in two ways:

- *Between units* by counting. A unit is an outermost loop, or a node outside all loops. Each has a count of the edges
  into it from units that may still become live. A unit is *settled* when that count is zero and nothing in it
  is live; its own edges are then counted down where they lead, which may settle more units: that is how a
  route not taken counts as dead. A join outside loops, and the heads of an outermost loop, wait for the count.
- *Inside a loop* by two bit masks for each join, worked out in `dagflow.core.loops`. A join that has to
  wait watches one of the nodes that hold it up, and looks again when that one has nothing running any more. Only
  the end of something that runs can let a join start: a join that stops waiting starts to run, and still holds up
  what it held up.

All that an event reaches is noted before any join is looked at, so a join never starts too early, and joins
that may start at one moment never hold each other up, so the order in which they are looked at does not matter.

**Names.** An activation is `node#k`. A join counts its starts; what it counts are turns, which come one after the
other. Any other node takes its parent's k. A node that starts for each arrival and has n sources takes n * (k - 1) + r
from the k of its parent, the r-th source, so that no two activations share a name; `turn` is what its parent's is.

**State.** See `dagflow.core.causality`. An activation with one parent shares what is seen after that parent; a join's
state is worked out when it is first asked for, and only where its parents differ.

The tests compare all of this with a literal interpreter of the same rules (tests/schedule/reference.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, NoReturn

import attrs

from dagflow.core.causality import Keys, Reducer, State
from dagflow.core.loops import START, Gate
from dagflow.core.plan import Plan

__all__ = ["Activation", "Schedule"]


@attrs.frozen(slots=True)
class Activation:
    """One execution of a node. Activations with the same `id` are equal.

    `parents` are the activations that led to it, in declared order, then by k; none for one that START alone led to.
    `turn` is what limits on a loop count: the number of the join's start that it descends from. It equals
    `k`, except below a node that starts for each arrival.
    """

    node: str
    k: int
    parents: tuple[Activation, ...] = attrs.field(default=(), eq=False, repr=False)
    turn: int = attrs.field(default=1, eq=False, repr=False)

    @cached_property
    def id(self) -> str:
        """The name within the run, `node#k`."""
        return f"{self.node}#{self.k}"


class View(Mapping[str, Any]):
    """The state that an activation sees. Read-only; keys in alphabetical order."""

    __slots__ = ("_keys", "_state")

    def __init__(self, keys: Keys, state: State) -> None:
        self._keys = keys
        self._state = state

    def __getitem__(self, name: str) -> Any:
        return self._keys.value(self._state, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys.values(self._state))

    def __len__(self) -> int:
        return len(self._keys.values(self._state))

    def __repr__(self) -> str:
        return repr(dict(self))


# What is live, and what reached a join: a node's number and k, the activation (`None` for START) and its state: what
# it sees while it is live, what its successors see after it. A list is states that meet and have not been joined
# yet. Plain tuples, because they are made for each activation, and sort by number and k as they are.
Live = tuple[int, int, Activation, State | list[State]]
Arrival = tuple[int, int, Activation | None, State]


class Schedule:
    """The schedule of one run of a plan. `reducers` fold the writes of the state keys that they are given for.

    Not safe to use from several threads at once. Every method but the queries takes time in proportion to what it
    starts and to the edges that it follows, over a whole run.
    """

    def __init__(self, plan: Plan, *, reducers: Mapping[str, Reducer] | None = None) -> None:
        self.plan = plan
        self._tables = plan.tables
        self._reducers = reducers or {}
        self._keys = Keys(self._reducers, {})
        self._live: dict[tuple[str, int], Live] = {}
        self._interrupted: set[tuple[str, int]] = set()
        self._ends: list[Arrival] = []
        self._arrivals: dict[int, list[Arrival]] = {}
        self._counts: dict[int, int] = {}
        self._open_edges = list(self._tables.open_edges)
        self._running = [0] * len(plan.nodes)
        # Masks over the nodes of each outermost loop: where something runs, and joins that wait.
        self._busy = dict.fromkeys(self._tables.members, 0)
        self._shut = dict.fromkeys(self._tables.members, 0)
        self._watchers: dict[int, list[Gate]] = {}
        self._started = False
        self._failed = False

    def start(self, writes: Mapping[str, Any] | None = None) -> list[Activation]:
        """Begin the run with an initial state, and return what starts.

        Raises `ValueError` if the run has begun already.
        """
        if self._started:
            raise ValueError("the schedule has started already; make a new one for another run")
        self._started = True
        self._keys = Keys(self._reducers, writes or {})
        begun: list[Live] = []
        self._reach(self._tables.start_targets, (START, 1, None, State()), 1, begun)
        self._settle(START, begun)
        return _in_order(begun)

    def succeeded(
        self, activation: Activation, targets: Sequence[str], writes: Mapping[str, Any] | None = None
    ) -> list[Activation]:
        """Note that an activation is over and leads on to `targets`, and return what starts now.

        The answer is in declared order, then by k, and empty after a failure. Raises `ValueError` for an activation
        that is not live, or a target that may not follow it; `StateConflict` or what a reducer raises if the state
        cannot be worked out. The schedule is then as it was before, so the activation can be reported as failed.
        """
        key = (activation.node, activation.k)
        number, k, _, state = self._live.get(key) or self._not_live(activation)
        allowed = self._tables.targets[number]
        numbers = [allowed.get(target, START) for target in targets]
        if numbers and (START in numbers or (len(numbers) > 1 and len(set(numbers)) < len(numbers))):
            raise ValueError(self._wrong_targets(activation, targets))
        if isinstance(state, list):
            state = self._meet(activation)
        if writes:
            state = self._keys.write(state, writes, number, k)
        del self._live[key]
        if self._interrupted:
            self._interrupted.discard(key)
        self._running[number] -= 1
        if self._failed or not numbers:
            self._ends.append((number, k, activation, state))
            if self._failed:
                return []
        begun: list[Live] = []
        checks = self._reach(numbers, (number, k, activation, state), activation.turn, begun)
        self._over(number, checks, begun)
        return _in_order(begun)

    def failed(self, activation: Activation) -> list[Activation]:
        """Note that an activation failed: nothing starts any more. What is live may still report.

        Raises `ValueError` for an activation that is not live.
        """
        key = (activation.node, activation.k)
        number, _, _, _ = self._live.get(key) or self._not_live(activation)
        del self._live[key]
        self._interrupted.discard(key)
        self._running[number] -= 1
        self._failed = True
        return []

    def interrupted(self, activation: Activation) -> list[Activation]:
        """Note that an activation waits for an answer. It stays live until it is reported as succeeded or failed.

        It may be interrupted again. Raises `ValueError` for an activation that is not live.
        """
        key = (activation.node, activation.k)
        if key not in self._live:
            self._not_live(activation)
        self._interrupted.add(key)
        return []

    def view(self, activation: Activation) -> Mapping[str, Any]:
        """Return the state that a live activation sees.

        Raises `StateConflict` if the branches that it joins conflict, whatever a reducer raises, and `ValueError` for
        an activation that is not live.
        """
        _, _, _, state = self._live.get((activation.node, activation.k)) or self._not_live(activation)
        return View(self._keys, self._meet(activation) if isinstance(state, list) else state)

    @property
    def running(self) -> tuple[Activation, ...]:
        """The activations that were started and have not reported, in declared order, then by k."""
        return tuple(_in_order([live for key, live in self._live.items() if key not in self._interrupted]))

    @property
    def open_interrupts(self) -> tuple[Activation, ...]:
        """The activations that wait for an answer, in declared order, then by k."""
        return tuple(_in_order([self._live[key] for key in self._interrupted]))

    @property
    def waiting(self) -> tuple[str, ...]:
        """The joins that have been reached and wait for what may still reach them, in declared order."""
        return tuple(self.plan.nodes[number].name for number in sorted(self._arrivals))

    @property
    def done(self) -> bool:
        """Whether nothing is live: nothing runs and nothing waits for an answer."""
        return self._started and not self._live

    def final_state(self) -> dict[str, Any]:
        """Return what is seen where everything meets that nothing followed: the state at the end of a run.

        Before the end, that is the state if the run stopped now: it includes what interrupted activations see.
        Raises `StateConflict` if branches conflict, and whatever a reducer raises.
        """
        tips: list[tuple[int, int, Activation | None, State]] = [*self._ends]
        for arrivals in self._arrivals.values():
            tips += arrivals
        for number, k, activation, state in self._live.values():
            tips.append((number, k, None, self._meet(activation) if isinstance(state, list) else state))
        # By number and k: one activation may have reached several joins that wait.
        found = {(number, k): state for number, k, _, state in tips}
        states = [found[rank] for rank in sorted(found)] or [State()]
        return self._keys.values(self._keys.meet(states, "the end of the run", self._name_of))

    def _not_live(self, activation: Activation) -> NoReturn:
        live = ", ".join(other.id for other in _in_order(list(self._live.values()))) or "nothing"
        raise ValueError(
            f"activation {activation.id} is not live: it has not started in this run, or was reported as over "
            f"already (live now: {live})"
        )

    def _wrong_targets(self, activation: Activation, targets: Sequence[str]) -> str:
        allowed = self._tables.targets[self.plan.index[activation.node]]
        for target in targets:
            if target not in allowed:
                return (
                    f"activation {activation.id} leads to {target}, which may not follow node {activation.node} "
                    f"(its successors: {', '.join(allowed) or 'none'})"
                )
        twice = next(target for place, target in enumerate(targets) if target in targets[:place])
        return f"activation {activation.id} leads to {twice} twice; name each target once"

    def _name_of(self, number: int, k: int) -> str:
        return "START" if number == START else f"{self.plan.nodes[number].name}#{k}"

    def _meet(self, activation: Activation) -> State:
        """Join the states that meet at a live activation, and keep the result."""
        key = (activation.node, activation.k)
        number, k, activation, states = self._live[key]
        assert isinstance(states, list)
        state = self._keys.meet(states, activation.id, self._name_of)
        self._live[key] = (number, k, activation, state)
        return state

    def _reach(self, targets: Iterable[int], arrival: Arrival, turn: int, begun: list[Live]) -> list[Gate]:
        """Start the targets that are no joins, note the arrival at those that are, and return the gates to check."""
        tables = self._tables
        source, k, parent, state = arrival
        parents = () if parent is None else (parent,)
        checks: list[Gate] = []
        for target in targets:
            if not tables.is_join[target]:
                ranks = tables.ranks[target]
                own = len(ranks) * (k - 1) + ranks[source] + 1 if ranks else k
                self._begin(target, own, turn, parents, state, begun)
                continue
            arrivals = self._arrivals.get(target)
            if arrivals is not None:
                arrivals.append(arrival)
                continue
            self._arrivals[target] = [arrival]
            bit = tables.bits[target]
            if bit:
                gate = tables.gates[target]
                if not self._shut[gate.home] & gate.own:
                    # Otherwise another head waits there, and the gate watches what holds it up already.
                    checks.append(gate)
                self._shut[gate.home] |= bit
        return checks

    def _begin(
        self,
        number: int,
        k: int,
        turn: int,
        parents: tuple[Activation, ...],
        state: State | list[State],
        begun: list[Live],
    ) -> None:
        tables = self._tables
        name = tables.names[number]
        live = (number, k, Activation(name, k, parents, turn), state)
        self._live[name, k] = live
        begun.append(live)
        self._running[number] += 1
        bit = tables.bits[number]
        if bit:
            self._busy[tables.home[number]] |= bit

    def _begin_join(self, number: int, begun: list[Live]) -> None:
        arrivals = self._arrivals.pop(number)
        # In declared order, not in that of arrival. No two have the same number and k, so nothing else is compared.
        arrivals.sort()
        k = self._counts[number] = self._counts.get(number, 0) + 1
        parents = tuple([parent for _, _, parent, _ in arrivals if parent is not None])
        states = [state for _, _, _, state in arrivals]
        state = states[0]
        self._begin(number, k, k, parents, state if states.count(state) == len(states) else states, begun)

    def _over(self, number: int, checks: list[Gate], begun: list[Live]) -> None:
        """Let start what an activation that is over held up, once all that it leads to has been noted."""
        tables = self._tables
        bit = tables.bits[number]
        idle = not self._running[number]
        if not bit:
            if idle and not self._open_edges[number]:
                self._settle(number, begun)
            return
        home = tables.home[number]
        if idle:
            self._busy[home] &= ~bit
            watchers = self._watchers.pop(number, None)
            if watchers:
                checks += watchers
        for gate in checks:
            self._check(gate, begun)
        if not (self._busy[home] or self._shut[home] or self._open_edges[home]):
            self._settle(home, begun)

    def _check(self, gate: Gate, begun: list[Live]) -> None:
        """Start the joins that wait behind a gate, unless something holds it shut: then watch that."""
        home = gate.home
        if gate.outermost and self._open_edges[home]:
            return  # looked at again when the last way from outside is settled
        shut = self._shut[home]
        blockers = (self._busy[home] & gate.running) | (shut & gate.waiting)
        if blockers:
            watched = self._tables.members[home][(blockers & -blockers).bit_length() - 1]
            self._watchers.setdefault(watched, []).append(gate)
            return
        self._shut[home] = shut & ~gate.own
        for number in gate.members:
            if number in self._arrivals:
                self._begin_join(number, begun)

    def _settle(self, unit: int, begun: list[Live]) -> None:
        """Count down the edges that leave a unit in which nothing can become live any more, and so on."""
        tables = self._tables
        open_edges = self._open_edges
        pending = [unit]
        for settled in pending:  # grows while it is read
            for target in tables.leaving[settled]:
                left = open_edges[target] = open_edges[target] - 1
                if left:
                    continue
                entrance = tables.entrances.get(target)
                if entrance is None:
                    if self._running[target]:
                        continue
                    if target in self._arrivals:
                        self._begin_join(target, begun)
                    else:
                        pending.append(target)
                elif self._shut[target]:
                    self._check(entrance, begun)
                elif not self._busy[target]:
                    pending.append(target)


def _in_order(begun: list[Live]) -> list[Activation]:
    if len(begun) > 1:
        begun.sort()
    return [activation for _, _, activation, _ in begun]
