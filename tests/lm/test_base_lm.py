"""`BaseLM`: what it asks, what it takes for an answer, and what it raises."""

import json
from typing import Annotated, Any

import anyio
import attrs
import pytest

from dagflow import (
    LM,
    BaseLM,
    Dep,
    FillError,
    Graph,
    LMError,
    LMRequest,
    LMResponse,
    Node,
    NodeConfig,
    Usage,
    dep,
    field,
)
from dagflow.testing import ScriptedLM


async def locate() -> str:
    return "Faro"


class Start(Node):
    message: str

    async def __call__(self) -> "Outfit | Question | None": ...


class Outfit(Node):
    """Wear this docstring."""

    place: str = dep(locate)
    top: str = field(description="a garment for the upper body", validator=attrs.validators.min_len(2))
    size: int
    note: str = ""

    async def __call__(self) -> None: ...


class Question(Node):
    node_config = NodeConfig(instruction="Ask the person something.")
    text: str

    async def __call__(self) -> Outfit: ...


class Computed(Node):
    place: Annotated[str, Dep(locate)]

    async def __call__(self) -> None: ...


START = Start(message="just got up")
ANSWER = {"top": "shirt", "size": 3}
TEXT = json.dumps({**ANSWER, "note": "a \u00e9, and a longer note: [1] {x}"})


async def fill(lm: BaseLM) -> Outfit:
    return await lm.fill(Outfit, {"place": "Faro"}, "Outfit", START)


def malformed() -> list[Any]:
    """Answers that are no valid outfit, each of another kind."""
    cut = [TEXT[:end] for end in range(len(TEXT))]
    return [
        *cut,
        *(f"```json\n{text}\n```" for text in cut[1::5]),
        *(f"Sure! {text}" for text in cut[1::5]),
        "I cannot help with that.",
        "<html><body><h1>502 Bad Gateway</h1></body></html>",
        "null",
        "42",
        '"shirt"',
        "[]",
        "{}",
        f"[{TEXT}]",
        f'{TEXT} {{"top": "coat", "size": 1}}',
        f"{TEXT}}}",
        '{"top": "shirt", "size": 3, "size": 4}',
        '{"top": "shirt", "size": NaN}',
        '{"top": "shirt", "size": 1e999}',
        '{"top": "\\ud800x", "size": 3}',
        {"top": "shirt"},
        {"top": "shirt", "size": "3"},
        {"top": "shirt", "size": 3.0},
        {"top": "shirt", "size": True},
        {"top": "shirt", "size": None},
        {"top": ["shirt"], "size": 3},
        {"top": "x", "size": 3},
        {"Top": "shirt", "size": 3},
        {**ANSWER, "place": "Lisbon"},
        {**ANSWER, "colour": "red"},
        {"Outfit": ANSWER},
        "[" * 100_000,
        "{" * 1_000_000,
        "x" * 1_000_000,
        LMResponse(text=TEXT, finish_reason="length"),
        LMResponse(text="", finish_reason="length"),
    ]


async def test_malformed_answers_end_in_typed_errors_after_bounded_repairs() -> None:
    """Whatever comes in place of an answer is asked for again `repairs` times, then told field by field."""
    cases = malformed()
    assert len(cases) > 100
    for case in cases:
        lm = ScriptedLM({"Outfit": case}, repairs=1)
        with pytest.raises(FillError) as caught:
            await fill(lm)
        assert (2, 2) == (caught.value.attempts, len(lm.requests))
        assert "Outfit" == caught.value.target
        assert all(item.path.startswith("$") for item in caught.value.invalid)
        assert len(str(caught.value)) < 2000
        assert sum(len(message.content) for message in lm.requests[-1].messages) < 30_000


@pytest.mark.parametrize(
    "answer",
    [
        TEXT,
        f"```json\n{TEXT}\n```",
        f"Sure!\n{TEXT}\nAnything else?",
        f"{TEXT}\n{TEXT}",
        {"top": "shirt", "size": 3, "note": None},
        Outfit(top="shirt", size=3),
    ],
)
async def test_a_valid_answer_is_taken(answer: Any) -> None:
    """One request is enough for an answer that is valid, and given values are kept."""
    lm = ScriptedLM({"Outfit": answer})
    outfit = await fill(lm)
    assert ("Faro", "shirt", 3) == (outfit.place, outfit.top, outfit.size)
    assert 1 == len(lm.requests)


