"""Cassettes: what is recorded, what is replayed, and what is said where neither works."""

import contextlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import attrs
import pytest

from dagflow import (
    BaseLM,
    FillError,
    Graph,
    LMError,
    LMRequest,
    LMResponse,
    Message,
    Node,
    NodeConfig,
    ToolCall,
    Usage,
)
from dagflow.core.secrets import Secret, mask_keys
from dagflow.events import Token
from dagflow.testing import ScriptedLM, assert_no_leaks
from dagflow.testing.cassette import RecordingLM, ReplayingLM, record_or_replay


class Start(Node):
    message: str

    async def __call__(self) -> "Outfit | None": ...


class Outfit(Node):
    top: str
    size: int

    async def __call__(self) -> None: ...


GRAPH = Graph(start=Start)
START = Start(message="just got up\nand it is cold")
SCRIPT = {"choose": Outfit, Outfit.__name__: [{"top": "shirt"}, {"top": "shirt", "size": 3}]}
KEY = "sk-ant-abcdefghijklmnopqrstuvwxyz"


class Keyed(ScriptedLM):
    """A scripted model with a secret."""

    @property
    def secrets(self) -> tuple[Secret, ...]:
        return (Secret("hunter2!"),)


def ask(text: str, **more: Any) -> LMRequest:
    return LMRequest(system="Be brief.", messages=(Message("user", text),), **more)


async def answer(lm: BaseLM, text: str) -> str:
    return (await lm.complete(ask(text))).text


async def record(path: Path, *answers: Any, ask_for: str = "one") -> None:
    lm = RecordingLM(ScriptedLM(list(answers)), path)
    for _ in answers:
        with contextlib.suppress(LMError):
            await lm.complete(ask(ask_for))


async def test_a_run_replays_as_it_was_recorded(tmp_path: Path) -> None:
    """A replayed run makes the same nodes with the same usage, repairs among it."""
    path = tmp_path / "made" / "cassette.json"
    async with assert_no_leaks():
        recorded = await GRAPH.run(START, lm=RecordingLM(ScriptedLM(SCRIPT), path))
        replayed = await GRAPH.run(START, lm=ReplayingLM(path))
    assert recorded.trace == replayed.trace
    assert Outfit(top="shirt", size=3) == replayed.node
    assert recorded.usage == replayed.usage
    assert 3 == replayed.usage.requests


