"""The composites of a pipeline, as values: steps that hold pipelines, to run at once, by choice, or repeatedly."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import attrs

from dagflow.errors import GraphError
from dagflow.pipeline.compiling import described, name_faults, nested_signature
from dagflow.pipeline.composite_bodies import ChooseBranch, MapItems, Reducer, RepeatBranch, RunBranches
from dagflow.pipeline.flow import note_read
from dagflow.pipeline.nesting import Branch
from dagflow.pipeline.pipeline import Pipeline, as_pipeline
from dagflow.pipeline.predicates import Predicate
from dagflow.pipeline.steps import Body, CompileContext, CompiledStep, Read, Step

__all__ = ["Conditional", "Loop", "Map", "Parallel"]

Held = Pipeline | Step
"""What a composite holds: a pipeline, or one step, which is a pipeline of its own then."""


@attrs.frozen
class Parallel(Step):
    """Branches that run at once, each in a scope of its own.

    What they return is joined when all are done. A parameter that two of them return needs one of the `reducers`, which
    is given the values in the order of the branches; without one it is a conflict.
    """

    branches: Mapping[str, Held]
    reducers: Mapping[str, Reducer] = attrs.field(factory=dict, kw_only=True)

    def compile(self, context: CompileContext) -> CompiledStep:
        """Check the branches, and that what they are sure to return can be joined."""
        faults = _Faults(self.name)
        faults.branches(self.branches)
        branches = [branch for name, held in self.branches.items() if (branch := faults.branch(name, held, context))]
        sure: dict[str, list[str]] = {}
        for branch in branches:
            for name in branch.compiled.gives:
                if name in branch.compiled.surely:
                    sure.setdefault(name, []).append(branch.name)
        for name, writers in sure.items():
            if len(writers) > 1 and name not in self.reducers:
                shown = " and ".join(f"branch {writer!r}" for writer in writers)
                faults.add(f"{shown} both return {name!r}; give it one of the `reducers`, or return another name")
        faults.reducers(self.reducers, branches)
        faults.raise_if_any()
        surely = frozenset[str]().union(*(branch.compiled.surely for branch in branches))
        return _composite(self, RunBranches(tuple(branches), dict(self.reducers)), branches, surely=surely)


@attrs.frozen
class Map(Step):
    """A branch that runs for each item of the list `over`, up to `max_concurrency` items at once.

    The branch sees the item as the parameter `as_`, and its place from 0 as `index_as`. What it returns is collected:
    each name becomes a list in the order of the items, or what the `reducer` makes of that list, one for all names
    or by name.
    """

    over: str
    branch: Held
    as_: str = attrs.field(default="item", kw_only=True)
    index_as: str | None = attrs.field(default=None, kw_only=True)
    reducer: Reducer | Mapping[str, Reducer] | None = attrs.field(default=None, kw_only=True)
    max_concurrency: int = attrs.field(default=8, kw_only=True)

    def compile(self, context: CompileContext) -> CompiledStep:
        """Check the branch, and the names."""
        faults = _Faults(self.name)
        faults.names(over=self.over, as_=self.as_, index_as=self.index_as)
        if self.max_concurrency < 1:
            faults.add(f"max_concurrency must be at least 1, not {self.max_concurrency}")
        branch = faults.branch("each", self.branch, context)
        branches = [branch] if branch is not None else []
        gives = branch.compiled.gives if branch is not None else ()
        given = self.reducer
        reducers = dict(given) if isinstance(given, Mapping) else dict.fromkeys(gives, given) if given else {}
        faults.reducers(reducers, branches)
        faults.raise_if_any()
        assert branch is not None
        body = MapItems(
            over=self.over,
            item=self.as_,
            index=self.index_as,
            branch=branch,
            reducers=reducers,
            limit=self.max_concurrency,
        )
        signature = (f"over {self.over}", f"as {self.as_}", *_index_line(self.index_as))
        own = _names(self.as_, self.index_as)
        reads = [Read(self.over)]
        return _composite(self, body, branches, reads=reads, own=own, surely=frozenset(gives), signature=signature)


@attrs.frozen
class Conditional(Step):
    """One of several branches, by a value: that of a `parameter`, or of a `predicate`, a function of parameters.

    The branch whose key equals the value runs, else the `default`. What it returns is joined.
    """

    branches: Mapping[Any, Held]
    parameter: str | None = attrs.field(default=None, kw_only=True)
    predicate: Callable[..., Any] | None = attrs.field(default=None, kw_only=True)
    default: Held | None = attrs.field(default=None, kw_only=True)

    def compile(self, context: CompileContext) -> CompiledStep:
        """Check the branches and what they are chosen by."""
        faults = _Faults(self.name)
        if (self.parameter is None) == (self.predicate is None):
            faults.add("is decided by a `parameter` or by a `predicate`; give it one of them")
        faults.branches(self.branches)
        chosen_by = self.predicate if self.parameter is None else self.parameter
        predicate = faults.predicate(chosen_by, context) if chosen_by is not None else None
        labels = [str(key) for key in self.branches]
        for label in dict.fromkeys(labels):
            if labels.count(label) > 1 or (label == "default" and self.default is not None):
                faults.add(f"two of its branches are called {label!r}; give their keys other texts")
        keys = [
            (key, branch)
            for key, held in self.branches.items()
            if (branch := faults.branch(str(key), held, context)) is not None
        ]
        default = faults.branch("default", self.default, context) if self.default is not None else None
        faults.raise_if_any()
        assert predicate is not None
        branches = [branch for _, branch in keys] + ([default] if default is not None else [])
        surely = frozenset.intersection(*(branch.compiled.surely for branch in branches))
        body = ChooseBranch(value=predicate, branches=tuple(keys), default=default)
        return _composite(
            self,
            body,
            branches,
            reads=predicate.reads,
            reads_all=predicate.reads_all,
            surely=surely,
            one_of=True,
        )


@attrs.frozen
class Loop(Step):
    """A branch that runs again and again, until a parameter is true, or a function of parameters gives true.

    Each iteration sees what the last one returned; `index_as` is its number, from 0. Where it is not over after
    `max_iterations`, it fails; with `on_limit="continue"` it goes on with what there is.
    """

    branch: Held
    until: str | Callable[..., bool] = attrs.field(kw_only=True)
    max_iterations: int = attrs.field(kw_only=True)
    index_as: str | None = attrs.field(default=None, kw_only=True)
    on_limit: Literal["fail", "continue"] = attrs.field(default="fail", kw_only=True)

    def compile(self, context: CompileContext) -> CompiledStep:
        """Check the branch and its end."""
        faults = _Faults(self.name)
        faults.names(index_as=self.index_as)
        if self.max_iterations < 1:
            faults.add(f"max_iterations must be at least 1, not {self.max_iterations}")
        if self.on_limit not in ("fail", "continue"):
            faults.add(f"on_limit must be 'fail' or 'continue', not {self.on_limit!r}")
        predicate = faults.predicate(self.until, context)
        branch = faults.branch("each", self.branch, context)
        faults.raise_if_any()
        assert branch is not None
        assert predicate is not None
        body = RepeatBranch(
            until=predicate,
            branch=branch,
            max_iterations=self.max_iterations,
            index=self.index_as,
            fails_at_limit=self.on_limit == "fail",
        )
        own = _names(self.index_as)
        surely = branch.compiled.surely
        reads = [read for read in predicate.reads if read.name not in surely]
        reads = [attrs.evolve(read, required=read.name not in branch.compiled.gives) for read in reads]
        return _composite(
            self,
            body,
            [branch],
            later=reads,
            reads_all=predicate.reads_all,
            own=own,
            surely=surely,
            signature=_index_line(self.index_as),
        )


@attrs.define(eq=False)
class _Faults:
    """Collects what is wrong with a composite, and compiles what it holds."""

    step: str
    found: list[str] = attrs.field(factory=list)

    def add(self, fault: str) -> None:
        self.found.append(fault)

    def raise_if_any(self) -> None:
        if self.found:
            raise GraphError(self.found, subject=self.step)

    def branches(self, branches: Any) -> None:
        if not isinstance(branches, Mapping):
            raise GraphError(
                [f"its branches are {described(branches)}; name each: {{name: branch}}"], subject=self.step
            )
        if not branches:
            self.add("has no branches; give it at least one")

    def branch(self, name: str, held: Any, context: CompileContext) -> Branch | None:
        self.found += name_faults(name, "a branch")
        try:
            return Branch(name, as_pipeline(held, name, context).compiled)
        except GraphError as error:
            self.found += [f"branch {name!r}: {fault}" for fault in error.faults]
        return None

    def predicate(self, what: Any, context: CompileContext) -> Predicate | None:
        try:
            return Predicate.of(what, context.namespace)
        except GraphError as error:
            self.found += error.faults
        return None

    def names(self, **names: str | None) -> None:
        for word, name in names.items():
            if name is not None and not name.isidentifier():
                self.add(f"{word}={name!r} is no name of a parameter; write letters, digits and underscores")

    def reducers(self, reducers: Mapping[str, Any], branches: Iterable[Branch]) -> None:
        known = {name for branch in branches for name in branch.compiled.gives}
        for name, reducer in reducers.items():
            if name not in known:
                self.add(
                    f"reduces {name!r}, which nothing in it returns; it returns {', '.join(sorted(known)) or 'nothing'}"
                )
            if not callable(reducer):
                self.add(f"the reducer for {name!r} is {reducer!r}, and cannot be called")


def _names(*names: str | None) -> frozenset[str]:
    return frozenset(name for name in names if name is not None)


def _index_line(index: str | None) -> tuple[str, ...]:
    return () if index is None else (f"index {index}",)


def _composite(
    step: Step,
    body: Body,
    branches: Iterable[Branch],
    *,
    surely: frozenset[str],
    reads: Iterable[Read] = (),
    later: Iterable[Read] = (),
    reads_all: bool = False,
    own: frozenset[str] = frozenset(),
    one_of: bool = False,
    signature: tuple[str, ...] = (),
) -> CompiledStep:
    """Put together what is known of a composite from what it holds.

    `reads` are its own, `later` those after the branches, and `own` the parameters that it gives the branches itself.
    With `one_of`, what only some of the branches need is not required.
    """
    branches = list(branches)
    found: dict[str, Read] = {}
    for read in reads:
        note_read(found, read, required=read.required)
    for read in _needed(branches, one_of=one_of):
        if read.name not in own:
            note_read(found, read, required=read.required)
    for read in later:
        note_read(found, read, required=read.required)
    inner = tuple(branch.compiled for branch in branches)
    return CompiledStep(
        name=step.name,
        kind=type(step).__name__.lower(),
        body=body,
        reads=tuple(found.values()),
        reads_all=reads_all,
        gives=tuple(dict.fromkeys(name for one in inner for name in one.gives)),
        surely=surely,
        signature=(*signature, *(line for branch in branches for line in nested_signature(branch))),
        inner=inner,
    )


def _needed(branches: list[Branch], *, one_of: bool) -> Iterable[Read]:
    for branch in branches:
        for read in branch.compiled.reads:
            by_all = all(
                any(other.name == read.name and other.required for other in one.compiled.reads) for one in branches
            )
            yield attrs.evolve(read, required=read.required and (by_all or not one_of))
