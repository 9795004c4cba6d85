"""A pipeline that is ready to run: its program, and what is known of its steps before they run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import attrs

from dagflow.kernel.engine import Program
from dagflow.pipeline.flow import Flow
from dagflow.pipeline.steps import CompiledStep, Read

if TYPE_CHECKING:
    from dagflow.core.codec import Codec, Serializer

__all__ = ["CompiledPipeline"]


@attrs.frozen(eq=False, slots=False, kw_only=True)
class CompiledPipeline:
    """The result of compiling; shared by any number of runs, nested and not.

    `gives` are the parameters that it hands out where it is a branch. `stand_ins` are the pipelines in `on_failure`.
    """

    name: str
    program: Program
    steps: Mapping[str, CompiledStep]
    stand_ins: tuple[CompiledPipeline, ...]
    flow: Flow
    gives: tuple[str, ...]
    max_concurrency: int | None
    registered: tuple[type | Serializer, ...]

    @property
    def reads(self) -> tuple[Read, ...]:
        """The parameters that it needs from outside, or may read there."""
        return self.flow.reads

    @property
    def surely(self) -> frozenset[str]:
        """The parameters that it hands out whenever it succeeds."""
        return self.flow.surely & set(self.gives)

    @cached_property
    def reads_all(self) -> bool:
        """Whether a step takes whatever parameters there are."""
        return any(part.reads_all for part in self._parts)

    @cached_property
    def metrics(self) -> frozenset[str]:
        """The parameters that are metrics."""
        return frozenset[str]().union(*(part.metrics for part in self._parts))

    @cached_property
    def objects(self) -> frozenset[str]:
        """The parameters that are passed by reference."""
        return frozenset[str]().union(*(part.objects for part in self._parts))

    @cached_property
    def secrets(self) -> tuple[str, ...]:
        """The names of the secrets that its tasks are given."""
        return tuple(dict.fromkeys(name for part in self._parts for name in part.secrets))

    @cached_property
    def types(self) -> tuple[Any, ...]:
        """Hints that name the classes of its values."""
        return tuple(hint for part in self._parts for hint in part.types)

    @cached_property
    def functions(self) -> tuple[tuple[str, Callable[..., Any]], ...]:
        """What an executor may have to take elsewhere, by task."""
        return tuple(function for part in self._parts for function in part.functions)

    @cached_property
    def keeps_files(self) -> bool:
        """Whether a task has files for a catalog."""
        return any(part.keeps_files for part in self._parts)

    @cached_property
    def outlines(self) -> Mapping[str, Mapping[str, str]]:
        """The outlines of its plan and of those of all pipelines inside of it, by fingerprint."""
        found = {self.program.plan.fingerprint: self.program.plan.outline}
        for part in self._inner:
            found |= part.outlines
        return found

    @property
    def _inner(self) -> tuple[CompiledPipeline, ...]:
        return (*(one for step in self.steps.values() for one in step.inner), *self.stand_ins)

    @property
    def _parts(self) -> tuple[CompiledStep | CompiledPipeline, ...]:
        return (*self.steps.values(), *self._inner)

    @cached_property
    def codec(self) -> Codec:
        """Writes the values of parameters, whatever their declared types: it knows the classes that those name."""
        from dagflow.core.codec import Codec  # a run of plain JSON without a store never needs it

        classes = _classes(self.types, self.registered)
        try:
            return Codec((*self.registered, *classes))
        except ValueError:  # one of them cannot be written, which is told when there is a value of it
            sound = [cls for cls in classes if _is_writable(cls, self.registered)]
            return Codec((*self.registered, *sound))


def _classes(hints: Iterable[Any], registered: Iterable[type | Serializer]) -> list[type]:
    """The classes that hints name, without those that are known otherwise, and without any two of one name."""
    from dagflow.core.codec import Serializer
    from dagflow.core.codec.compiled import Compiled
    from dagflow.core.codec.scope import BUILT_IN, RESERVED
    from dagflow.core.codec.survey import reachable

    serializers = {one.cls: one for one in registered if isinstance(one, Serializer)}
    known = {one.cls if isinstance(one, Serializer) else one for one in registered}
    names = {one.name if isinstance(one, Serializer) else one.__qualname__ for one in registered}
    compiled = Compiled(serializers)
    found = dict.fromkeys(cls for hint in hints for cls in sorted(reachable(hint, compiled), key=_name))
    classes = [cls for cls in found if cls not in known and _name(cls) not in {*names, *BUILT_IN, *RESERVED}]
    counts = Counter(map(_name, classes))
    return [cls for cls in classes if counts[_name(cls)] == 1 and cls.__module__ != "builtins"]


def _name(cls: type) -> str:
    return cls.__qualname__


def _is_writable(cls: type, registered: tuple[type | Serializer, ...]) -> bool:
    from dagflow.core.codec import Codec

    try:
        Codec((*registered, cls))
    except ValueError:
        return False
    return True