async def test_the_file_is_made_to_be_read(tmp_path: Path) -> None:
    """Texts of several lines are lists of lines, keys are sorted, and nothing else is in the folder."""
    path = tmp_path / "cassette.json"
    await GRAPH.run(START, lm=RecordingLM(ScriptedLM(SCRIPT), path))
    data = json.loads(path.read_text())
    assert [path] == list(tmp_path.iterdir())
    assert ["cassette", "interactions"] == list(data)
    assert ["choose", "fill", "fill"] == [item["request"]["purpose"] for item in data["interactions"]]
    assert isinstance(data["interactions"][0]["request"]["messages"][0]["content"], list)
    assert path.read_text() == json.dumps(data, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


async def test_everything_of_an_answer_comes_back(tmp_path: Path) -> None:
    """Text, usage, model, reason, tool calls and request id are replayed as they were."""
    path = tmp_path / "cassette.json"
    given = LMResponse(
        text="two\nlines \u00e9 \ud800",
        usage=Usage(requests=1, input_tokens=3, output_tokens=2, cost=0.25, estimated=True),
        model="m",
        finish_reason="tool_calls",
        tool_calls=(ToolCall("1", "look", '{"a": 1}'),),
        request_id="r1",
    )
    await record(path, given)
    assert given == await ReplayingLM(path).complete(ask("one"))


async def test_an_error_is_replayed(tmp_path: Path) -> None:
    """A recorded `LMError` is raised again with everything that it says."""
    path = tmp_path / "cassette.json"
    error = LMError(
        "busy", status=429, provider_message="wait\nplease", retriable=True, retry_after=1.5, request_id="r2"
    )
    await record(path, error)
    with pytest.raises(LMError, match=r"^busy$") as caught:
        await answer(ReplayingLM(path), "one")
    assert (429, "wait\nplease", True, 1.5, "r2") == (
        caught.value.status,
        caught.value.provider_message,
        caught.value.retriable,
        caught.value.retry_after,
        caught.value.request_id,
    )


async def test_equal_requests_get_their_answers_in_order(tmp_path: Path) -> None:
    """The n-th of equal requests gets the n-th answer, and one too many is told so."""
    path = tmp_path / "cassette.json"
    await record(path, "first", "second")
    lm = ReplayingLM(path)
    assert ["first", "second"] == [await answer(lm, "one"), await answer(lm, "one")]
    with pytest.raises(LMError, match="has 2 answers for this request for text, and no more is left"):
        await answer(lm, "one")


async def test_a_request_that_was_not_recorded_is_compared_with_the_nearest(tmp_path: Path) -> None:
    """A miss shows what differs from the most similar recorded request, and how to mend it."""
    path = tmp_path / "cassette.json"
    lm = RecordingLM(ScriptedLM(["a", "b"]), path)
    await lm.complete(ask("something\nelse\naltogether", purpose="fill", target="Other"))
    await lm.complete(ask("Task:\nwear a hat"))
    with pytest.raises(LMError, match="record the cassette again") as caught:
        await answer(ReplayingLM(path), "Task:\nwear a coat")
    lines = str(caught.value).split("\n")
    assert '-    "wear a hat"' in lines
    assert '+    "wear a coat"' in lines
    assert len(lines) < 15


async def test_a_different_tool_is_a_different_request(tmp_path: Path) -> None:
    """The tools belong to the request: their names, descriptions and schemas."""

    def look(where: str) -> str:
        """Look somewhere."""
        return where

    class Tooled(Node):
        node_config = NodeConfig(tools=[look])
        top: str

        async def __call__(self) -> None: ...

    class Plain(Node):
        node_config = NodeConfig(instruction="Tooled")
        top: str

        async def __call__(self) -> None: ...

    Plain.__name__ = "Tooled"
    path = tmp_path / "cassette.json"
    await RecordingLM(ScriptedLM([{"top": "a"}]), path).fill(Tooled, {}, "Tooled")
    with pytest.raises(LMError, match="Look somewhere"):
        await ReplayingLM(path).fill(Plain, {}, "Tooled")
    assert Tooled(top="a") == await ReplayingLM(path).fill(Tooled, {}, "Tooled")


async def test_no_secret_reaches_the_file(tmp_path: Path) -> None:
    """Secrets of the model, those that are named, and whatever looks like a key are masked; the answer is not."""
    path = tmp_path / "cassette.json"
    said = f"hunter2! and swordfish and {KEY}"
    lm = RecordingLM(Keyed([said, LMError(said, provider_message=said)]), path, redact=["swordfish"])
    assert said == await answer(lm, said)
    with pytest.raises(LMError, match="hunter2!"):
        await answer(lm, said)
    text = path.read_text()
    assert [] == [secret for secret in ("hunter2!", "swordfish", KEY) if secret in text]
    assert "<secret> and <secret> and <secret>" == await answer(
        ReplayingLM(path, redact=["swordfish", "hunter2!"]), said
    )


def test_key_shapes_are_masked_and_prose_is_not() -> None:
    """What has the shape of a provider's key is masked wherever it stands."""
    keys = [
        KEY,
        "sk-proj-abcDEF123456_7890-xyz",
        "AKIAABCDEFGHIJKLMNOP",
        "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
        "AIza" + "a1" * 17 + "b",
    ]
    for key in keys:
        assert '{"key": "<secret>"}' == mask_keys(json.dumps({"key": key}))
    assert "Authorization: Bearer <secret>" == mask_keys("Authorization: Bearer abcd.efgh-1234==")
    prose = "the bearer responsible for it asks a task-oriented risk-assessment-of-everything (sk-learn)"
    assert prose == mask_keys(prose)


async def test_answers_are_recorded_in_the_order_of_the_requests(tmp_path: Path) -> None:
    """Requests under way at once are written in the order in which they began, and the file is whole at any time."""
    path = tmp_path / "cassette.json"

    class Gated(BaseLM):
        def __init__(self) -> None:
            self.gates = {name: anyio.Event() for name in "abc"}

        async def complete(self, request: LMRequest) -> LMResponse:
            name = request.messages[0].content
            await self.gates[name].wait()
            return LMResponse(text=name)

    gated = Gated()
    lm = RecordingLM(gated, path)
    finished = {name: anyio.Event() for name in "abc"}

    async def run(name: str) -> None:
        await answer(lm, name)
        finished[name].set()

    async with anyio.create_task_group() as group:
        for number, name in enumerate("abc", 1):
            group.start_soon(run, name)
            while len(lm._recorded) < number:
                await anyio.lowlevel.checkpoint()
        for name in "cab":
            gated.gates[name].set()
            await finished[name].wait()
            written = [item["response"]["text"] for item in json.loads(path.read_text())["interactions"]]
            assert written == sorted(written)
    assert ["a", "b", "c"] == written


async def test_a_cancelled_request_is_not_recorded(tmp_path: Path) -> None:
    """What gave no answer is not in the file, and the next answer is."""
    path = tmp_path / "cassette.json"

    class Late(BaseLM):
        async def complete(self, request: LMRequest) -> LMResponse:
            if request.messages[0].content == "never":
                await anyio.sleep_forever()
            return LMResponse(text="now")

    lm = RecordingLM(Late(), path)
    async with anyio.create_task_group() as group:
        group.start_soon(answer, lm, "never")
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    assert not path.exists()
    await answer(lm, "soon")
    assert 1 == len(json.loads(path.read_text())["interactions"])


async def test_an_answer_that_was_given_is_kept_by_a_run_that_is_cancelled(tmp_path: Path) -> None:
    """A cancellation that comes with the answer does not lose it."""
    path = tmp_path / "cassette.json"

    class Cancelling(BaseLM):
        async def complete(self, request: LMRequest) -> LMResponse:
            scope.cancel()
            return LMResponse(text="paid for")

    with anyio.CancelScope() as scope:
        await answer(RecordingLM(Cancelling(), path), "one")
    assert "paid for" == await answer(ReplayingLM(path), "one")


async def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    """Where the file cannot be replaced the error is told, and no half of a file is left."""
    path = tmp_path / "cassette.json"
    path.mkdir()
    with pytest.raises(OSError, match="cassette"):
        await answer(RecordingLM(ScriptedLM(["a"]), path), "one")
    assert [path] == list(tmp_path.iterdir())


async def test_a_recording_takes_the_place_of_the_last_one(tmp_path: Path) -> None:
    """A new recording begins anew, and not before it has an answer."""
    path = tmp_path / "cassette.json"
    await record(path, "old", "old")
    lm = RecordingLM(ScriptedLM(["new"]), path)
    assert "old" in path.read_text()
    await answer(lm, "one")
    assert 1 == len(json.loads(path.read_text())["interactions"])


async def test_a_replayed_answer_is_streamed_in_one_piece(tmp_path: Path) -> None:
    """Who follows the run sees the text of each replayed answer."""
    path = tmp_path / "cassette.json"
    await GRAPH.run(START, lm=RecordingLM(ScriptedLM({"choose": None}), path))
    async with GRAPH.stream(START, lm=ReplayingLM(path)) as events:
        pieces = [event.text async for event in events if isinstance(event, Token)]
    assert ['{"choice": "stop"}'] == pieces


async def test_repairs_are_those_of_the_recorded_model(tmp_path: Path) -> None:
    """A recording repairs as often as its model; a replay as often as it is told."""
    path = tmp_path / "cassette.json"
    with pytest.raises(FillError):
        await RecordingLM(ScriptedLM(["{}"], repairs=0), path).fill(Outfit, {}, "Outfit")
    with pytest.raises(FillError):
        await ReplayingLM(path, repairs=0).fill(Outfit, {}, "Outfit")


def damaged(change: Callable[[dict[str, Any]], object]) -> str:
    request: dict[str, Any] = {"messages": []}
    response = {"text": "a", "usage": {}, "tool_calls": [], "model": ""}
    data: dict[str, Any] = {"cassette": 1, "interactions": [{"request": request, "response": response}]}
    change(data)
    return json.dumps(data)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is no cassette, or damaged"),
        ('{"cassette": 1, "inter', "is no cassette, or damaged"),
        ("[" * 100_000, "is no cassette, or damaged"),
        ("[]", "is no cassette: it has no 'cassette'"),
        ('{"a": 1}', "is no cassette: it has no 'cassette'"),
        (damaged(lambda data: data.update(cassette=0)), "of version 0, and this is for 1; record it again"),
        (damaged(lambda data: data.pop("interactions")), "interaction 1 cannot be read .KeyError: 'interactions'"),
        (damaged(lambda data: data["interactions"].append(3)), "interaction 2 cannot be read"),
        (damaged(lambda data: data["interactions"][0].pop("request")), "interaction 1 cannot be read"),
        (damaged(lambda data: data["interactions"][0].pop("response")), "interaction 1 cannot be read"),
        (damaged(lambda data: data["interactions"][0]["response"].update(text=3)), "a text, or a list of its lines"),
        (damaged(lambda data: data["interactions"][0]["response"].update(mood="good")), "'mood'"),
    ],
)
def test_a_damaged_cassette_is_refused_by_name(tmp_path: Path, text: str, problem: str) -> None:
    """A file that cannot be replayed says so when the model is made, with its path."""
    path = tmp_path / "cassette.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=problem) as caught:
        ReplayingLM(path)
    assert str(path) in str(caught.value)


