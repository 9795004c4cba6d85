"""Our own adapters make of each scenario what the official SDKs make of it."""

from typing import Any

import attrs
import pytest

from dagflow import AnthropicBackend, LMError, OpenAIBackend
from dagflow.lm.provider import HTTPBackend
from dagflow.testing import assert_no_leaks
from dagflow.testing.lm_server import LMServer
from lm.scenarios import KEY, MODEL, SCENARIOS, Failure, Scenario

EACH = [(provider, scenario) for scenario in SCENARIOS for provider in scenario.providers]


def backend(provider: str, server: LMServer, scenario: Scenario) -> HTTPBackend:
    options: dict[str, Any] = {
        "api_key": scenario.key,
        "retry": None,
        "stream": scenario.stream,
        "timeout": scenario.timeout,
    }
    if provider == "openai":
        return OpenAIBackend(MODEL, base_url=f"{server.url}/v1", **options)
    return AnthropicBackend(MODEL, base_url=server.url, **options)


@pytest.mark.parametrize(("provider", "scenario"), EACH, ids=[f"{p}-{s.name}" for p, s in EACH])
async def test_a_scenario_comes_out_as_expected(provider: str, scenario: Scenario) -> None:
    """The response, or the error with its status, message and advice, is what any correct client would report."""
    async with assert_no_leaks(), LMServer(scenario.script, api_key=KEY) as server:
        lm = backend(provider, server, scenario)
        if isinstance(scenario.expected, Failure):
            with pytest.raises(LMError) as caught:
                await lm.complete(scenario.request)
            check_failure(scenario.expected, caught.value)
        else:
            response = await lm.complete(scenario.request)
            assert scenario.expected == attrs.evolve(response, request_id=None)
            assert server.requests[0].request_id == response.request_id
        assert scenario.stream == server.requests[0].streamed
        await server.until(lambda: not server.open_connections)


def check_failure(expected: Failure, error: LMError) -> None:
    assert expected.said in str(error)
    assert expected.retriable == error.retriable
    assert expected.retry_after == error.retry_after
    if expected.kind == "status":
        assert expected.status == error.status
