"""Running functions on a cluster of Dask `distributed`, from asyncio and trio alike."""

from __future__ import annotations

import traceback
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, ClassVar, Final, Protocol
from uuid import uuid4

import anyio
import attrs
from anyio import from_thread
from anyio.lowlevel import current_token
from anyio.to_thread import run_sync

from dagflow.core.importable import is_async, refusal
from dagflow.core.structure import nearest
from dagflow.errors import DagflowError, describe, name_of
from dagflow.kernel.context import run_resource

try:
    import distributed
    from distributed import Client
except ImportError as _error:
    raise ImportError(f"the executor dask needs distributed: pip install 'dagflow[dask]' ({_error})") from _error

from dagflow.executors.dask_worker import call, cancelled

__all__ = ["DaskError", "DaskExecutor", "cancelled", "run_on_dask"]

_distributed: Any = distributed  # much of it has no types

CONNECTING: Final = 5.0
"""Seconds that a scheduler has to answer."""

CLOSING: Final = 5.0
"""Seconds until a client that does not close is left to itself."""

GATHERING: Final = 0.5
"""Seconds between two looks at whether a result that is being fetched is still wanted."""


OPTIONS: Final = ("allow_other_workers", "priority", "resources", "retries", "workers")
"""What a task may say of how it is scheduled, as `Client.submit` takes it."""


class DaskError(DagflowError):
    """Raised when a cluster cannot be reached, loses a function's worker, or cannot be given or give back its values.

    What the function itself raises is raised as it is.
    """


async def run_on_dask(
    client: Client | str,
    function: Callable[..., Any],
    arguments: Mapping[str, Any] | None = None,
    *,
    timeout: float | None = None,
    grace: float = 1.0,
    options: Mapping[str, Any] | None = None,
) -> Any:
    """Call a sync function with keyword `arguments` on a worker of a cluster, and give what it returns.

    `client` is a synchronous `distributed.Client`, or the address of a scheduler, for which a client is made and closed
    again. The function is sent by name: the workers must be able to import its module. Called twice, it runs twice.
    `options` are those of `Client.submit` that say where and when it runs: `workers`, `allow_other_workers`,
    `resources`, `priority`, `retries`.

    Raises what the function raises, with its traceback on the worker as a note. Raises `DaskError` when the function,
    its arguments or an option cannot be sent, the scheduler cannot be reached, or workers die while they run the
    function: Dask tries it again on another, as often as `distributed.scheduler.allowed-failures` says. `TimeoutError`
    after `timeout` seconds, which count from here and so include the time in the cluster's queue.

    Cancelled, or timed out, it gives the call up: what is still queued never runs, and a function that runs is told
    through `cancelled()`, and has `grace` seconds to end. One that does not ask runs on to its end, because no thread
    can be stopped; its result is thrown away.
    """
    name = name_of(function)
    if reason := refusal(function):
        raise DaskError(f"{name} cannot run on Dask: {reason}")
    submitted = _Submission(function, dict(arguments or {}), _checked(options or {}, name), grace)
    async with _opened(client) as opened:
        if timeout is None:
            return await _call(opened, submitted)
        with anyio.move_on_after(timeout) as scope:
            return await _call(opened, submitted)
        assert scope.cancelled_caught
        raise TimeoutError(f"{name} passed its timeout of {timeout:g} s on Dask")


@attrs.frozen
class _Submission:
    """A function with all that it is called with, and how."""

    function: Callable[..., Any]
    arguments: dict[str, Any] = attrs.field(repr=False)
    options: dict[str, Any]
    grace: float


def _checked(options: Mapping[str, Any], name: str) -> dict[str, Any]:
    for option in options:
        if option not in OPTIONS:
            near = nearest(option, OPTIONS) or f"; there is {', '.join(OPTIONS)}"
            raise DaskError(f"{name} cannot run on Dask with the option {option!r}, which there is not{near}")
    return dict(options)


class Work(Protocol):
    """What an executor is given: the work of one attempt of a task."""

    @property
    def function(self) -> Callable[..., Any] | None:
        """The function, where the task is one."""
        ...

    @property
    def arguments(self) -> Mapping[str, Any]:
        """Its arguments by name."""
        ...

    @property
    def options(self) -> Mapping[str, Any]:
        """What the task says to this executor, in its `overrides`."""
        ...

    @property
    def here(self) -> Callable[[], Any]:
        """Does the work in this process."""
        ...


