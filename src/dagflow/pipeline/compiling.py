"""Compiling the steps of a pipeline to a program, with everything that is wrong with them told at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import attrs

from dagflow.core.plan import SEPARATOR, Plan, PlanNode
from dagflow.errors import GraphError
from dagflow.kernel.engine import Program
from dagflow.pipeline.compiled import CompiledPipeline
from dagflow.pipeline.flow import Way, analyse, faults_of_ways
from dagflow.pipeline.nesting import Branch
from dagflow.pipeline.node import OnFailure, PipelineNode
from dagflow.pipeline.steps import CONTINUE, END, FAIL, CompileContext, CompiledStep, Step

if TYPE_CHECKING:
    from dagflow.core.codec import Serializer

__all__ = ["compile_steps", "described", "name_faults", "nested_signature"]

UNWANTED = "/#;"
"""Signs that stand between the parts of ids and signatures."""


def name_faults(name: Any, what: str) -> list[str]:
    """Say what is wrong with a name of a step or branch, which ids are made of."""
    if not isinstance(name, str) or not name.strip() or not name.isprintable() or set(name) & set(UNWANTED):
        signs = ", ".join(UNWANTED)
        return [f"{what} is named {name!r}; a name is printable text in one line, without {signs}"]
    return []


def nested_signature(branch: Branch) -> Iterator[str]:
    """What a run that goes on relies on in a branch, a line for each thing."""
    plan = branch.compiled.program.plan
    for node in plan.nodes:
        where = f"{branch.name}.{node.name}"
        yield f"{where} leads to {' or '.join(node.successors) or 'the end'}"
        yield from (f"{where} {line}" for line in node.signature.split(SEPARATOR))


def compile_steps(
    name: str,
    steps: tuple[Step, ...],
    context: CompileContext,
    *,
    max_concurrency: int | None,
    returns: tuple[str, ...] | None,
    types: tuple[type | Serializer, ...],
) -> CompiledPipeline:
    """Check the steps and what follows what, and make the program; raises `GraphError` with every fault."""
    compiling = Compiling(context)
    compiling.faults += _option_faults(steps, max_concurrency)
    compiling.add(steps)
    stand_ins = compiling.stand_ins
    _refuse(compiling.faults, name)
    flow = analyse(compiling.ways, compiling.steps, {step: one.flow for step, one in stand_ins.items()})
    gives = flow.gives if returns is None else returns
    _refuse([f"returns {one!r}, which none of its steps returns" for one in gives if one not in flow.gives], name)
    return CompiledPipeline(
        name=name,
        program=_program(name, compiling),
        steps=compiling.steps,
        stand_ins=tuple(stand_ins.values()),
        flow=flow,
        gives=gives,
        max_concurrency=max_concurrency,
        registered=types,
    )


def _refuse(faults: Sequence[str], name: str) -> None:
    if faults:
        raise GraphError(list(dict.fromkeys(faults)), subject=f"pipeline {name}")


@attrs.define(eq=False)
class Compiling:
    """Collects the compiled steps, what follows each of them, and everything that is wrong."""

    context: CompileContext
    faults: list[str] = attrs.field(factory=list)
    steps: dict[str, CompiledStep] = attrs.field(factory=dict)
    ways: list[Way] = attrs.field(factory=list)
    handlers: dict[str, OnFailure] = attrs.field(factory=dict)

    @property
    def stand_ins(self) -> dict[str, CompiledPipeline]:
        """The pipelines that take the place of failed steps."""
        branches = ((step, handler.instead) for step, handler in self.handlers.items())
        return {step: branch.compiled for step, branch in branches if branch is not None}

    def add(self, steps: Sequence[Any]) -> None:
        """Compile steps; without `next`, each is followed by the one after it."""
        self.faults += [
            f"{described(step)} is no step; give it tasks and composites"
            for step in steps
            if not isinstance(step, Step)
        ]
        sound = [step for step in steps if isinstance(step, Step)]
        for step, after in zip_longest(sound, sound[1:]):
            self.faults += name_faults(step.name, "a step")
            self.ways.append(self._way(step, _following(step, after)))
            try:
                self.steps[step.name] = step.compile(self.context)
            except GraphError as error:
                self.faults += [_placed(fault, step.name) for fault in error.faults]
        self.faults += faults_of_ways(self.ways) if self.ways else []

    def _way(self, step: Step, following: str | None) -> Way:
        """What follows a step, and what follows a failure of it."""
        targets = () if following is None else (following,)
        if step.on_failure == FAIL:
            return Way(step.name, following)
        if isinstance(step.on_failure, str) and step.on_failure != CONTINUE:
            self.handlers[step.name] = OnFailure((step.on_failure,))
            return Way(step.name, following, after_failure=step.on_failure)
        instead = None if step.on_failure == CONTINUE else self._stand_in(step)
        self.handlers[step.name] = OnFailure(targets, instead)
        return Way(step.name, following, goes_on=True)

    def _stand_in(self, step: Step) -> Branch | None:
        from dagflow.pipeline.pipeline import as_pipeline  # which imports this module

        try:
            return Branch("on failure", as_pipeline(step.on_failure, f"{step.name} on failure", self.context).compiled)
        except GraphError as error:
            self.faults += [f"step {step.name!r}, on_failure: {fault}" for fault in error.faults]
        return None


def _following(step: Step, after: Step | None) -> str | None:
    if step.next is not None:
        return None if step.next == END else step.next
    return after.name if after is not None else None


def _placed(fault: str, step: str) -> str:
    """Say which step a fault is of, where it does not begin with that: those of a function begin with its name."""
    return fault if fault.startswith((f"{step}: ", f"{step} ")) else f"step {step!r}: {fault}"


def _option_faults(steps: tuple[Step, ...], max_concurrency: int | None) -> Iterator[str]:
    if not steps:
        yield "it has no steps; give it at least one, Stub(name=...) if there is nothing to do yet"
    if max_concurrency is not None and max_concurrency < 1:
        yield f"max_concurrency must be at least 1, or None for no limit; not {max_concurrency}"


def _program(name: str, compiling: Compiling) -> Program:
    nodes = []
    bodies = {}
    for way in compiling.ways:
        step, handler = compiling.steps[way.name], compiling.handlers.get(way.name)
        lines = [f"is a {step.kind} step", *step.signature]
        if handler is not None and handler.instead is not None:
            lines += nested_signature(handler.instead)
        nodes.append(PlanNode(name=way.name, successors=way.followers, signature=SEPARATOR.join(lines)))
        targets = () if way.next is None else (way.next,)
        bodies[way.name] = PipelineNode(step, targets, handler).to_body()
    return Program(name, Plan.build(nodes, (compiling.ways[0].name,), name=name), bodies)


def described(thing: Any) -> str:
    """Say what somebody gave for a step or a pipeline."""
    return f"the class {thing.__name__}" if isinstance(thing, type) else f"a {type(thing).__name__}"
