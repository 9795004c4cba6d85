"""The resolver: calls the dependencies of a plan, once each in a run, level by level or eagerly.

**Theory of operation.** A `DependencyPlan` says what reads what. `schedule="levels"` makes all calls of one
topological level in one task group before the next level begins; a level of one call is awaited where it is.
`schedule="eager"` uses one task group and makes each call when its own inputs are there. Either way the first
failure cancels the task group, its exit waits for the clean-up of the siblings, nothing later starts, and
everything that had failed by then is in the `DepError`.

What a call gave stays in the resolver's memory until the run ends. A call that another part of the run is
making already is waited for (`Flight`). Who makes a call decides who can cancel it: a resolution that cannot
be cancelled without its run (`exclusive`) makes its calls in its own task groups, which is the cheap way; one
that can, because its node has a timeout or a body asked for it, has them made in the run's group, where they
live on while anybody else waits.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import nullcontext
from contextvars import Context, copy_context
from functools import partial
from typing import Any, Literal

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup
from anyio.to_thread import run_sync

from dagflow.core.dependencies import Call, DependencyPlan
from dagflow.core.hints import show
from dagflow.core.topology import reachable
from dagflow.errors import DepError, Failure, describe, name_of
from dagflow.events import (
    DependencyCancelled,
    DependencyFailed,
    DependencyStarted,
    DependencySucceeded,
)
from dagflow.kernel.cancellation import is_cancellation
from dagflow.kernel.context import ActivationContext, enter_activation
from dagflow.kernel.flight import Flight
from dagflow.kernel.interruption import Interruption, interrupts_of
from dagflow.kernel.isolation import resume, run_isolated
from dagflow.kernel.limits import Limit, Permit
from dagflow.kernel.recorded import RecordedDependencies
from dagflow.kernel.resources import Resources
from dagflow.kernel.retry import with_retries
from dagflow.kernel.workers import Workers
from dagflow.types import Interrupt

__all__ = ["MakeNode", "Resolver", "Schedule"]

Schedule = Literal["levels", "eager"]
Fn = Callable[..., Any]
MakeNode = Callable[[type[Any], dict[str, Any]], Awaitable[Any]]
"""Makes a node that is itself a dependency, from the values of its dependency fields."""


class Resolver:
    """The dependencies of one run: each is called once, and its value kept until the run ends.

    `overrides` are values that stand for their callables. `group` is the run's task group, for calls that
    must outlive the one who asked first; `resources` holds what must stay open. `limit` bounds the calls that
    work at once; those in worker threads also wait for a token of anyio's default thread limiter. `recorded` is
    for a run that is recorded in a store: what it has is not called again, and what can be written is recorded.
    """

    def __init__(
        self,
        *,
        make_node: MakeNode,
        schedule: Schedule = "levels",
        overrides: Mapping[Fn, Any] | None = None,
        group: TaskGroup | None = None,
        resources: Resources | None = None,
        limit: Limit | None = None,
        recorded: RecordedDependencies | None = None,
    ) -> None:
        self.schedule: Schedule = schedule
        self.make_node = make_node
        self.memory: dict[Fn, Any] = dict(overrides or {})
        self.flights: dict[Fn, Flight | None] = {}
        self.group = group
        self.resources = resources
        self.limit = limit
        self.recorded = recorded
        self.ids: dict[Fn, str] = {}
        self.awaited: dict[Fn, set[Fn]] = {}
        """What each call that asks for others from its own body waits for: a cycle in it would never end."""

    async def resolve(
        self,
        plan: DependencyPlan,
        *,
        node: str = "",
        asker: ActivationContext | None = None,
        exclusive: bool = True,
    ) -> dict[str, Any]:
        """Give the value of every field of `plan`, in the plan's order.

        `asker` is the activation that the calls are recorded for; the permit that it works under is lent
        while it waits. `exclusive` says that it can be cancelled by nothing less than the end of the run.

        Raises `DepError` with everything that failed. Cancelled, it cancels the calls that nobody else waits
        for, and goes when they have finished their clean-up.
        """
        memory = self.memory
        if self.recorded is not None:
            self.recorded.restore(plan.calls, memory)
        levels = plan.needed(memory) if memory else plan.levels
        if not levels:
            return {name: memory[fn] for name, fn in plan.fields}
        lent = asker.permit.lent() if asker is not None and asker.permit is not None else nullcontext()
        async with lent:
            resolution = _Resolution(self, node, asker, exclusive=exclusive)
            if self.schedule == "eager":
                await resolution.run_eagerly(plan, levels)
            else:
                await resolution.run_levels(levels)
        return {name: memory[fn] for name, fn in plan.fields}


class _Resolution:
    """One walk through a plan, on behalf of one node."""

    def __init__(self, resolver: Resolver, node: str, asker: ActivationContext | None, *, exclusive: bool) -> None:
        self._resolver = resolver
        self._node = node
        self._asker = asker
        self._exclusive = exclusive
        self._memory = resolver.memory
        # Nobody records the calls, bounds them or can ask for one that is under way.
        self._alone = asker is None and resolver.group is None
        self._failures: list[Failure] = []
        self._asked: dict[str, Interrupt] = {}
        self._fatal: BaseException | None = None
        self._stopped = False
        self._scope: anyio.CancelScope | None = None

    async def run_levels(self, levels: tuple[tuple[Call, ...], ...]) -> None:
        for level in levels:
            if len(level) == 1:
                await self._obtain_guarded(level[0])
            else:
                await self._run_level(level)
            if self._stopped or self._asked:
                self._raise_failures()

    async def _run_level(self, level: tuple[Call, ...]) -> None:
        async with anyio.create_task_group() as group:
            self._scope = group.cancel_scope
            workers = Workers(group, self._obtain_guarded)
            workers.add(level)
            await workers.drain()
        await self._look_for_losses(level)

    async def _look_for_losses(self, calls: Iterable[Call]) -> None:
        """Make sure that every call has given its value, or that it is told why not.

        A cancelled child leaves its task group without a word. If it was cancelled along with this task, which
        waited for a thread say and has not noticed yet, then the checkpoint raises; if not, somebody reached into
        the run and cancelled a single task of it.
        """
        if self._stopped or self._asked:
            return
        lost = [call for call in calls if call.fn not in self._memory]
        if not lost:
            return
        await anyio.lowlevel.checkpoint()
        for call in lost:
            error = RuntimeError("it was cancelled from outside, by somebody other than its run")
            self._failures.append(Failure(error, self._node, call.place, call.fn))
        self._stopped = True

    async def run_eagerly(self, plan: DependencyPlan, levels: tuple[tuple[Call, ...], ...]) -> None:
        wanted = {call.fn for level in levels for call in level}
        missing = {call.fn: len({fn for _, fn in call.arguments if fn in wanted}) for level in levels for call in level}

        async def obtain(call: Call) -> None:
            await self._obtain_guarded(call)
            if self._stopped or call.fn not in self._memory:
                return
            for fn in plan.dependents[call.fn]:
                if fn in wanted:
                    missing[fn] -= 1
                    if not missing[fn]:
                        workers.add((plan.calls[fn],))

        async with anyio.create_task_group() as group:
            self._scope = group.cancel_scope
            workers = Workers(group, obtain)
            workers.add([plan.calls[fn] for fn, count in missing.items() if not count])
            await workers.drain()
        await self._look_for_losses([plan.calls[fn] for fn in wanted])
        self._raise_failures()

    def _raise_failures(self) -> None:
        if self._fatal is not None:
            raise self._fatal
        if self._failures:
            raise DepError(self._failures, node=self._node) from self._failures[0].exception
        if self._asked:
            raise Interruption(self._asked.values())

    async def _obtain_guarded(self, call: Call) -> None:
        """Obtain a value; a failure is noted and stops the siblings, and only cancellation is raised."""
        if self._stopped:
            return
        try:
            if self._alone and call.plain:
                # Written out, because the layers below would cost several times as much as a small call.
                memory, context = self._memory, copy_context()
                coroutine = context.run(call.fn, **{name: memory[fn] for name, fn in call.arguments})
                try:
                    suspended = context.run(coroutine.send, None)
                except StopIteration as stop:
                    value = stop.value
                else:
                    value = await resume(context, coroutine, suspended)
                if call.fits is not None and not call.fits(value):
                    raise _misfit(call, value)
                memory[call.fn] = value
            else:
                await self._obtain(call)
        except BaseException as error:
            if is_cancellation(error):
                raise
            asked = interrupts_of(error)
            if asked:
                # The siblings finish, and are recorded; what comes later waits for the answers.
                self._asked.update((interrupt.id, interrupt) for interrupt in asked)
                return
            if isinstance(error, (Exception, anyio.get_cancelled_exc_class())):
                self._failures.append(Failure(error, self._node, call.place, call.fn))
            elif self._fatal is None:
                self._fatal = error
            self._stopped = True
            if self._scope is not None:
                self._scope.cancel()

    async def _obtain(self, call: Call) -> None:
        """Put the value into the resolver's memory: by calling, or by waiting for who is calling already."""
        resolver, fn = self._resolver, call.fn
        flights = resolver.flights
        while fn not in resolver.memory:
            if fn in flights:
                flight = flights[fn]
                if flight is None:
                    flight = flights[fn] = Flight(detached=False)
            elif self._exclusive or resolver.group is None:
                await self._call_here(call)
                return
            else:
                flight = flights[fn] = Flight(detached=True)
                resolver.group.start_soon(flight.run, partial(self._call, call), partial(flights.pop, fn, None))
            await self._wait(flight, fn)
            if flight.error is not None:
                raise flight.error

    async def _wait(self, flight: Flight, fn: Fn) -> None:
        """Wait for a flight, unless it waits itself for the call that asks."""
        asking = self._asker.dependency if self._asker is not None else None
        if asking is None:
            await flight.wait()
            return
        awaited = self._resolver.awaited
        if asking in reachable(awaited, [fn]):
            first, second = name_of(asking), name_of(fn)
            raise RecursionError(f"{first} asks for {second}, which waits for {first} itself")
        waits = awaited.setdefault(asking, set())
        waits.add(fn)
        try:
            await flight.wait()
        finally:
            waits.discard(fn)

    async def _call_here(self, call: Call) -> None:
        """Make the call in this task. The flight stays `None` until somebody else waits for it."""
        flights, fn = self._resolver.flights, call.fn
        flights[fn] = None
        failure: BaseException | None = None
        cancelled = False
        try:
            await self._call(call)
        except BaseException as error:
            cancelled = is_cancellation(error)
            failure = None if cancelled else error
            raise
        finally:
            flight = flights.pop(fn)
            if flight is not None:
                flight.land(failure, cancelled=cancelled)

    async def _call(self, call: Call) -> None:
        if self._asker is None:
            value = await self._attempts(call, copy_context())
        else:
            value = await self._recorded(call, self._asker)
        if call.fits is not None and not call.fits(value):
            raise _misfit(call, value)
        self._resolver.memory[call.fn] = value

    async def _recorded(self, call: Call, asker: ActivationContext) -> Any:
        """Make the call under the run's limit, and record how it went."""
        resolver, journal, run = self._resolver, asker.run.journal, asker.run.id
        identity = resolver.ids[call.fn] = f"d{len(resolver.ids) + 1}"
        fields: dict[str, Any] = {"dependency": identity, "name": call.name, "activation": asker.activation}
        needs = tuple(resolver.ids[fn] for _, fn in call.arguments if fn in resolver.ids)
        began = journal.record(DependencyStarted, run, needs=needs, **fields)
        context = copy_context()
        try:
            if resolver.limit is None or call.mode == "node":  # what fills a node takes its own permit
                context.run(enter_activation, asker.calling(call.fn, None))
                value = await self._attempts(call, context)
            else:
                async with Permit(resolver.limit) as permit:
                    context.run(enter_activation, asker.calling(call.fn, permit))
                    value = await self._attempts(call, context)
        except BaseException as error:
            if is_cancellation(error) or interrupts_of(error):
                journal.record(DependencyCancelled, run, since=began, **fields)
            else:
                journal.record(DependencyFailed, run, since=began, error=describe(error), **fields)
            raise
        if resolver.recorded is not None:
            fields.update(resolver.recorded.fields_of(call, value))
        journal.record(DependencySucceeded, run, since=began, **fields)
        if journal.congested:
            await journal.settle()
        return value

    async def _attempts(self, call: Call, context: Context) -> Any:
        if call.timeout is None and call.retry is None:
            return await self._invoke(call, context)
        return await with_retries(call.retry, partial(self._attempt, call, context))

    async def _attempt(self, call: Call, context: Context) -> Any:
        timeout = call.timeout
        if timeout is None:
            return await self._invoke(call, context.copy())
        with anyio.CancelScope(deadline=anyio.current_time() + timeout) as scope:
            value = await self._invoke(call, context.copy())
            if not scope.cancel_called:  # it is where the call swallowed its cancellation
                return value
        raise TimeoutError(f"no value within its timeout of {timeout:g} s")

    async def _invoke(self, call: Call, context: Context) -> Any:
        resolver, fn = self._resolver, call.fn
        memory = resolver.memory
        arguments = {name: memory[source] for name, source in call.arguments}
        positional = [arguments.pop(name) for name, _ in call.arguments[: call.positional]]
        mode = call.mode
        if mode == "await":
            return await run_isolated(context, fn, *positional, **arguments)
        if mode == "inline":
            return context.run(fn, *positional, **arguments)
        if mode == "process":
            from dagflow.kernel.offload import in_process  # few need what it imports

            return await in_process(fn, *positional, **arguments)
        if mode == "thread":
            work = partial(context.run, fn, *positional, **arguments)
            return await run_sync(work)
        if mode == "node":
            return await run_isolated(context, resolver.make_node, fn, arguments)
        assert resolver.resources is not None
        source = Failure(RuntimeError(), self._node, call.place, fn)
        return await run_isolated(context, resolver.resources.enter, partial(fn, *positional, **arguments), source)


def _misfit(call: Call, value: object) -> TypeError:
    hint = ""
    if hasattr(value, "__await__"):
        hint = "; was an `await` forgotten?"
        close = getattr(value, "close", None)
        if close is not None:
            close()  # a coroutine that nobody will await would warn of it later
    return TypeError(f"it returned {value!r}, a {type(value).__name__}, not {show(call.returns)}{hint}")
