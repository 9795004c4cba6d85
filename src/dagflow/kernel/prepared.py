"""A run that has not begun: what a front end hands to those who execute it, or follow it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from dagflow.errors import DagflowError
from dagflow.kernel.run import Run
from dagflow.types import Outcome

if TYPE_CHECKING:
    from dagflow.kernel.durable import Durable

__all__ = ["PreparedRun"]

R = TypeVar("R")


class PreparedRun(Generic[R]):
    """A run that has not begun; `run` has its id and journal.

    `trace` gives what had completed, for the error of a run that fails, and `result` makes the result of one that
    does not, from its outcome and the name of its thread (empty where it is not recorded).

    Raises `ValueError` for a nested run that is to be recorded on its own.
    """

    def __init__(
        self,
        run: Run,
        *,
        trace: Callable[[], tuple[Any, ...]],
        result: Callable[[Outcome, str], R],
        durable: Durable | None = None,
    ) -> None:
        if durable is not None and run.is_nested:
            raise ValueError(
                "a run inside another is recorded with it; leave store= out, and give it to the outermost run"
            )
        self.run = run
        self._trace = trace
        self._result = result
        self._durable = durable

    async def execute(self) -> R:
        """Run to the end; raises what ended the run, with what had completed in the `trace` of its error."""
        try:
            outcome = await self._execute()
        except DagflowError as error:
            if error.run == self.run.id:
                error.trace = self._trace()
            raise
        return self._result(outcome, self._durable.thread_id if self._durable is not None else "")

    async def _execute(self) -> Outcome:
        if self._durable is None:
            return await self.run.execute()
        from dagflow.kernel.durable import execute_durably  # a run without a store never needs it

        return await execute_durably(self.run, self._durable)
