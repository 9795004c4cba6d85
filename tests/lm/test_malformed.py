"""Malformed answers, over real connections: a value or a typed error, never a part taken for the whole."""

import json

import pytest

from dagflow import AnthropicBackend, DagflowError, FillError, Graph, LMError, OpenAIBackend, Retry
from dagflow.lm.provider import HTTPBackend
from dagflow.testing.lm_server import LMServer
from lm.malformed import CASES, GOOD, KINDS, VALUE, Ask, Case, Order

GRAPH = Graph(start=Ask)
RETRY = Retry(attempts=3, delay=0.0, on=(LMError,))


def backend(provider: str, server: LMServer, case: Case) -> HTTPBackend:
    options = {"api_key": "sk-test", "retry": RETRY, "stream": case.stream, "timeout": case.timeout}
    if provider == "openai":
        return OpenAIBackend("model", base_url=f"{server.url}/v1", **options)  # type: ignore[arg-type]  # as above
    return AnthropicBackend("model", base_url=server.url, **options)  # type: ignore[arg-type]  # as above


def test_there_are_300_cases() -> None:
    """25 kinds of 12 each, and no two of a kind are the same."""
    assert 25 == len(KINDS)
    assert 300 == len(CASES) == len({case.name for case in CASES})
    for kind in KINDS:
        made = [repr(case.reply) for case in CASES if case.kind == kind.make.__name__]
        assert 12 == len(made)
    assert VALUE == Order(**VALUE.__dict__)


@pytest.mark.slow
@pytest.mark.parametrize("provider", ["openai", "anthropic"])
@pytest.mark.parametrize("kind", [kind.make.__name__ for kind in KINDS])
async def test_a_malformed_answer_is_a_value_or_a_typed_error(kind: str, provider: str) -> None:
    """Each answer gives the value that is meant or the error of its kind, after a bounded number of requests."""
    answering: Case | None = None
    async with LMServer(lambda request: answering.reply if answering else "") as server:
        for case in (case for case in CASES if case.kind == kind):
            answering, before = case, server.received
            result: object
            async with backend(provider, server, case) as lm:
                try:
                    result = (await GRAPH.run(Ask(text="An order, please."), lm=lm)).node
                except DagflowError as error:
                    result = error
            check(case, result)
            assert server.received - before <= case.requests, case.name
            if case.outcome != "value" and case.kind != "five_megabytes":
                assert len(str(result)) < 20_000, f"{case.name}: an error is read by people"


def check(case: Case, result: object) -> None:
    if case.outcome == "value":
        assert isinstance(result, Order), f"{case.name}: {result!r}"
        assert VALUE == result or len(result.note or "") >= 5_000_000, case.name
    elif case.outcome == "invalid":
        assert isinstance(result, FillError), f"{case.name}: {result!r}"
        assert all(item.path.startswith("$") and item.problem for item in result.invalid), case.name
    else:
        assert isinstance(result, LMError), f"{case.name}: {result!r}"
        assert str(result), case.name


async def test_the_good_answer_is_taken() -> None:
    """What the cases were made of is itself accepted, by both providers' adapters, streamed or not."""
    async with LMServer(json.dumps(GOOD)) as server:
        for provider in ("openai", "anthropic"):
            for stream in (False, True):
                case = Case("good", 0, None, "value", 1, stream=stream)
                lm = backend(provider, server, case)
                assert VALUE == (await GRAPH.run(Ask(text="An order, please."), lm=lm)).node
