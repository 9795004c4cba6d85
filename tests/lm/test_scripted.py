"""The scripted model: it answers as its script says, and says clearly where that ends."""

from typing import Any

import anyio
import attrs
import pytest

from dagflow import LMError, LMRequest, LMResponse, Node
from dagflow.testing import ScriptedLM


class First(Node):
    text: str

    async def __call__(self) -> None: ...


class Second(Node):
    number: int
    tag: str = ""

    async def __call__(self) -> None: ...


async def first(lm: ScriptedLM) -> str:
    return (await lm.fill(First, {}, "First")).text


async def test_one_answer_is_given_every_time() -> None:
    """An entry that is no list has an answer for each request."""
    lm = ScriptedLM({"First": {"text": "a"}})
    assert ["a", "a"] == [await first(lm), await first(lm)]
    assert 2 == len(lm.requests)


async def test_a_list_is_given_in_order_and_left_whole() -> None:
    """A list is used up, once; the caller's own stays as it was."""
    answers = [{"text": "a"}, First(text="b")]
    lm = ScriptedLM({First: answers})
    assert ["a", "b"] == [await first(lm), await first(lm)]
    with pytest.raises(LMError, match="no answer left for First; it has 0 left for First"):
        await first(lm)
    assert 2 == len(answers)


async def test_a_sequence_answers_whatever_is_asked() -> None:
    """A script without names is used up in the order of the requests."""
    lm = ScriptedLM(["Second", {"number": 1}, {"text": "a"}])
    chosen = await lm.choose_type((First, Second), {})
    assert Second is chosen
    assert 1 == (await lm.fill(Second, {}, "Second")).number
    assert "a" == await first(lm)
    with pytest.raises(LMError, match="no answer left, and First was asked for"):
        await first(lm)


async def test_a_function_answers_from_the_request() -> None:
    """A function sees the request, and its answer is used as any other."""

    def answer(request: LMRequest) -> Any:
        return {"text": f"{request.purpose} {request.target} from {request.resolved}"}

    assert "fill First from {}" == await first(ScriptedLM({"First": answer}))
    assert "fill First from {}" == await first(ScriptedLM([answer]))


async def test_an_instance_answers_with_what_is_asked_for() -> None:
    """Of a whole node only the fields that are asked for are sent."""
    lm = ScriptedLM({"Second": Second(number=1, tag="mine")})
    assert Second(number=1, tag="given") == await lm.fill(Second, {"tag": "given"}, "Second")


@pytest.mark.parametrize("error", [LMError("down"), OSError, OSError("broken pipe")])
async def test_an_exception_is_raised(error: Any) -> None:
    """An exception, or its class, is raised in place of an answer."""
    with pytest.raises(error if isinstance(error, type) else type(error)):
        await first(ScriptedLM({"First": error}))


async def test_a_response_is_given_as_it_is() -> None:
    """A whole response can be scripted, with its usage and reason to end."""
    response = LMResponse(text='{"text": "a"}', model="mine")
    request = LMRequest(system="", messages=(), schema={}, schema_name="First", purpose="fill", target="First")
    assert response is await ScriptedLM([response]).complete(request)


async def test_what_is_not_in_the_script_is_an_error_that_tells_what_is() -> None:
    """The error names what was asked for, and what there are answers for."""
    lm = ScriptedLM({"Second": [{"number": 1}, {"number": 2}], "choose": "Second"})
    with pytest.raises(LMError, match="no answer for First; it has 2 left for Second, any number for choose"):
        await first(lm)


async def test_usage_is_deterministic() -> None:
    """Usage is counted in words, so that demonstrations show figures and tests can compare them."""
    usages = []
    for _ in range(2):
        lm = ScriptedLM({"First": '{"text": "two words"}'})
        await first(lm)
        usages.append((await lm.complete(lm.requests[0])).usage)
    assert usages[0] == usages[1]
    assert (1, 3) == (usages[0].requests, usages[0].output_tokens)
    assert usages[0].input_tokens > 10


async def test_answers_are_taken_in_the_order_of_the_calls() -> None:
    """Requests that overlap get their answers in the order in which they were made."""
    lm = ScriptedLM(["a", "b", "c"], latency=0.001)
    request = LMRequest(system="", messages=(), schema={}, schema_name="", purpose="fill", target="First")
    found: dict[int, str] = {}

    async def ask(number: int) -> None:
        found[number] = (await lm.complete(attrs.evolve(request, schema_name=str(number)))).text

    async with anyio.create_task_group() as group:
        for number in range(3):
            group.start_soon(ask, number)
    asked = [int(request.schema_name) for request in lm.requests]
    assert ["a", "b", "c"] == [found[number] for number in asked]


async def test_free_text_has_an_entry_of_its_own() -> None:
    """A request for free text is no choice."""
    lm = ScriptedLM({"choose": "First", "text": "good morning"})
    assert "good morning" == (await lm.ask(LMRequest(system="", messages=()))).text
