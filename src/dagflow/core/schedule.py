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
  wait watches one of the nodes that hold it up, and looks again when that one has nothing running any more. Only the end of something
  that runs can let a join start: a join that stops waiting starts to run, and still holds up what it held up.

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
from typing import Any

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

    @property
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
        return iter(self._keys.seen_in(self._state))

    def __len__(self) -> int:
        return len(self._keys.seen_in(self._state))

    def __repr__(self) -> str:
        return repr(dict(self))


class Live:
    """What the schedule knows of an activation until it is over: its states to meet, or the state that it sees."""

    __slots__ = ("activation", "interrupted", "meeting", "number", "state")

    def __init__(self, activation: Activation, number: int, state: State | None, meeting: Sequence[State]) -> None:
        self.activation = activation
        self.number = number
        self.state = state
        self.meeting = meeting
        self.interrupted = False


# What reached a join: the number and k of the parent, itself (`None` for START), and the state after it.
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
        self._ends: list[Arrival] = []
        self._arrivals: dict[int, list[Arrival]] = {}
        self._open_edges = list(self._tables.open_edges)
        self._running = [0] * len(plan.nodes)
        self._busy = dict.fromkeys(self._tables.members, 0)
        self._waiting = dict.fromkeys(self._tables.members, 0)
        self._unchecked: list[Gate] = []
        self._watchers: dict[int, list[Gate]] = {}
        self._counts: dict[int, int] = {}
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
        return self._sorted(begun)

    def succeeded(
        self, activation: Activation, targets: Iterable[str], writes: Mapping[str, Any] | None = None
    ) -> list[Activation]:
        """Note that an activation is over and leads on to `targets`, and return what starts now.

        The answer is in declared order, then by k, and empty after a failure. Raises `ValueError` for an activation
        that is not live, or a target that may not follow it; `StateConflict` or what a reducer raises if the state
        cannot be worked out. The schedule is then as it was before, so the activation can be reported as failed.
        """
        live = self._find(activation)
        number = live.number
        allowed = self._tables.targets[number]
        numbers: dict[int, None] = {}
        for target in targets:
            follower = allowed.get(target)
            if follower is None or follower in numbers:
                raise ValueError(self._no_target(activation, target, follower))
            numbers[follower] = None
        state = live.state if live.state is not None else self._meet(live)
        if writes:
            state = self._keys.write(state, writes, number, activation.k)
        del self._live[activation.node, activation.k]
        arrival = (number, activation.k, activation, state)
        begun: list[Live] = []
        if numbers and not self._failed:
            self._reach(numbers, arrival, activation.turn, begun)
        else:
            self._ends.append(arrival)
        self._over(number, begun)
        return self._sorted(begun)

    def failed(self, activation: Activation) -> list[Activation]:
        """Note that an activation failed: nothing starts any more. What is live may still report.

        Raises `ValueError` for an activation that is not live.
        """
        live = self._find(activation)
        del self._live[activation.node, activation.k]
        self._running[live.number] -= 1
        self._failed = True
        return []

    def interrupted(self, activation: Activation) -> list[Activation]:
        """Note that an activation waits for an answer. It stays live until it is reported as succeeded or failed.

        It may be interrupted again. Raises `ValueError` for an activation that is not live.
        """
        self._find(activation).interrupted = True
        return []

    def view(self, activation: Activation) -> Mapping[str, Any]:
        """Return the state that a live activation sees.

        Raises `StateConflict` if the branches that it joins conflict, whatever a reducer raises, and `ValueError` for
        an activation that is not live.
        """
        live = self._find(activation)
        return View(self._keys, live.state if live.state is not None else self._meet(live))

    @property
    def running(self) -> tuple[Activation, ...]:
        """The activations that were started and have not reported, in declared order, then by k."""
        return tuple(self._sorted([live for live in self._live.values() if not live.interrupted]))

    @property
    def open_interrupts(self) -> tuple[Activation, ...]:
        """The activations that wait for an answer, in declared order, then by k."""
        return tuple(self._sorted([live for live in self._live.values() if live.interrupted]))

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
        tips = [*self._ends, *(arrival for arrivals in self._arrivals.values() for arrival in arrivals)]
        for live in self._live.values():
            state = live.state if live.state is not None else self._meet(live)
            tips.append((live.number, live.activation.k, live.activation, state))
        # An activation may have reached several joins that wait.
        tips = sorted({(number, k): (number, k, None, state) for number, k, _, state in tips}.values(), key=_rank)
        states = [state for _, _, _, state in tips]
        return dict(View(self._keys, self._keys.meet(states or [State()], "the end of the run", self._name_of)))

    def _find(self, activation: Activation) -> Live:
        live = self._live.get((activation.node, activation.k))
        if live is None:
            raise ValueError(
                f"activation {activation.id} is not live: it has not started in this run, or has been reported "
                f"as over already (live: {', '.join(sorted(live.activation.id for live in self._live.values()))})"
            )
        return live

    def _no_target(self, activation: Activation, target: str, follower: int | None) -> str:
        if follower is not None:
            return f"activation {activation.id} leads to {target} twice"
        known = ", ".join(self._tables.targets[self.plan.index[activation.node]]) or "nothing"
        return f"activation {activation.id} leads to {target}, which may not follow it (only {known} may)"

    def _name_of(self, number: int, k: int) -> str:
        return "START" if number == START else f"{self.plan.nodes[number].name}#{k}"

    def _meet(self, live: Live) -> State:
        live.state = self._keys.meet(live.meeting, live.activation.id, self._name_of)
        live.meeting = ()
        return live.state

    def _sorted(self, begun: list[Live]) -> list[Activation]:
        if len(begun) > 1:
            begun.sort(key=_live_rank)
        return [live.activation for live in begun]

    def _reach(self, targets: Iterable[int], arrival: Arrival, turn: int, begun: list[Live]) -> None:
        """Start the targets that are no joins, and note the arrival at those that are."""
        tables = self._tables
        source, k, parent, state = arrival
        parents = () if parent is None else (parent,)
        for target in targets:
            if not tables.is_join[target]:
                ranks = tables.arrival_rank.get(target)
                own = len(ranks) * (k - 1) + ranks[source] + 1 if ranks else k
                self._begin(target, own, turn, parents, state, (), begun)
                continue
            arrivals = self._arrivals.get(target)
            if arrivals is not None:
                arrivals.append(arrival)
                continue
            self._arrivals[target] = [arrival]
            gate = tables.gates.get(target)
            if gate is not None:
                # A gate whose other heads wait is watching already.
                if not self._waiting[gate.home] & gate.own:
                    self._unchecked.append(gate)
                self._waiting[gate.home] |= tables.bits[target]

    def _begin(
        self,
        number: int,
        k: int,
        turn: int,
        parents: tuple[Activation, ...],
        state: State | None,
        meeting: Sequence[State],
        begun: list[Live],
    ) -> None:
        tables = self._tables
        activation = Activation(tables.names[number], k, parents, turn)
        live = self._live[activation.node, k] = Live(activation, number, state, meeting)
        begun.append(live)
        self._running[number] += 1
        bit = tables.bits.get(number)
        if bit:
            self._busy[tables.home[number]] |= bit

    def _begin_join(self, number: int, begun: list[Live]) -> None:
        arrivals = self._arrivals.pop(number)
        # In declared order, not in that of arrival: k is unique beside a number, so nothing further is compared.
        arrivals.sort()
        k = self._counts[number] = self._counts.get(number, 0) + 1
        parents = tuple([parent for _, _, parent, _ in arrivals if parent is not None])
        state = arrivals[0][3]
        if all(other is state for _, _, _, other in arrivals):
            self._begin(number, k, k, parents, state, (), begun)
        else:
            self._begin(number, k, k, parents, None, [other for _, _, _, other in arrivals], begun)

    def _over(self, number: int, begun: list[Live]) -> None:
        """Take an activation of a node off what is live, once all that it leads to has been noted."""
        self._running[number] -= 1
        if self._failed:
            return
        idle = not self._running[number]
        bit = self._tables.bits.get(number)
        if not bit:
            if idle and not self._open_edges[number]:
                self._settle(number, begun)
            return
        home = self._tables.home[number]
        checks, self._unchecked = self._unchecked, []
        if idle:
            self._busy[home] &= ~bit
            checks += self._watchers.pop(number, ())
        for gate in checks:
            self._check(gate, begun)
        if not (self._busy[home] or self._waiting[home] or self._open_edges[home]):
            self._settle(home, begun)

    def _check(self, gate: Gate, begun: list[Live]) -> None:
        """Start the joins behind a gate that wait, unless something holds it shut: then watch that."""
        home = gate.home
        waiting = self._waiting[home]
        if gate.outermost and self._open_edges[home]:
            return  # looked at again when the last way from outside is settled
        blockers = (self._busy[home] & gate.running) | (waiting & gate.waiting)
        if blockers:
            watched = self._tables.members[home][(blockers & -blockers).bit_length() - 1]
            self._watchers.setdefault(watched, []).append(gate)
            return
        self._waiting[home] = waiting & ~gate.own
        for number in gate.members:
            if number in self._arrivals:
                self._begin_join(number, begun)

    def _settle(self, unit: int, begun: list[Live]) -> None:
        """Count down the edges that leave a unit in which nothing can become live any more, and so on."""
        tables = self._tables
        open_edges = self._open_edges
        pending = [unit]
        while pending:
            for target in tables.leaving.get(pending.pop(), ()):
                open_edges[target] -= 1
                if open_edges[target]:
                    continue
                if target not in tables.members:
                    if target in self._arrivals:
                        self._begin_join(target, begun)
                    elif not self._running[target]:
                        pending.append(target)
                elif self._waiting[target]:
                    self._check(tables.entrances[target], begun)
                elif not self._busy[target]:
                    pending.append(target)


def _rank(arrival: Arrival) -> tuple[int, int]:
    return arrival[:2]


def _live_rank(live: Live) -> tuple[int, int]:
    return live.number, live.activation.k