@attrs.frozen(eq=False)
class DaskExecutor:
    """Runs the sync functions of a pipeline on a cluster, and everything else here: see `run_on_dask`.

    `client` is a synchronous `distributed.Client`, which the caller keeps open, or the address of a scheduler: then
    each run opens a client of its own, and closes it at its end. Async functions, generators, commands and notebooks
    wait more than they compute, and stay in this process. A task's `overrides={"dask": {...}}` are the options of
    `run_on_dask`.
    """

    service_name: ClassVar[str] = "dask"

    client: Client | str
    grace: float = attrs.field(default=1.0, validator=attrs.validators.ge(0), kw_only=True)

    def refusal(self, function: Callable[..., Any]) -> str | None:
        """Say why the workers could not be given a function; `None` if they could."""
        return None if is_async(function) else refusal(function)

    async def execute(self, work: Work) -> Any:
        """Do the work and give what it returns; raises what it raises. See `run_on_dask` for cancellation."""
        if work.function is None or is_async(work.function):
            return await work.here()
        client = self.client
        if isinstance(client, str):
            client = await run_resource(("dagflow.executors.dask", client), partial(_opened, client)) or client
        return await run_on_dask(client, work.function, work.arguments, grace=self.grace, options=work.options)


@asynccontextmanager
async def _opened(client: Client | str) -> AsyncGenerator[Client]:
    """Give a client, and close it if it was made here."""
    if not isinstance(client, str):
        if client.asynchronous:
            raise DaskError("the client is asynchronous, and so belongs to one asyncio loop; make it without that")
        yield client
        return
    made = await _connect(client)
    try:
        yield made
    finally:
        # Shielded, or a cancelled run would leave its thread and connection.
        with anyio.move_on_after(CLOSING, shield=True):
            await run_sync(made.close, CLOSING, abandon_on_cancel=True)


async def _connect(address: str) -> Client:
    make = partial(Client, address, set_as_default=False, timeout=CONNECTING)
    try:
        return await run_sync(make)
    except (OSError, ValueError) as error:
        raise DaskError(f"there is no scheduler of Dask at {address}: {describe(error)}") from error


async def _call(client: Client, given: _Submission) -> Any:
    name, flag = name_of(given.function), f"dagflow-{uuid4().hex}"
    submit = partial(
        client.submit, call, given.function, given.arguments, flag, key=f"{name}-{flag}", pure=False, **given.options
    )
    try:
        future: Any = await run_sync(submit)
    except Exception as error:
        raise DaskError(
            f"{name} or its arguments cannot be sent to Dask ({describe(error)}); pass values that pickle can write"
        ) from error
    try:
        await _until_done(future)
        return await _outcome(future, name)
    except BaseException:
        with anyio.CancelScope(shield=True):
            await _give_up(client, future, flag, given.grace)
        raise
    finally:
        future.release()


async def _until_done(future: Any) -> None:
    """Wait for a future, in whatever event loop this is."""
    done, token = anyio.Event(), current_token()

    def tell(_: object) -> None:
        with suppress(anyio.RunFinishedError):  # nobody waits any more
            from_thread.run_sync(done.set, token=token)

    future.add_done_callback(tell)
    await done.wait()


async def _give_up(client: Client, future: Any, flag: str, grace: float) -> None:
    """Tell a function that is not wanted any more, and give it a moment to end."""
    if future.done():
        return
    wanted = _distributed.Event(flag, client)
    with anyio.move_on_after(CLOSING):
        await run_sync(wanted.set, abandon_on_cancel=True)
        with anyio.move_on_after(grace):
            await _until_done(future)
        ended = future.done()
        await run_sync(partial(future.cancel, force=True), abandon_on_cancel=True)
        if ended:  # or else it may still ask; the scheduler then keeps the name
            await run_sync(wanted.clear, abandon_on_cancel=True)


async def _outcome(future: Any, name: str) -> Any:
    if future.status == "finished":
        return await run_sync(partial(_fetch, future))
    if future.status != "error":
        raise DaskError(f"{name} was given up by Dask (its state is {future.status}): the cluster or its client closed")
    raise _told(*await run_sync(partial(_failure, future)), name)


def _fetch(future: Any) -> Any:
    while True:
        try:
            return future.result(timeout=GATHERING)
        except TimeoutError:  # of the fetching: one that the function raises is an error, and not fetched here
            from_thread.check_cancelled()


def _failure(future: Any) -> tuple[BaseException, str]:
    error = future.exception(timeout=CLOSING)
    trace = "".join(traceback.format_tb(future.traceback(timeout=CLOSING)))
    return error, trace


def _told(error: BaseException, trace: str, name: str) -> BaseException:
    """The exception to raise for what happened on the cluster."""
    if isinstance(error, distributed.KilledWorker):
        told: BaseException = DaskError(
            f"{name} was lost with its workers: each that ran it died, as one does that has too little memory; {error}"
        )
    elif not isinstance(error, Exception | SystemExit | KeyboardInterrupt):
        # The cancellation of an event loop means something here only if it began here.
        told = DaskError(f"{name} raised {describe(error)} on Dask")
    else:
        error.add_note(f"on a worker of Dask:\n{trace.rstrip()}")
        return error
    told.__cause__ = error
    return told
