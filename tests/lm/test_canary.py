"""A canary key goes through everything that writes: it must come out of nothing."""

import contextlib
import json
import logging
import pickle
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dagflow import AnthropicBackend, LMError, OpenAIBackend, Secret
from dagflow.lm.wrappers import cached
from dagflow.testing import RecordingLM
from dagflow.testing.lm_server import RecordedRequest, Reply
from lm.adapters import FILL, KEY, OF_LIBRARIES, VALUES, Adapter, Question, answer, each, place_for, program_does

pytestmark = [pytest.mark.slow, *OF_LIBRARIES]

CANARY = KEY[3:]


def all_of(error: BaseException | None) -> Iterator[BaseException]:
    """An exception with its causes, contexts and members."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        current = waiting.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        waiting += [current.__cause__, current.__context__]
        if isinstance(current, BaseExceptionGroup):
            waiting += current.exceptions


def shown(error: BaseException) -> str:
    """All that an exception of ours shows: its text, notes, fields and traceback, and the same of what caused it."""
    parts = ["".join(traceback.format_exception(error))]
    for each_one in all_of(error):
        parts += [str(each_one), repr(each_one), repr(each_one.args), repr(getattr(each_one, "__notes__", ()))]
        if type(each_one).__module__.startswith("dagflow"):
            parts.append(repr(vars(each_one)))
        request = getattr(each_one, "_request", None)  # httpx keeps it with its exceptions
        if request is not None and type(each_one).__module__.partition(".")[0] in ("httpx", "httpx2"):
            parts.append(repr(request.headers.raw))
    return "\n".join(parts)


@pytest.fixture
def logs(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Everything that anybody logs, at every level."""
    caplog.set_level(logging.DEBUG)
    return caplog


def echo(request: RecordedRequest) -> Any:
    """A provider that quotes the key in what it says."""
    return Reply.error(401, f"Incorrect API key provided: {KEY} ({json.dumps(KEY)})")


@each
async def test_a_run_that_succeeds_shows_no_key(
    adapter: Adapter, tmp_path: Path, logs: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Reprs, events, the journal, results, logs, cassettes, caches, arguments and output hold no key."""
    cassette, cache = tmp_path / "cassette.json", tmp_path / "cache"
    async with place_for(adapter, tmp_path, answer) as place:
        program_does(place, {"value": VALUES["Answer"], "stderr": f"using {KEY}"})
        lm = adapter.make(place)
        assert KEY in {secret.reveal() for secret in lm.secrets}, "it cannot be masked where it is not known"
        wrapped = cached(RecordingLM(lm, cassette), cache)
        events = []
        async with FILL.stream(Question(text=f"my key is {KEY}"), lm=wrapped) as stream:
            events = [event async for event in stream]
        sinks = [repr(lm), str(lm), repr(wrapped), repr(vars(lm)), repr(lm.identity), cassette.read_text()]
        sinks += [path.read_text() for path in cache.rglob("*") if path.is_file()]
        calls = tmp_path / "calls.jsonl"
        if calls.exists():
            sinks += [json.dumps(json.loads(line)["argv"]) for line in calls.read_text().splitlines()]
    # The question itself is the user's own, and is streamed to the user.
    sinks += [repr(event).replace(f"my key is {KEY}", "") for event in events]
    sinks += [record.getMessage() for record in logs.records if "my key is" not in record.getMessage()]
    sinks += [*capfd.readouterr()]
    assert [] == [sink for sink in sinks if CANARY in sink]
    with contextlib.suppress(TypeError, AttributeError, pickle.PicklingError):
        assert CANARY.encode() not in pickle.dumps(lm)


@each
async def test_a_run_that_fails_shows_no_key(
    adapter: Adapter, tmp_path: Path, logs: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """A provider that quotes the key in its error has it masked: in the error, its causes, the journal and logs."""
    async with place_for(adapter, tmp_path, echo) as place:
        program_does(place, {"exit": 1, "stderr": f"API Error: 401 wrong key {KEY}"})
        lm = adapter.make(place)
        events: list[Any] = []
        with pytest.raises(LMError) as caught:
            async with FILL.stream(Question(text="?"), lm=lm) as stream:
                async for event in stream:
                    events.append(event)  # those before the error are wanted
    sinks = [shown(caught.value), *map(repr, events), *capfd.readouterr()]
    sinks += [record.getMessage() for record in logs.records]
    assert [] == [sink for sink in sinks if CANARY in sink]
    assert "<secret>" in str(caught.value)


@pytest.mark.parametrize("make", [OpenAIBackend, AnthropicBackend])
async def test_headers_that_carry_keys_are_secrets(make: Any, logs: pytest.LogCaptureFixture) -> None:
    """A header of the user's own with a key in it is masked as the key is, by its name or as a `Secret`."""
    headers = {"Authorization": f"Basic {KEY}", "x-team": Secret(f"team-{KEY}"), "x-plain": "shown"}
    lm = make("model", base_url="http://127.0.0.1:9/v1", api_key="other", headers=headers, retry=None)
    assert {f"Basic {KEY}", f"team-{KEY}", "other"} <= {secret.reveal() for secret in lm.secrets}
    with pytest.raises(LMError) as caught:
        await FILL.run(Question(text="?"), lm=lm)
    assert CANARY not in shown(caught.value)