async def test_a_repair_sends_the_problems_back() -> None:
    """The next request holds the first one, the answer, and each problem with its path; then it may be mended."""
    lm = ScriptedLM({"Outfit": [{"top": "x", "sise": 3}, ANSWER]})
    await fill(lm)
    first, second = lm.requests
    asked, answered, problems = second.messages
    assert first.messages == (asked,)
    assert ("assistant", '{"top": "x", "sise": 3}') == (answered.role, answered.content)
    for line in (
        "- $.sise: unknown field; did you mean 'size'?",
        "- $.size: missing; expected integer",
        "- $.top: Length of 'top' must be >= 2: 1",
    ):
        assert line in problems.content


async def test_repairs_do_not_grow_the_request() -> None:
    """A later repair sends the last answer alone."""
    lm = ScriptedLM({"Outfit": ["", "", ANSWER]})
    await fill(lm)
    assert [1, 3, 3] == [len(request.messages) for request in lm.requests]
    assert all(message.content for request in lm.requests for message in request.messages)


@pytest.mark.parametrize("repairs", [0, 1, 3])
async def test_repairs_are_bounded(repairs: int) -> None:
    """A model that does not learn is asked once, and `repairs` times more."""
    lm = ScriptedLM({"Outfit": {}}, repairs=repairs)
    with pytest.raises(FillError) as caught:
        await fill(lm)
    assert repairs + 1 == caught.value.attempts == len(lm.requests)
    assert ["$.top", "$.size"] == [item.path for item in caught.value.invalid]
    assert "{}" == caught.value.answer


async def test_a_refusal_is_no_answer() -> None:
    """A refusal is an `LMError`, be its text a valid answer, and is not asked for again."""
    lm = ScriptedLM({"Outfit": LMResponse(text=TEXT, finish_reason="refusal")})
    with pytest.raises(LMError, match="refused") as caught:
        await fill(lm)
    assert not caught.value.retriable
    assert 1 == len(lm.requests)


async def test_an_error_of_the_adapter_passes_through() -> None:
    """What `complete` raises is neither wrapped nor repaired."""
    error = LMError("overloaded", status=529, retriable=True)
    lm = ScriptedLM({"Outfit": error})
    with pytest.raises(LMError) as caught:
        await fill(lm)
    assert error is caught.value
    assert 1 == len(lm.requests)


async def test_no_plain_field_costs_no_request() -> None:
    """A node whose fields are all known is made without the model."""
    lm = ScriptedLM({})
    assert Computed(place="Faro") == await lm.fill(Computed, {"place": "Faro"}, "Computed")
    known = {"place": "Faro", "top": "coat", "size": 1, "note": ""}
    assert "coat" == (await lm.fill(Outfit, known, "Outfit")).top
    assert [] == lm.requests


async def test_known_plain_fields_are_not_asked_for() -> None:
    """The schema has the fields that are missing, and no others."""
    lm = ScriptedLM({"Outfit": {"size": 3}})
    outfit = await lm.fill(Outfit, {"place": "Faro", "top": "coat", "note": ""}, "Outfit")
    assert ("coat", 3) == (outfit.top, outfit.size)
    assert ["size"] == list((lm.requests[0].schema or {})["properties"])


async def test_one_candidate_costs_no_choice() -> None:
    """A choice of one is made without the model, also where it is stopping."""
    lm = ScriptedLM({})
    assert Outfit is await lm.choose_type((Outfit,), {})
    assert await lm.choose_type((None,), {}) is None
    assert [] == lm.requests
    with pytest.raises(ValueError, match="no type to choose from"):
        await lm.choose_type((), {})


@pytest.mark.parametrize(
    ("answer", "chosen"),
    [
        ("Outfit", Outfit),
        (Outfit, Outfit),
        ('"Question"', Question),
        ({"choice": "Question"}, Question),
        ('```json\n{"choice": "Outfit"}\n```', Outfit),
        ("stop", None),
        (None, None),
    ],
)
async def test_a_choice_is_one_of_the_types_or_stopping(answer: Any, chosen: Any) -> None:
    """The model names a type, or says that it stops."""
    lm = ScriptedLM({"choose": answer})
    assert chosen is await lm.choose_type((Outfit, Question, None), {"message": "hello"})


