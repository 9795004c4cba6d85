"""Cassettes: a language model's answers recorded in a file once, and replayed from it ever after."""

from __future__ import annotations

import difflib
import json
import os
import secrets as random_names
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Literal

import anyio
import anyio.lowlevel
import anyio.to_thread
import attrs

from dagflow.core.secrets import Secret, mask, mask_keys
from dagflow.errors import LMError
from dagflow.kernel.context import token_stream
from dagflow.lm.base import BaseLM
from dagflow.lm.protocol import LMRequest, LMResponse, ToolCall
from dagflow.lm.wrappers.base import Wrapper
from dagflow.lm.written import request_data
from dagflow.types import Usage

__all__ = ["RecordingLM", "ReplayingLM", "record_or_replay"]

VERSION: Final = 1
_DIFF_LINES = 40

Redact = Iterable[str | Secret]
Data = dict[str, Any]


class RecordingLM(Wrapper):
    """Asks `lm`, and keeps each request with its answer, or its `LMError`, in the file at `path`.

    The file is JSON that is meant to be read and committed: it is written anew after each answer, in the order
    in which requests began, and replaced as a whole, so that it is never seen half written. What was there
    before goes with the first answer. A request that is cancelled is not kept.

    The secrets of `lm`, everything in `redact`, and whatever looks like a well-known provider's key are masked
    in the file; what `lm` answers is not changed.
    """

    made_by = "RecordingLM"

    def __init__(self, lm: BaseLM, path: str | os.PathLike[str], *, redact: Redact = ()) -> None:
        super().__init__(lm)
        self._lm = lm
        self._path = Path(path)
        self._redact = tuple(redact)
        self._recorded: list[Data | None] = []
        self._writing = threading.Lock()

    async def complete(self, request: LMRequest) -> LMResponse:
        """Ask the model, and record what came of it."""
        place = len(self._recorded)
        self._recorded.append(None)  # taken now, so that the order in the file is that of the requests
        try:
            response = await self._lm.complete(request)
        except LMError as error:
            await self._record(place, request, {"error": _error_data(error)})
            raise
        await self._record(place, request, {"response": attrs.asdict(response)})
        return response

    async def _record(self, place: int, request: LMRequest, outcome: Data) -> None:
        data = {"request": request_data(request), **outcome}
        self._recorded[place] = _masked(data, (*self.secrets, *self._redact))
        # An answer that has been paid for is kept, also by a run that is being cancelled.
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self._write)

    def _write(self) -> None:
        with self._writing:
            interactions = [interaction for interaction in self._recorded if interaction is not None]
            _replace_file(self._path, _pretty({"cassette": VERSION, "interactions": interactions}) + "\n")


class ReplayingLM(BaseLM):
    """Answers from the cassette at `path`, without a network; equal requests get their answers in order.

    Requests are compared as they were written: with `redact` and keys masked. Give it the `repairs` of the
    model that was recorded.

    Raises `FileNotFoundError` where there is no cassette and `ValueError` for a file that is none, both when it
    is made; `LMError` for a request that was not recorded, with what differs from the nearest that was.
    """

    def __init__(self, path: str | os.PathLike[str], *, redact: Redact = (), repairs: int = 2) -> None:
        self.repairs = repairs
        self._path = Path(path)
        self._redact = tuple(redact)
        self._answers: dict[str, deque[LMResponse | LMError]] = {}
        self._numbers: dict[str, int] = {}
        for request, answer in _read_cassette(self._path):
            self._answers.setdefault(request, deque()).append(answer)
            self._numbers[request] = self._numbers.get(request, 0) + 1

    async def complete(self, request: LMRequest) -> LMResponse:
        """Give the next answer that was recorded for this request."""
        key = _pretty(_masked(request_data(request), self._redact))
        try:
            answer = self._answers[key].popleft()  # taken before waiting, in the order of the calls
        except (KeyError, IndexError):
            raise LMError(self._missing(request, key)) from None
        await anyio.lowlevel.checkpoint()
        if isinstance(answer, LMError):
            raise answer
        tokens = token_stream()
        if tokens is not None and answer.text:
            await tokens.send(answer.text)
        return answer

    def _missing(self, request: LMRequest, key: str) -> str:
        asked = request.target or request.purpose
        advice = "record the cassette again if this is meant"
        if key in self._numbers:
            number = self._numbers[key]
            times = "1 answer" if number == 1 else f"{number} answers"
            return f"{self._path} has {times} for this request for {asked}, and no more is left; {advice}"
        if not self._numbers:
            return f"{self._path} has no requests at all, and {asked} was asked for; {advice}"
        nearest = max(self._numbers, key=lambda recorded: _likeness(recorded, key))
        diff = list(difflib.unified_diff(nearest.split("\n"), key.split("\n"), "recorded", "asked", n=1, lineterm=""))
        if len(diff) > _DIFF_LINES:
            diff = [*diff[:_DIFF_LINES], f"[{len(diff) - _DIFF_LINES} more lines]"]
        return "\n".join(
            [f"{self._path} has no answer for this request for {asked}; {advice}. The nearest that it has:", *diff]
        )