def test_a_missing_cassette_is_named(tmp_path: Path) -> None:
    """A replay of nothing says how to record."""
    with pytest.raises(FileNotFoundError, match=r"no cassette at .*absent\.json; record one with RecordingLM"):
        ReplayingLM(tmp_path / "absent.json")


async def test_an_empty_cassette_says_that_it_is_empty(tmp_path: Path) -> None:
    """A cassette without requests has no nearest one."""
    path = tmp_path / "cassette.json"
    path.write_text('{"cassette": 1, "interactions": []}')
    with pytest.raises(LMError, match="has no requests at all, and text was asked for"):
        await answer(ReplayingLM(path), "one")


async def test_record_or_replay_records_once(tmp_path: Path) -> None:
    """The model is made to record the first time, and never for a replay."""
    path = tmp_path / "cassette.json"
    made: list[BaseLM] = []

    def make() -> BaseLM:
        made.append(ScriptedLM({"text": "answer"}))
        return ScriptedLM(["answer"])

    with pytest.raises(FileNotFoundError):
        record_or_replay(make, path, mode="replay")
    assert ["answer"] * 2 == [await answer(record_or_replay(make, os.fspath(path)), "one") for _ in range(2)]
    assert 1 == len(made)
    await answer(record_or_replay(make, path, mode="record"), "two")
    assert 2 == len(made)
    assert attrs.asdict(await record_or_replay(make, path, mode="replay").complete(ask("two")))["text"] == "answer"
