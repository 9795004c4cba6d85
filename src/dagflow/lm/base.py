"""The base of all adapters: prompts, structured answers and repairs, over one method."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, TypeVar

import anyio
import attrs

from dagflow.core.answers import InvalidAnswer, parse_json
from dagflow.core.inputs import inputs, instruction_of, routes
from dagflow.core.node import Node
from dagflow.core.prompts import (
    SYSTEM,
    answer_shown,
    choice_names,
    choice_prompt,
    choice_schema,
    fill_prompt,
    form_of,
    repair_prompt,
    system_with_schema,
)
from dagflow.core.schema import cached_schema
from dagflow.core.secrets import Secret
from dagflow.core.structure import assemble, structure
from dagflow.core.tools import Tool, to_tools
from dagflow.errors import FillError, InvalidField, LMError
from dagflow.kernel.context import record_lm_call, resolve_inputs
from dagflow.lm.billing import losses
from dagflow.lm.protocol import LMRequest, LMResponse, Message
from dagflow.lm.tool_loop import converse
from dagflow.types import Retry, Usage

__all__ = ["DEFAULT_RETRY", "BaseLM", "is_retriable"]

N = TypeVar("N", bound=Node)
T = TypeVar("T")


DEFAULT_RETRY: Final = Retry(attempts=3, delay=0.5, max_delay=60.0, on=(LMError,))
"""How adapters ask again: twice, after half a second and a second, or when the provider says."""


def is_retriable(error: Exception) -> bool:
    """Tell whether asking again can help."""
    return isinstance(error, LMError) and error.retriable


class BaseLM(ABC):
    """Derives the `LM` protocol from `complete`, the one method that an adapter writes.

    `repairs` is how often an invalid answer is sent back with its problems, before `FillError`.
    """

    repairs: int = 2

    @property
    def identity(self) -> Mapping[str, Any] | None:
        """What decides its answers besides the request, as JSON-able data: the model, its settings.

        Answers are kept under it by `cached`, which cannot be used with an adapter that says `None`.
        """
        return None

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """The secrets that it holds: wherever its answers or errors are written, they are masked."""
        return ()

    @abstractmethod
    async def complete(self, request: LMRequest) -> LMResponse:
        """Send one request and return the answer, with what it used.

        Raises `LMError` where there is no answer. The nearest deadline around the call bounds it, and
        cancellation must close what it has opened and pass through.
        """

    async def make(self, node: Node, target: type[N]) -> N:
        """Make a `target` that follows `node`; see `LM.make`."""
        resolved = await resolve_inputs(target, lm=self)
        return await self.fill(target, resolved, instruction_of(target), node)

    async def decide(self, node: Node) -> Node | None:
        """Choose what follows `node`, and make it; one candidate costs no choice. See `LM.decide`."""
        context = {item.name: getattr(node, item.name) for item in inputs(type(node))}
        target = await self.choose_type(routes(type(node)), context)
        return None if target is None else await self.make(node, target)

    async def choose_type(self, types: Sequence[type[Node] | None], context: Mapping[str, Any]) -> type[Node] | None:
        """Choose one of `types`; one candidate costs no request. See `LM.choose_type`."""
        if not types:
            raise ValueError("there is no type to choose from; give choose_type one at least")
        if len(types) == 1:
            return types[0]
        by_name = choice_names(types)
        schema = choice_schema(types)
        request = LMRequest(
            system=system_with_schema(schema),
            native_system=SYSTEM,
            messages=(Message("user", choice_prompt(types, context)),),
            schema=schema,
            schema_name="Choice",
            purpose="choose",
            resolved=context,
        )
        wanted = f"choice of {' or '.join(by_name)}"
        return by_name[await self._answer(request, wanted, lambda data: _read_choice(data, tuple(by_name)))]

    async def fill(
        self, target: type[N], resolved: Mapping[str, Any], instruction: str, source: Node | None = None
    ) -> N:
        """Fill the plain fields of `target` that `resolved` lacks; none costs no request. See `LM.fill`."""
        names = tuple(item.name for item in inputs(target) if item.kind == "plain" and item.name not in resolved)
        if not names:
            return assemble(target, resolved)
        form = form_of(target, names)
        config = target.node_config
        request = LMRequest(
            system=form.system,
            native_system=SYSTEM,
            messages=(Message("user", fill_prompt(instruction, source, resolved)),),
            schema=form.schema,
            schema_name=target.__name__,
            purpose="fill",
            target=target.__name__,
            tools=to_tools(config.tools),
            source=source,
            resolved=resolved,
        )
        return await self._answer(
            request,
            target.__name__,
            lambda data: structure(data, target, only=names, given=resolved),
            max_tool_turns=config.max_tool_turns,
        )

    async def extract(
        self,
        target: Any,
        *,
        system: str = "",
        user: str,
        name: str = "",
        tools: Sequence[Tool] = (),
        max_tool_turns: int = 10,
    ) -> Any:
        """Ask with a prompt of one's own, and give the answer as a value of `target`, a class or any type hint.

        `target` may be `str`: then the answer is text, as it is. `name` says what is asked for in errors and events.
        How to answer, and the schema where the model is not given it in another way, is added to `system`.

        Raises `LMError` where there is no answer, `FillError` where it stays invalid, `UnsupportedType` for a type
        without a form in JSON. Cancellation passes through.
        """
        message = (Message("user", user),)
        if target is str:
            request = LMRequest(system=system, messages=message, target=name, tools=tuple(tools))
            return (await self.ask(request, max_tool_turns=max_tool_turns)).text
        schema = cached_schema(target)
        wanted = getattr(target, "__name__", "Answer")
        request = LMRequest(
            system=f"{system}\n\n{system_with_schema(schema)}".lstrip(),
            native_system=f"{system}\n\n{SYSTEM}".lstrip(),
            messages=message,
            schema=schema,
            schema_name=wanted if wanted.isidentifier() else "Answer",
            purpose="fill",
            target=name or wanted,
            tools=tuple(tools),
        )
        return await self._answer(
            request, name or wanted, lambda data: structure(data, target), max_tool_turns=max_tool_turns
        )

    async def ask(self, request: LMRequest, *, max_tool_turns: int = 10) -> LMResponse:
        """Send a request, make the calls of tools that the model asks for, and return its last answer.

        Every request is recorded in the run. The calls of one turn are made at once, under the run's limits.

        Raises `LMError` where there is no answer, for a refusal, and for a model that still calls tools after
        `max_tool_turns` turns; `DepError` for a tool that fails. Cancellation passes through.
        """
        _, response = await converse(self._ask, request, max_turns=max_tool_turns)
        return response

    async def _answer(
        self, request: LMRequest, wanted: str, read: Callable[[Any], T], *, max_tool_turns: int = 10
    ) -> T:
        """Ask until an answer is valid, or the repairs are used up."""
        attempts = 0
        asked = request
        while True:
            attempts += 1
            conversation, response = await converse(self._ask, asked, max_turns=max_tool_turns)
            if attempts == 1:
                request = conversation  # what its tools gave need not be asked for again
            try:
                return read(parse_json(_whole(response)))
            except InvalidAnswer as error:
                invalid = error.invalid
            if attempts > self.repairs:
                raise FillError(wanted, invalid, attempts=attempts, answer=response.text)
            asked = _with_repair(request, response.text, invalid)

    async def _ask(self, request: LMRequest) -> LMResponse:
        """Send one request and record what it used, also for nothing."""
        began = anyio.current_time()
        model, usage, answered = "", Usage(), False
        with losses() as lost:
            try:
                response = await self.complete(request)
                model, usage, answered = response.model, response.usage, True
            finally:
                usage += lost.usage
                if usage.requests:
                    duration = anyio.current_time() - began
                    record_lm_call(
                        model=model, purpose=request.purpose, usage=usage, duration=duration, answered=answered
                    )
        if response.finish_reason == "refusal":
            asked = request.target or ("a choice" if request.purpose == "choose" else "a text")
            message = f"the model refused to answer for {asked}: {response.text[:200]}"
            raise LMError(message, provider_message=response.text, request_id=response.request_id)
        return response


def _read_choice(data: Any, names: tuple[str, ...]) -> str:
    """The name in a choice; a bare name, which models like to give, will do."""
    literal: Any = Literal
    hint = literal[names]
    if not isinstance(data, dict):
        bare: str = structure(data, hint)
        return bare
    problems = [InvalidField(f"$.{key}", "unknown field; expected 'choice' alone") for key in data if key != "choice"]
    if "choice" not in data:
        problems.insert(0, InvalidField("$.choice", f"missing; expected one of {', '.join(map(repr, names))}"))
    if problems:
        raise InvalidAnswer(problems)
    try:
        chosen: str = structure(data["choice"], hint)
    except InvalidAnswer as error:
        raise InvalidAnswer([InvalidField("$.choice", item.problem) for item in error.invalid]) from error
    return chosen


def _whole(response: LMResponse) -> str:
    """The text of an answer that came whole: what was cut off may look complete, and is not."""
    if response.finish_reason == "length":
        problem = "the answer was cut off at the limit of its length; answer more briefly"
        raise InvalidAnswer([InvalidField("$", problem)])
    return response.text


def _with_repair(request: LMRequest, answer: str, invalid: Sequence[InvalidField]) -> LMRequest:
    """The request with its last answer and what is wrong with it; earlier answers would only make it long."""
    turn = (Message("assistant", answer_shown(answer)), Message("user", repair_prompt(invalid)))
    return attrs.evolve(request, messages=request.messages + turn)
