"""What all adapters do, on both event loops; the table in the docs is made of these tests."""

from pathlib import Path

import anyio
import pytest

from dagflow import LMError
from dagflow.events import LMCalled, Token
from dagflow.testing import assert_no_leaks
from dagflow.testing.lm_server import Reply
from lm.adapters import (
    ADAPTERS,
    CHOOSE,
    FILL,
    OF_LIBRARIES,
    TOOLS,
    VALUES,
    Adapter,
    Answer,
    Asked,
    Fork,
    Question,
    each,
    place_for,
    program_does,
)

pytestmark = [pytest.mark.slow, *OF_LIBRARIES]

PAGE = Path(__file__).parents[2] / "docs" / "language-models.md"


@each
async def test_it_fills(adapter: Adapter, tmp_path: Path) -> None:
    """A typed answer, with what it used."""
    async with place_for(adapter, tmp_path) as place, assert_no_leaks():
        program_does(place, {"value": VALUES["Answer"]})
        result = await FILL.run(Question(text="Where?"), lm=adapter.make(place))
        assert Answer(city="Faro", sunny=True) == result.node
        assert result.usage.requests >= 1
        assert result.usage.input_tokens > 0 < result.usage.output_tokens
        assert not result.usage.estimated


@each
async def test_it_chooses(adapter: Adapter, tmp_path: Path) -> None:
    """A choice among types, and then the one that was chosen."""
    async with place_for(adapter, tmp_path) as place:
        program_does(place, {"value": VALUES["Choice"]}, {"value": VALUES["Answer"]})
        result = await CHOOSE.run(Fork(text="Where?"), lm=adapter.make(place))
        assert Answer(city="Faro", sunny=True) == result.node


@each
async def test_it_calls_tools_or_says_that_it_cannot(adapter: Adapter, tmp_path: Path) -> None:
    """A turn of tools on the provider's own protocol; else an error that says what to do, and nothing is sent."""
    async with place_for(adapter, tmp_path) as place:
        program_does(place, {"value": VALUES["Answer"]})
        lm = adapter.make(place)
        if adapter.tools:
            result = await TOOLS.run(Asked(text="Where?"), lm=lm)
            assert "Faro" == result.node.city
            assert 2 == result.usage.requests
        else:
            with pytest.raises(LMError, match="weather"):
                await TOOLS.run(Asked(text="Where?"), lm=lm)
            assert 0 == place.server.received


@each
async def test_it_streams_tokens_or_none(adapter: Adapter, tmp_path: Path) -> None:
    """Whoever follows the run gets the answer as it comes, where the adapter can stream."""
    async with place_for(adapter, tmp_path) as place:
        program_does(place, {"value": VALUES["Answer"]})
        async with FILL.stream(Question(text="Where?"), lm=adapter.make(place)) as events:
            seen = [event async for event in events]
        assert any(isinstance(event, LMCalled) for event in seen)
        text = "".join(event.text for event in seen if isinstance(event, Token))
        assert ("Faro" in text) == adapter.tokens


@each
async def test_a_cancelled_call_is_really_over(adapter: Adapter, tmp_path: Path) -> None:
    """A run that is cancelled closes its connection, or ends its program, before it is over."""
    async with place_for(adapter, tmp_path, Reply.hang()) as place, assert_no_leaks():
        program_does(place, {"stall": True})
        lm = adapter.make(place)
        async with anyio.create_task_group() as tasks:

            async def run() -> None:
                await FILL.run(Question(text="Where?"), lm=lm)

            tasks.start_soon(run)
            if adapter.is_program:
                while not (tmp_path / "calls.jsonl").exists():  # noqa: ASYNC110  # a program
                    await anyio.sleep(0.01)
            else:
                await place.server.arrived(1)
            tasks.cancel_scope.cancel()
        if not adapter.is_program:
            await place.server.closed_early(1)


@each
async def test_an_error_is_typed(adapter: Adapter, tmp_path: Path) -> None:
    """A key that is refused is an `LMError` with its status, which is not retried."""
    async with place_for(adapter, tmp_path, Reply.error(401, "no such key")) as place:
        program_does(place, {"exit": 1, "stderr": "API Error: 401 no such key"})
        with pytest.raises(LMError, match="no such key") as caught:
            await FILL.run(Question(text="Where?"), lm=adapter.make(place))
        assert not caught.value.retriable
        assert adapter.is_program or 401 == caught.value.status
        assert place.server.received <= 1


def table() -> str:
    """The table of the docs."""
    lines = ["| backend | asyncio | trio | tools | tokens as they come |", "|---|---|---|---|---|"]
    for adapter in ADAPTERS:
        tools = "yes" if adapter.tools else "refused"
        lines.append(f"| {adapter.name} | yes | {adapter.on_trio} | {tools} | {'yes' if adapter.tokens else 'no'} |")
    return "\n".join(lines)


def test_the_table_of_the_docs_is_that_of_the_tests() -> None:
    """The docs say of each adapter what the tests show; where they differ, `table()` is what they should say."""
    page = PAGE.read_text()
    shown = page.partition("<!-- adapters -->\n")[2].partition("<!-- end of adapters -->")[0]
    assert table() == shown.strip()