def record_or_replay(
    make_lm: Callable[[], BaseLM],
    path: str | os.PathLike[str],
    *,
    mode: Literal["auto", "record", "replay"] = "auto",
    redact: Redact = (),
    repairs: int = 2,
) -> BaseLM:
    """Give a model that replays the cassette at `path`, or records it where there is none yet (`"auto"`).

    `make_lm` is called only to record: a replay needs no key. `"record"` records in any case, `"replay"` never,
    which is what continuous integration wants. `repairs` are those of the replay.
    """
    if mode == "record" or (mode == "auto" and not Path(path).exists()):
        return RecordingLM(make_lm(), path, redact=redact)
    return ReplayingLM(path, redact=redact, repairs=repairs)


def _error_data(error: LMError) -> Data:
    return {
        "message": str(error),
        "status": error.status,
        "provider_message": error.provider_message,
        "retriable": error.retriable,
        "retry_after": error.retry_after,
        "request_id": error.request_id,
    }


def _masked(data: Any, secrets: Redact) -> Any:
    """Copy data with everything masked that is secret in its texts."""
    if isinstance(data, str):
        return mask_keys(mask(data, secrets))
    if isinstance(data, Mapping):
        return {key: _masked(value, secrets) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_masked(item, secrets) for item in data]
    return data


def _pretty(data: Any) -> str:
    """Write data so that small changes make small diffs."""
    return json.dumps(_in_lines(data), ensure_ascii=False, indent=1, sort_keys=True)


# The texts that are written as lists of lines; a schema has lists of its own.
_TEXTS: Final = frozenset({"system", "content", "text", "description", "message", "provider_message"})


def _in_lines(data: Any, key: str = "") -> Any:
    if isinstance(data, dict):
        return {name: value if name == "schema" else _in_lines(value, name) for name, value in data.items()}
    if isinstance(data, list):
        return [_in_lines(item) for item in data]
    return data.split("\n") if key in _TEXTS and isinstance(data, str) and "\n" in data else data


def _text(data: Any) -> str:
    text = "\n".join(data) if isinstance(data, list) else data
    if not isinstance(text, str):
        raise TypeError(f"a text, or a list of its lines, not {text!r}")
    return text


def _read_cassette(path: Path) -> list[tuple[str, LMResponse | LMError]]:
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no cassette at {path}; record one with RecordingLM") from None
    try:
        data = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no cassette, or damaged: {error}") from error
    version = data.get("cassette") if isinstance(data, dict) else None
    if version is None:
        raise ValueError(f"{path} is no cassette: it has no 'cassette' with the version of its format")
    if version != VERSION:
        raise ValueError(f"{path} is a cassette of version {version!r}, and this is for {VERSION}; record it again")
    read: list[tuple[str, LMResponse | LMError]] = []
    try:
        for interaction in data["interactions"]:
            request = json.dumps(interaction["request"], ensure_ascii=False, indent=1, sort_keys=True)
            read.append((request, _read_answer(interaction)))
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        problem = f"{type(error).__name__}: {error}"
        raise ValueError(f"{path} is damaged: interaction {len(read) + 1} cannot be read ({problem})") from error
    return read


def _read_answer(interaction: Data) -> LMResponse | LMError:
    if "error" in interaction:
        error = dict(interaction["error"])
        said = error.pop("provider_message")
        return LMError(_text(error.pop("message")), provider_message=None if said is None else _text(said), **error)
    data = dict(interaction["response"])
    return LMResponse(
        text=_text(data.pop("text")),
        usage=Usage(**data.pop("usage")),
        tool_calls=tuple(ToolCall(**call) for call in data.pop("tool_calls")),
        **data,
    )


def _likeness(recorded: str, asked: str) -> float:
    return difflib.SequenceMatcher(None, recorded.split("\n"), asked.split("\n"), autojunk=False).ratio()


def _replace_file(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{random_names.token_hex(8)}.tmp")
    try:
        # A lone surrogate has no bytes, but an escape, which means the same in JSON.
        beside.write_bytes(text.encode("utf-8", "backslashreplace"))
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