async def test_an_invalid_choice_is_repaired() -> None:
    """An unknown name is sent back with the nearest one, and the choice is asked for again."""
    lm = ScriptedLM({"choose": ["outfits", {"chosen": "Outfit"}, "Outfit"]})
    assert Outfit is await lm.choose_type((Outfit, Question), {})
    assert (
        "$.choice: expected one of the values ('Outfit', 'Question'), got string 'outfits'; did you mean 'Outfit'?"
        in (lm.requests[1].messages[-1].content)
    )
    assert "$.choice: missing; expected one of 'Outfit', 'Question'" in lm.requests[2].messages[-1].content


async def test_a_choice_that_stays_invalid_is_an_error() -> None:
    """Stopping is no choice where it was not offered."""
    lm = ScriptedLM({"choose": "stop"})
    with pytest.raises(FillError, match="choice of Outfit or Question") as caught:
        await lm.choose_type((Outfit, Question), {})
    assert 3 == caught.value.attempts


async def test_types_of_one_name_can_both_be_chosen() -> None:
    """Two types with one name are told apart by a number."""
    other = type("Outfit", (Question,), {})
    lm = ScriptedLM({"choose": "Outfit_2"})
    assert other is await lm.choose_type((Outfit, other), {})


async def test_make_resolves_and_fills() -> None:
    """`make` gives the target its dependencies, and asks for the rest."""
    lm = ScriptedLM({Outfit: ANSWER})
    outfit = await lm.make(START, Outfit)
    assert ("Faro", "shirt", 3) == (outfit.place, outfit.top, outfit.size)
    assert {"place": "Faro"} == lm.requests[0].resolved
    assert START is lm.requests[0].source


async def test_decide_chooses_and_makes() -> None:
    """`decide` follows the return hint: a choice, then what was chosen; one candidate is made at once."""
    lm = ScriptedLM({"choose": ["Question", None], "Question": {"text": "Cold?"}, "Outfit": ANSWER})
    question = await lm.decide(START)
    assert Question(text="Cold?") == question
    assert await lm.decide(START) is None
    assert isinstance(question, Question)
    assert isinstance(await lm.decide(question), Outfit)
    assert ["choose", "fill", "choose", "fill"] == [request.purpose for request in lm.requests]


async def test_usage_of_repairs_is_counted() -> None:
    """Every request of a run is in its usage, with those whose answers were no use."""
    lm = ScriptedLM({"choose": "Outfit", "Outfit": ["", {}, ANSWER]})
    result = await Graph(start=Start).run(START, lm=lm)
    assert 4 == result.usage.requests == len(lm.requests)


class Sleeping(BaseLM):
    """Never answers, and notes that it was cancelled."""

    def __init__(self) -> None:
        self.asked = anyio.Event()
        self.cancelled = False

    async def complete(self, request: LMRequest) -> LMResponse:
        self.asked.set()
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            self.cancelled = True
            raise
        raise AssertionError("never woken")


async def test_cancellation_passes_through() -> None:
    """A cancelled request ends at once, and is no answer to repair."""
    lm = Sleeping()
    async with anyio.create_task_group() as group:
        group.start_soon(fill, lm)
        await lm.asked.wait()
        group.cancel_scope.cancel()
    assert lm.cancelled


def test_an_adapter_is_a_language_model() -> None:
    """Every `BaseLM` has what nodes ask of an `LM`; other objects have not."""
    assert isinstance(Sleeping(), LM)
    assert not isinstance(object(), LM)


def test_requests_do_not_show_values() -> None:
    """The nodes and values of a request stay out of its repr."""
    request = LMRequest(
        system="", messages=(), schema={}, schema_name="A", purpose="fill", source=START, resolved={"key": "hunter2"}
    )
    assert "hunter2" not in repr(request)
    assert "just got up" not in repr(request)


def test_usage_defaults_to_one_request() -> None:
    """An adapter that reports nothing has still made a request."""
    assert Usage(requests=1) == LMResponse(text="").usage
