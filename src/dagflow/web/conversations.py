"""Conversations over a YAML graph: a message starts a run, or answers what the last one asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from dagflow.core.storage import Store, ThreadSummary, check_thread_id
from dagflow.core.structure import nearest
from dagflow.declarative.graph import YamlGraph, YamlStream
from dagflow.declarative.results import YamlResult, describe_interrupt
from dagflow.kernel.thread import Follower
from dagflow.lm.base import BaseLM
from dagflow.store.memory import MemoryStore
from dagflow.web.problems import HTTPProblem

__all__ = ["Conversations", "describe_result"]


@attrs.frozen(eq=False)
class Conversations:
    """The threads of one graph, as a web service has them.

    `message_key` is the state key that a message is written to, `response_key` the one that the answer is read from.
    `lm` and `lms` are those of `YamlGraph.run`.
    """

    graph: YamlGraph
    store: Store
    message_key: str
    response_key: str
    lm: BaseLM | None = None
    lms: Mapping[str, BaseLM] | None = None

    @classmethod
    def of(
        cls,
        graph: YamlGraph,
        *,
        store: Store | None,
        message_key: str | None,
        response_key: str | None,
        lm: BaseLM | None,
        lms: Mapping[str, BaseLM] | None,
    ) -> Conversations:
        """Settle what is left open: the graph's own store, else this process's memory, and the keys of its `web:`.

        Raises `ValueError` for a key that the graph's state does not have.
        """
        web = graph.spec.web
        keys = {"message_key": message_key or web.message_key, "response_key": response_key or web.response_key}
        known = graph.schema.known
        for name, key in keys.items():
            if graph.schema.closed and key not in known:
                raise ValueError(
                    f"graph {graph.name} has no state key {key!r}, which is its {name}{nearest(key, known)}; say "
                    f"which it is under `web:` in the file, or pass {name}="
                )
        found = store if store is not None else graph.store if graph.store is not None else MemoryStore()
        return cls(graph, found, keys["message_key"], keys["response_key"], lm, lms)

    async def say(self, thread_id: str, message: Any, state: Mapping[str, Any]) -> dict[str, Any]:
        """Run on a message; a thread that waits for one answer takes it as that."""
        answers = await self._answers(thread_id, message, state)
        if answers is not None:
            return self.told(await self.graph.resume(thread_id, answers, **self._resuming()))
        given = {**state, self.message_key: message}
        return self.told(await self.graph.run(given, thread_id=thread_id, **self._running()))

    async def stream(self, thread_id: str, message: Any, state: Mapping[str, Any]) -> YamlStream:
        """The run of `say`, as a stream of its events that is still to be entered."""
        answers = await self._answers(thread_id, message, state)
        if answers is not None:
            return self.graph.stream_resumed(thread_id, answers, **self._resuming())
        given = {**state, self.message_key: message}
        return self.graph.stream(given, thread_id=thread_id, **self._running())

    async def resume(self, thread_id: str, answers: Mapping[str, Any]) -> dict[str, Any]:
        """Go on with a thread, with answers by resume key or by id, or without."""
        await self._known(thread_id)
        return self.told(await self.graph.resume(thread_id, answers, **self._resuming()))

    async def stream_resumed(self, thread_id: str, answers: Mapping[str, Any]) -> YamlStream:
        """The run of `resume`, as a stream of its events that is still to be entered."""
        await self._known(thread_id)
        return self.graph.stream_resumed(thread_id, answers, **self._resuming())

    async def look(self, thread_id: str) -> dict[str, Any]:
        """Tell how a thread stands: its status, its state and its open questions."""
        summary = await self._known(thread_id)
        stands = await self.graph.thread(thread_id, store=self.store).state()
        return {
            "thread_id": thread_id,
            "graph": summary.graph,
            "status": stands.outcome or ("running" if summary.leased else "stopped"),
            "running": summary.leased,
            "created": summary.created,
            "updated": summary.updated,
            "events": stands.seq,
            "state": await self.graph.state(thread_id, store=self.store),
            "interrupts": [describe_interrupt(interrupt) for interrupt in stands.interrupts],
        }

    async def follow(self, thread_id: str, after: int) -> Follower:
        """Follow a thread's events, whoever runs it: those after the number `after`, then new ones as they come."""
        await self._known(thread_id)
        return self.graph.thread(thread_id, store=self.store).follow(after=after)

    def told(self, result: YamlResult) -> dict[str, Any]:
        """A result as the service tells it."""
        return describe_result(result, self.response_key)

    async def _answers(self, thread_id: str, message: Any, state: Mapping[str, Any]) -> dict[str, Any] | None:
        """What a message answers; `None` where it starts a run. Raises `HTTPProblem` where that is not clear."""
        summary = await self._find(thread_id)
        if summary is None or summary.status != "interrupted":
            return None
        interrupts = (await self.graph.thread(thread_id, store=self.store).state()).interrupts
        if len(interrupts) == 1:
            return {**state, interrupts[0].id: message}
        ids = [interrupt.id for interrupt in interrupts]
        raise HTTPProblem(
            409,
            f"thread {thread_id} waits for {len(interrupts)} answers; give them by id to /message/{thread_id}/resume",
            type="SeveralQuestions",
            details={"interrupts": ids},
        )

    async def _find(self, thread_id: str) -> ThreadSummary | None:
        try:
            check_thread_id(thread_id)
        except ValueError as error:
            raise HTTPProblem(422, str(error), type="BadThread") from error
        async with self.store.open() as session:
            return await session.find(thread_id)

    async def _known(self, thread_id: str) -> ThreadSummary:
        summary = await self._find(thread_id)
        if summary is None:
            raise HTTPProblem(404, f"there is no thread {thread_id}; start it with /message", type="NoSuchThread")
        return summary

    def _running(self) -> dict[str, Any]:
        return {"store": self.store, "lm": self.lm, "lms": self.lms}

    def _resuming(self) -> dict[str, Any]:
        # A request does not wait for a process that died: it is told that the thread is taken, and asks again.
        return {**self._running(), "lease_wait": 0.0}


def describe_result(result: YamlResult, response_key: str) -> dict[str, Any]:
    """What a client is told of a run: `response`, `complete`, `status`, `thread_id`, and the open `interrupts`.

    The response is the state's response key, or the first open question.
    """
    questions = [describe_interrupt(interrupt) for interrupt in result.interrupts]
    response = questions[0]["message"] if questions else result.state.get(response_key)
    return {
        "response": response,
        "complete": result.status == "complete",
        "status": result.status,
        "thread_id": result.thread_id,
        "interrupts": questions,
    }
