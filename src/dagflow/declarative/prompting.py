"""Prompts by themselves: one asked, many asked at once, and one whose text streams in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import attrs
from anyio import to_thread

from dagflow.core.plan import Plan, PlanNode
from dagflow.core.structure import nearest, structure
from dagflow.core.unstructure import unstructure
from dagflow.declarative.bodies.asking import Asking
from dagflow.declarative.edges import Routing
from dagflow.declarative.expressions import Scope, parse_value
from dagflow.declarative.front import YamlRun
from dagflow.declarative.language_models import Models, need_of
from dagflow.declarative.locating import Locator
from dagflow.declarative.model.prompts import LMChoice
from dagflow.declarative.node import YamlNode
from dagflow.declarative.project import find_root
from dagflow.declarative.prompts.files import LoadedPrompt, load_prompt
from dagflow.declarative.state import StateSchema
from dagflow.events import Token
from dagflow.kernel.engine import Program
from dagflow.kernel.fanout import map_concurrent
from dagflow.kernel.prepared import PreparedRun
from dagflow.kernel.run import Run, RunSettings
from dagflow.kernel.stream import RunStream
from dagflow.lm.base import BaseLM
from dagflow.types import Outcome

__all__ = ["PromptCall", "PromptStream", "execute_prompt_async", "execute_prompts_concurrent", "stream_prompt_async"]


@attrs.frozen(kw_only=True)
class PromptCall:
    """One call of a prompt: the name of its file, and what `execute_prompt_async` takes beside it."""

    prompt_name: str = attrs.field(kw_only=False)
    variables: Mapping[str, Any] = attrs.field(factory=dict, kw_only=False)
    state: Mapping[str, Any] | None = None
    response_model: Any = None
    lm: BaseLM | str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    base_url: str | None = None
    folder: str | Path = "."
    root: str | Path | None = None


async def execute_prompt_async(
    prompt_name: str,
    variables: Mapping[str, Any] | None = None,
    state: Mapping[str, Any] | None = None,
    *,
    response_model: Any = None,
    lm: BaseLM | str | None = None,
    temperature: float | None = None,
    max_tokens: int | None = None,
    base_url: str | None = None,
    folder: str | Path = ".",
    root: str | Path | None = None,
) -> Any:
    """Ask a language model with a prompt file, and give its answer.

    `prompt_name` is the file, without `.yaml`, relative to `folder`, and confined to `root` as in `load_and_compile`.
    Variables of the prompt that `variables` lacks are taken from `state`. `response_model` is the type of the answer, a
    class or any hint; else it is that of the prompt's `schema`, and text without one. `lm` is a language model or its
    name, `provider:model`; else the prompt names it. `temperature` and the like are for a model that is made by name.

    Raises `ValueError` for a missing variable before anything is asked, `SourceError` for a faulty file, `LMError` and
    `FillError` as `BaseLM.extract` does. Cancellation passes through; the connection to the model is closed.
    """
    call = PromptCall(
        prompt_name,
        variables or {},
        state=state,
        response_model=response_model,
        lm=lm,
        temperature=temperature,
        max_tokens=max_tokens,
        base_url=base_url,
        folder=folder,
        root=root,
    )
    return await _ask(call)


async def execute_prompts_concurrent(
    calls: Sequence[PromptCall | tuple[str, Mapping[str, Any]]],
    *,
    limit: int = 8,
    lm: BaseLM | str | None = None,
    on_error: Literal["raise", "collect"] = "raise",
) -> list[Any]:
    """Ask several prompts at once, at most `limit`; gives their answers in the order of the calls.

    A call may be written as the prompt's name and its variables; `lm` is for those that name no language model. With
    `on_error="raise"` the first failure cancels the others, with `"collect"` each result is a `MapResult`
    (`map_concurrent` says more).
    """
    whole = [call if isinstance(call, PromptCall) else PromptCall(*call) for call in calls]
    whole = [call if call.lm is not None else attrs.evolve(call, lm=lm) for call in whole]
    if on_error == "collect":
        return list(await map_concurrent(_ask, whole, limit=limit, on_error="collect"))
    return await map_concurrent(_ask, whole, limit=limit)


def stream_prompt_async(
    prompt_name: str,
    variables: Mapping[str, Any] | None = None,
    state: Mapping[str, Any] | None = None,
    **options: Any,
) -> PromptStream:
    """Ask a prompt and follow its answer: `async with stream_prompt_async(...) as texts: async for text in texts`.

    Gives the pieces of the text as they come; `texts.result` is the answer once they have ended. Arguments and errors
    are those of `execute_prompt_async`. Leaving the block, however it happens, ends the request.
    """
    return PromptStream(PromptCall(prompt_name, variables or {}, state=state, **options))


class PromptStream:
    """An async context manager over the pieces of one answer; see `stream_prompt_async`."""

    def __init__(self, call: PromptCall) -> None:
        self._call = call
        self._ready: Ready | None = None
        self._stream: RunStream[Any] = RunStream(self._prepare, 256)

    async def __aenter__(self) -> PromptStream:
        self._ready = await to_thread.run_sync(_ready, self._call)
        await self._stream.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._stream.__aexit__(kind, error, trace)

    def __aiter__(self) -> PromptStream:
        return self

    async def __anext__(self) -> str:
        while True:
            event = await self._stream.__anext__()
            if isinstance(event, Token):
                return event.text

    @property
    def result(self) -> Any:
        """The answer; raises `RuntimeError` before the end."""
        return self._stream.result

    def _prepare(self) -> PreparedRun[Any]:
        assert self._ready is not None, "entering makes it ready"
        return _prepare(self._call.prompt_name, self._ready)


@attrs.frozen(eq=False)
class Ready:
    """A call that was checked: its prompt, its language model, the values of its variables, the type of its answer."""

    prompt: LoadedPrompt
    lm: BaseLM
    values: Mapping[str, Any]
    answer: Any


def _ready(call: PromptCall) -> Ready:
    """Read files and make clients, for a thread to do."""
    folder = Path(call.folder).resolve()
    root = find_root(folder) if call.root is None else Path(call.root).resolve()
    locator = Locator(folder, root, {})
    prompt = load_prompt(call.prompt_name, base=folder, root=root, find_class=locator.find)
    known = {**(call.state or {}), **call.variables}
    missing = sorted(prompt.names - known.keys())
    if missing:
        near = nearest(missing[0], known)
        raise ValueError(
            f"prompt {call.prompt_name} needs the variable {' and '.join(missing)}, which is not given{near}"
        )
    answer = call.response_model if call.response_model is not None else prompt.answer
    values = {name: known[name] for name in (prompt.names | prompt.text.optional) & known.keys()}
    return Ready(prompt, _model(call, prompt), values, str if answer is None else answer)


def _model(call: PromptCall, prompt: LoadedPrompt) -> BaseLM:
    if isinstance(call.lm, BaseLM):
        return call.lm
    options = {"temperature": call.temperature, "max_tokens": call.max_tokens, "base_url": call.base_url}
    given = LMChoice(lm=call.lm, **options)  # type: ignore[arg-type]  # each has its own type
    return Models(None, {}, {}).find(need_of(given, prompt.spec))


async def _ask(call: PromptCall) -> Any:
    ready = await to_thread.run_sync(_ready, call)
    system, user = ready.prompt.render(ready.values)
    return await ready.lm.extract(ready.answer, system=system, user=user, name=ready.prompt.name)


def _prepare(name: str, ready: Ready) -> PreparedRun[Any]:
    """A run of one node that asks: the run's stream has the tokens."""
    need = need_of()
    variables = {name: parse_value("{state." + name + "}") for name in ready.values}
    asking = Asking(ready.prompt, ready.answer, variables, need, "answer")
    schema = StateSchema({}, {})
    node = YamlNode(name="prompt", kind="llm", body=asking, routing=Routing("prompt", (), ()), schema=schema)
    models = Models(ready.lm, {}, {})
    front = YamlRun({"prompt": node}, schema, {}, models, outer=Scope(state=dict(ready.values), locals={}))
    plan = Plan.build([PlanNode("prompt")], ["prompt"], name=name)
    run = Run(Program(name, plan, {"prompt": node.to_body()}), front, RunSettings(lm=ready.lm))

    def result(outcome: Outcome, thread_id: str) -> Any:
        answer = front.last_writes["answer"]
        return answer if ready.answer is str else structure(unstructure(answer), ready.answer)

    return PreparedRun(run, trace=lambda: tuple(front.trace), result=result)
