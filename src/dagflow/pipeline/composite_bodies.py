"""What composites do: run their branches, items or iterations as nested runs, and join what these return."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, cast

import attrs

from dagflow.core.structure import nearest
from dagflow.errors import NodeError, StateConflict, describe
from dagflow.kernel.parts import run_parts
from dagflow.pipeline.nesting import Branch
from dagflow.pipeline.predicates import Predicate
from dagflow.pipeline.raising import told_by
from dagflow.pipeline.steps import Outcome, StepCall

__all__ = ["ChooseBranch", "MapItems", "Reducer", "RepeatBranch", "RunBranches"]

Reducer = Callable[[list[Any]], Any]
"""Makes one value of those that several branches or items returned under one name, in declared order."""


@attrs.frozen(eq=False)
class RunBranches:
    """Run branches at once, and join what they return."""

    branches: tuple[Branch, ...]
    reducers: Mapping[str, Reducer]

    async def __call__(self, call: StepCall) -> Outcome:
        """Run what is not recorded yet; raises `StateConflict` for a parameter that two branches return."""
        run, limit = partial(self._branch, call), len(self.branches)
        results = await run_parts(call.activation.node, run, self.branches, limit=limit)
        writers: dict[str, list[tuple[str, Any]]] = {}
        for branch, result in zip(self.branches, results, strict=True):
            for name, value in result.items():
                writers.setdefault(name, []).append((branch.name, value))
        return Outcome(writes={name: self._joined(call, name, found) for name, found in writers.items()})

    async def _branch(self, call: StepCall, branch: Branch) -> dict[str, Any]:
        return await branch.run(call, branch.name, {"branch": branch.name})

    def _joined(self, call: StepCall, name: str, found: Sequence[tuple[str, Any]]) -> Any:
        reducer = self.reducers.get(name)
        if reducer is not None:
            return _reduced(call, reducer, name, [value for _, value in found])
        if len(found) > 1:
            raise StateConflict(name, [branch for branch, _ in found], at=call.activation.id)
        return found[0][1]


@attrs.frozen(eq=False, kw_only=True)
class MapItems:
    """Run a branch for each item of a list, many at once, and collect what they return in the order of the items."""

    over: str
    item: str
    index: str | None
    branch: Branch
    reducers: Mapping[str, Reducer]
    limit: int

    async def __call__(self, call: StepCall) -> Outcome:
        """Run what is not recorded yet; an item that does not return a parameter that others do has `None` for it."""
        items = self._items(call)
        found: dict[str, list[Any]] = {name: [None] * len(items) for name in self.branch.compiled.gives}
        await run_parts(call.activation.node, partial(self._item, call, found), enumerate(items), limit=self.limit)
        writes: dict[str, Any] = {}
        for name, values in found.items():
            reducer = self.reducers.get(name)
            writes[name] = values if reducer is None else _reduced(call, reducer, name, values)
        return Outcome(writes=writes)

    def _items(self, call: StepCall) -> Sequence[Any]:
        step = call.activation.node
        if self.over not in call.scope:
            near = nearest(self.over, list(call.scope))
            raise NodeError(f"map {step} is over {self.over!r}, and there is no such parameter{near}", node=step)
        items = call.scope[self.over]
        if isinstance(items, (list, tuple)):
            return items
        raise NodeError(f"map {step} is over {self.over!r}, which is a {type(items).__name__} and no list", node=step)

    async def _item(self, call: StepCall, found: dict[str, list[Any]], numbered: tuple[int, Any]) -> None:
        index, item = numbered
        own = {self.item: item} if self.index is None else {self.item: item, self.index: index}
        count = len(call.scope[self.over])
        returned = await self.branch.run(call, f"[{index}]", {"item": index}, own=own, siblings=count)
        for name, value in returned.items():
            found[name][index] = value


@attrs.frozen(eq=False, kw_only=True)
class ChooseBranch:
    """Run one of several branches, by the value of a parameter or of a function of the parameters."""

    value: Predicate
    branches: tuple[tuple[Any, Branch], ...]
    default: Branch | None

    async def __call__(self, call: StepCall) -> Outcome:
        """Run the branch; raises `NodeError` for a value that none is for, where there is no default."""
        value = self.value.evaluate(call, call.scope)
        branch = next((branch for key, branch in self.branches if _is_same(key, value)), self.default)
        if branch is None:
            step = call.activation.node
            known = ", ".join(repr(key) for key, _ in self.branches)
            raise NodeError(
                f"{self.value.described} of conditional {step} is {_short(value)}, and there are branches for {known}; "
                f"add one, or a default",
                node=step,
            )
        return Outcome(writes=await branch.run(call, branch.name, {"branch": branch.name}))


@attrs.frozen(eq=False, kw_only=True)
class RepeatBranch:
    """Run a branch again and again, each time on what the last one left, until it is told to stop."""

    until: Predicate
    branch: Branch
    max_iterations: int
    index: str | None
    fails_at_limit: bool

    async def __call__(self, call: StepCall) -> Outcome:
        """Run the iterations that are not recorded yet; raises `NodeError` after the last that there may be."""
        carried: dict[str, Any] = {}
        for index in range(self.max_iterations):
            own = carried if self.index is None else {**carried, self.index: index}
            carried |= await self.branch.run(call, f"[{index}]", {"iteration": index}, own=own)
            scope = ChainMap(carried, cast("dict[str, Any]", call.scope))
            if self._is_over(call, self.until.evaluate(call, scope)):
                return Outcome(writes=carried)
        if not self.fails_at_limit:
            return Outcome(writes=carried)
        step = call.activation.node
        raise NodeError(
            f"loop {step} ran max_iterations={self.max_iterations} times, and {self.until.described} is still false; "
            f"raise max_iterations, or take what there is with on_limit='continue'",
            node=step,
        )

    def _is_over(self, call: StepCall, value: Any) -> bool:
        if isinstance(value, bool):
            return value
        step = call.activation.node
        raise NodeError(f"{self.until.described} of loop {step} is {_short(value)}, and no true or false", node=step)


def _reduced(call: StepCall, reducer: Reducer, name: str, values: list[Any]) -> Any:
    try:
        value = reducer(values)
    except Exception as error:
        told = told_by(call, error)
        step = call.activation.node
        count = f"{len(values)} {'value' if len(values) == 1 else 'values'}"
        raise NodeError(
            f"the reducer of {step} for {name!r} failed over {count}: {describe(told)}", node=step
        ) from told
    return call.front.shared.masking.value(value)


def _is_same(key: Any, value: Any) -> bool:
    """Whether a value is a branch's: `True` and `1` are not the same."""
    return bool(key == value) and isinstance(key, bool) == isinstance(value, bool)


def _short(value: Any) -> str:
    if value is None or isinstance(value, (str, int, float, bool)):
        text = repr(value)
        return text if len(text) <= 60 else f"{text[:57]}..."
    return f"a {type(value).__name__}"
