"""`cached`: what is kept, what is given again, and what the files hold."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import anyio
import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagflow import BaseLM, Graph, LMError, LMRequest, LMResponse, Message, Node, Usage
from dagflow.core.secrets import Secret
from dagflow.core.tools import Tool
from dagflow.events import Token
from dagflow.lm.billing import losses
from dagflow.lm.protocol import ToolCall
from dagflow.lm.wrappers import Cached, cached
from dagflow.lm.wrappers.cache import _read
from dagflow.lm.wrappers.cache_entry import asked_for, entry_name, read_entry, write_entry
from dagflow.testing import ScriptedLM, assert_no_leaks, sweep_cancellations
from lm.planned_lm import PlannedLM, Step, ask, lasting, passing


class Start(Node):
    async def __call__(self) -> "End": ...


class End(Node):
    word: str

    async def __call__(self) -> None: ...


def look_up(city: str) -> str:
    """Look a city up."""
    return city


FULL = LMRequest(
    system="Answer in JSON. {schema}",
    native_system="Answer.",
    messages=(Message("user", "a \u00e9 \ud83d"), Message("tool", "4", tool_call_id="c1", failed=True)),
    schema={"type": "object", "properties": {"b": {}, "a": {}}},
    schema_name="City",
    purpose="fill",
    target="City",
    tools=(Tool.of(look_up),),
)
ANSWER = LMResponse(
    text='{"a": "\u00e9 \udfff"}',
    usage=Usage(requests=1, input_tokens=3),
    model="gpt",
    finish_reason="tool_calls",
    tool_calls=(ToolCall("c1", "look_up", "{}"),),
    request_id="req_1",
)


async def test_an_answer_is_given_again(tmp_path: Path) -> None:
    """The second request is not sent, also by another object; the answer is the same and used nothing."""
    lm = PlannedLM()
    wrapped = cached(lm, tmp_path / "new" / "folder")
    first = await wrapped.complete(ask())
    second = await wrapped.complete(ask())
    third = await cached(lm, tmp_path / "new" / "folder").complete(ask())
    assert attrs.evolve(first, usage=Usage()) == second == third
    assert (1, 1, 1) == (len(lm.began), wrapped.hits, wrapped.misses)
    assert Usage(requests=1, input_tokens=2, output_tokens=10, cost=0.0, estimated=False) == attrs.evolve(
        first.usage, estimated=False
    )


async def test_a_hit_is_no_call_in_the_run(tmp_path: Path) -> None:
    """What a run has used counts the requests that were sent; a kept answer is streamed in one piece."""
    lm = cached(ScriptedLM({"End": {"word": "yes"}}), tmp_path, key="script")
    graph = Graph(start=Start)
    first = await graph.run(Start(), lm=lm)
    second = await graph.run(Start(), lm=lm)
    assert first.trace == second.trace
    assert (1, 0) == (first.usage.requests, second.usage.requests)
    async with graph.stream(Start(), lm=lm) as events:
        pieces = [event.text async for event in events if isinstance(event, Token)]
    assert ['{"word": "yes"}'] == pieces


@pytest.mark.parametrize(
    "change",
    [
        {"system": "Answer in XML."},
        {"native_system": "Reply."},
        {"messages": FULL.messages[:1]},
        {"messages": (FULL.messages[0], attrs.evolve(FULL.messages[1], failed=False))},
        {"schema": None},
        {"schema": {"type": "object", "properties": {"b": {}}}},
        {"schema_name": "Town"},
        {"purpose": "text"},
        {"target": "Town"},
        {"tools": ()},
        {"tools": (Tool.of(look_up, description="Find a city."),)},
    ],
)
def test_all_that_decides_an_answer_is_in_its_name(change: dict[str, Any]) -> None:
    """A request that differs in one thing has another file, and cannot read this one."""
    asked, other = asked_for(FULL, {"model": "gpt"}), asked_for(attrs.evolve(FULL, **change), {"model": "gpt"})
    assert entry_name(asked) != entry_name(other)
    assert read_entry(write_entry(asked, ANSWER, 1.0).encode(), other, made_after=0) is None


def test_what_does_not_decide_is_not_in_the_name() -> None:
    """The Python objects that a request carries, and the order of keys, change nothing."""
    name = entry_name(asked_for(FULL, {"model": "gpt", "effort": 1}))
    assert name == entry_name(
        asked_for(attrs.evolve(FULL, source=object(), resolved={"a": object()}), {"effort": 1, "model": "gpt"})
    )
    assert name != entry_name(asked_for(FULL, {"model": "gpt", "effort": 2}))


async def test_the_model_and_the_key_are_part_of_it(tmp_path: Path) -> None:
    """Two models share a folder without sharing answers, and a key tells versions apart."""
    one, two = PlannedLM(Step(text="one"), name="one"), PlannedLM(Step(text="two"), name="two")
    assert ["one", "two"] == [(await cached(lm, tmp_path).complete(ask())).text for lm in (one, two)]
    assert 0 == await hits(cached(one, tmp_path, key="v2"))
    assert 1 == await hits(cached(one, tmp_path, key="v2"))
    assert 0 == await hits(cached(one, tmp_path, key={"prompt": 3}))
    assert {"model": "one", "key": "v2"} == cached(one, tmp_path, key="v2").identity


async def hits(wrapped: Cached) -> int:
    await wrapped.complete(ask())
    return wrapped.hits


def test_a_file_is_readable_and_whole() -> None:
    """It is JSON that shows question and answer as they are, and is read back as the same answer that used nothing."""
    asked = asked_for(attrs.evolve(FULL, messages=(Message("user", "d\u00e9j\u00e0 vu?"),)), "gpt")
    answer = attrs.evolve(ANSWER, text="\u00e9")
    text = write_entry(asked, answer, 5.0)
    assert '"text": "\u00e9"' in text
    assert "d\u00e9j\u00e0 vu?" in text
    assert json.loads(json.dumps(asked)) == json.loads(text)["request"]
    assert attrs.evolve(answer, usage=Usage()) == read_entry(text.encode(), asked, made_after=4)
    assert read_entry(text.encode(), asked, made_after=5) is None
    lone = write_entry(asked_for(FULL, "gpt"), ANSWER, 5.0)
    assert attrs.evolve(ANSWER, usage=Usage()) == read_entry(lone.encode(), asked_for(FULL, "gpt"), made_after=4)


def test_no_damage_changes_an_answer() -> None:
    """Cut anywhere, or with any byte changed, a file gives its own answer or none."""
    asked = asked_for(ask(), "gpt")
    data = write_entry(asked, attrs.evolve(ANSWER, text="yes"), 5.0).encode()
    whole = read_entry(data, asked, made_after=0)
    assert [None] * len(data) == [read_entry(data[:end], asked, made_after=0) for end in range(len(data))]
    for place in range(len(data)):
        for byte in (data[place] ^ 1, data[place] ^ 16, 0, 255):
            damaged = data[:place] + bytes([byte]) + data[place + 1 :]
            assert read_entry(damaged, asked, made_after=0) in (None, whole)


@settings(max_examples=30)
@given(
    st.binary()
    | st.recursive(
        st.none() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(st.sampled_from(["checksum", "format", "made", "answer", "request"]), inner)
        ),
    ).map(lambda data: json.dumps(data).encode())
)
def test_nonsense_is_no_answer(data: bytes) -> None:
    """Whatever stands in the file, reading it raises nothing."""
    assert read_entry(data, asked_for(ask(), "gpt"), made_after=0) is None


async def test_a_damaged_file_is_a_miss_and_written_anew(tmp_path: Path) -> None:
    """The request is sent again, and its answer takes the place of what was damaged."""
    lm = PlannedLM()
    wrapped = cached(lm, tmp_path)
    await wrapped.complete(ask())
    [file] = tmp_path.iterdir()
    whole = file.read_text()
    for damaged in ("", whole[:-10], "null", whole.replace("yes", "no")):
        file.write_text(damaged)
        assert "yes" == (await wrapped.complete(ask())).text
        assert "yes" == (await wrapped.complete(ask())).text
    assert (5, 4) == (wrapped.misses, wrapped.hits)
    assert [file] == list(tmp_path.iterdir())


async def test_an_old_answer_is_asked_for_again(tmp_path: Path) -> None:
    """`ttl` is the age in seconds at which an answer counts for nothing."""
    lm = PlannedLM()
    name = entry_name(asked := asked_for(ask(), lm.identity))
    (tmp_path / name).write_text(write_entry(asked, LMResponse(text="old"), time.time() - 100))
    assert "old" == (await cached(lm, tmp_path).complete(ask())).text
    assert "old" == (await cached(lm, tmp_path, ttl=1000).complete(ask())).text
    assert "yes" == (await cached(lm, tmp_path, ttl=99).complete(ask())).text
    assert "yes" == (await cached(lm, tmp_path, ttl=99).complete(ask())).text
    assert 1 == len(lm.began)


@pytest.mark.parametrize("reason", ["length", "refusal"])
async def test_only_whole_answers_are_kept(reason: Any, tmp_path: Path) -> None:
    """What was cut off or refused is asked for again."""
    lm = PlannedLM(Step(finish_reason=reason), Step(finish_reason="tool_calls"))
    wrapped = cached(lm, tmp_path)
    assert [reason, "tool_calls", "tool_calls"] == [(await wrapped.complete(ask())).finish_reason for _ in range(3)]
    assert (2, 1) == (wrapped.misses, wrapped.hits)


async def test_failures_are_not_kept(tmp_path: Path) -> None:
    """An error is raised, and the next request is sent again."""
    lm = PlannedLM(Step(error=lasting()), Step())
    wrapped = cached(lm, tmp_path)
    with pytest.raises(LMError):
        await wrapped.complete(ask())
    assert "yes" == (await wrapped.complete(ask())).text


@pytest.mark.parametrize("question", ["is it sk-canary-1 ?", "well?"])
async def test_no_secret_reaches_the_folder(question: str, tmp_path: Path) -> None:
    """A question or an answer with a secret in it is given, and not kept."""
    text = "yes" if "canary" in question else "it is sk-canary-1"
    lm = PlannedLM(Step(text=text), secrets=(Secret("sk-canary-1"),))
    wrapped = cached(lm, tmp_path)
    assert text == (await wrapped.complete(ask(question))).text
    assert [] == list(tmp_path.iterdir())
    await wrapped.complete(ask("and?") if "canary" in question else ask("x"))
    assert not any("canary" in file.read_text() for file in tmp_path.iterdir())


async def test_equal_requests_at_once_are_sent_once(tmp_path: Path) -> None:
    """Those who wait get the answer of the one who asks, for nothing; another request is another matter."""
    lm = PlannedLM(Step(seconds=0.01))
    wrapped = cached(lm, tmp_path)
    usages: list[Usage] = []

    async def one(number: int) -> None:
        usages.append((await wrapped.complete(ask(f"question {number % 2}"))).usage)

    async with assert_no_leaks(), anyio.create_task_group() as group:
        for number in range(10):
            group.start_soon(one, number)
    assert (2, 8, 0) == (wrapped.misses, wrapped.shared, wrapped.hits)
    assert lm.bill == sum(usages, Usage())
    assert 2 == lm.bill.requests


class Gate(BaseLM):
    """Answers, or fails, when it is let."""

    def __init__(self, error: LMError | None = None) -> None:
        self.begun = [anyio.Event() for _ in range(3)]
        self.open = anyio.Event()
        self.requests = 0
        self.error = error

    @property
    def identity(self) -> dict[str, str]:
        return {}

    async def complete(self, request: LMRequest) -> LMResponse:
        self.begun[self.requests].set()
        self.requests += 1
        await self.open.wait()
        if self.error is not None and self.requests == 1:
            raise self.error
        return LMResponse(text="yes")


async def test_a_cancelled_leader_does_not_fail_the_others(tmp_path: Path) -> None:
    """One of those who waited asks again, once for all of them."""
    lm = Gate()
    wrapped = cached(lm, tmp_path)
    answers: list[str] = []

    async def one() -> None:
        answers.append((await wrapped.complete(ask())).text)

    async with anyio.create_task_group() as group:
        leading = anyio.CancelScope()

        async def leader() -> None:
            with leading:
                await one()

        group.start_soon(leader)
        await lm.begun[0].wait()
        for _ in range(3):
            group.start_soon(one)
        await anyio.wait_all_tasks_blocked()
        leading.cancel()
        await lm.begun[1].wait()
        lm.open.set()
    assert ["yes"] * 3 == answers
    assert (2, 2, 2) == (lm.requests, wrapped.misses, wrapped.shared)


async def test_an_error_goes_to_all_who_waited(tmp_path: Path) -> None:
    """A failure is no reason for a hundred requests, except for those who had more time than he who failed."""
    error = passing()
    lm = Gate(error)
    wrapped = cached(lm, tmp_path)
    outcomes: list[Any] = []

    async def one(seconds: float) -> None:
        try:
            with anyio.fail_after(seconds):
                outcomes.append((await wrapped.complete(ask())).text)
        except LMError as raised:
            outcomes.append(raised)

    async with anyio.create_task_group() as group:
        group.start_soon(one, 500)
        await lm.begun[0].wait()
        for seconds in (400, 400, 1000):
            group.start_soon(one, seconds)
        await anyio.wait_all_tasks_blocked()
        lm.open.set()
    assert 3 == outcomes.count(error)
    assert 1 == outcomes.count("yes")


async def test_the_disk_is_touched_in_worker_threads_only(tmp_path: Path) -> None:
    """Neither a miss nor a hit opens or moves a file on the thread of the event loop."""
    wrapped = cached(PlannedLM(), tmp_path)
    seen: list[tuple[str, int]] = []
    watching = True

    def watch(event: str, args: tuple[Any, ...]) -> None:
        if watching and event in ("open", "os.rename") and str(tmp_path) in str(args[0]):
            seen.append((event, threading.get_ident()))

    sys.addaudithook(watch)  # for good: there is no taking one off
    try:
        await wrapped.complete(ask())
        await wrapped.complete(ask())
    finally:
        watching = False
    assert {"open", "os.rename"} == {event for event, _ in seen}
    assert threading.get_ident() not in {thread for _, thread in seen}


async def test_an_answer_that_cannot_be_kept_is_given(tmp_path: Path) -> None:
    """A folder that is gone meanwhile is a warning: the answer is paid for."""
    folder = tmp_path / "gone"
    wrapped = cached(PlannedLM(), folder)
    folder.rmdir()
    with pytest.warns(RuntimeWarning, match="could not be kept in .*gone"):
        assert "yes" == (await wrapped.complete(ask())).text


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    """The error comes when the wrapper is made, with the reason."""
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="no answers can be kept in .*file.*give a folder that can be written"):
        cached(PlannedLM(), tmp_path / "file" / "folder")


def test_a_language_model_without_an_identity_needs_a_key(tmp_path: Path) -> None:
    """Answers of unknown models would be taken for one another's."""
    with pytest.raises(ValueError, match=r"ScriptedLM does not say what decides its answers .*pass key="):
        cached(ScriptedLM([]), tmp_path)
    with pytest.raises(ValueError, match="must be JSON-able data: .* set is not JSON"):
        cached(PlannedLM(), tmp_path, key={"a": {1}})
    with pytest.raises(ValueError, match="ttl"):
        cached(PlannedLM(), tmp_path, ttl=0)
    assert {"key": "v1"} == cached(ScriptedLM([]), tmp_path, key="v1").identity


async def test_cancelled_anywhere_nothing_is_left_or_uncounted(tmp_path: Path) -> None:
    """Cancelled at each step: no flight and no temporary file stays, and what was used is counted."""
    runs = 0

    async def some() -> None:
        nonlocal runs
        runs += 1
        lm = PlannedLM()
        wrapped = cached(lm, tmp_path, key=str(runs))
        answered: list[Usage] = []

        async def one() -> None:
            answered.append((await wrapped.complete(ask())).usage)

        with losses() as lost:
            try:
                async with anyio.create_task_group() as group:
                    group.start_soon(one)
                    group.start_soon(one)
            finally:
                assert {} == wrapped._flights
                assert not list(tmp_path.glob(".*"))
        assert lm.bill == sum(answered, lost.usage)

    outcomes = await sweep_cancellations(some)
    assert len(outcomes) > 4
    assert [] == [outcome.exception for outcome in outcomes if outcome.exception is not None]


async def test_a_paid_answer_that_gets_lost_is_counted(tmp_path: Path) -> None:
    """Cancelled between the answer and its file, the caller gets nothing, and what it cost is told."""
    scope = anyio.CancelScope()

    class LastMoment(PlannedLM):
        async def complete(self, request: LMRequest) -> LMResponse:
            response = await super().complete(request)
            scope.cancel()
            return response

    lm = LastMoment()
    with losses() as lost, scope:
        await cached(lm, tmp_path).complete(ask())
    assert scope.cancelled_caught
    assert lm.bill == lost.usage
    assert 10 == lost.usage.output_tokens


@pytest.mark.slow
def test_processes_may_share_a_folder(tmp_path: Path) -> None:
    """While two processes write one file over and over, a reader finds one whole answer or the other's."""
    asked = asked_for(ask(), "gpt")
    path = tmp_path / entry_name(asked)
    code = """
import sys
from pathlib import Path
from dagflow import LMResponse
from dagflow.lm.wrappers.cache import _write
from dagflow.lm.wrappers.cache_entry import asked_for, write_entry
from lm.planned_lm import ask
text = write_entry(asked_for(ask(), "gpt"), LMResponse(text=sys.argv[2] * 50_000), 1.0)
for _ in range(200):
    _write(Path(sys.argv[1]), text)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code, str(path)]
    writers = [subprocess.Popen([*command, letter], env=environment) for letter in "ab"]
    read: set[str] = set()
    while any(writer.poll() is None for writer in writers):
        data = _read(path)
        if data is not None:
            answer = read_entry(data, asked, made_after=0)
            assert answer is not None
            read.add(answer.text)
    assert [0, 0] == [writer.wait() for writer in writers]
    assert read <= {"a" * 50_000, "b" * 50_000}
    assert read
    assert [path] == list(tmp_path.iterdir())
