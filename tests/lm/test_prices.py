"""Prices: what a request costs, by the user's prices or by the list, which no event loop waits for."""

from __future__ import annotations

import sys
import threading
from importlib.abc import MetaPathFinder
from typing import Any

import pytest

from dagflow import AnthropicBackend, BaseLM, OpenAIBackend, Price
from dagflow.lm.prices import PriceList
from dagflow.testing.lm_server import LMServer
from lm.adapters import FILL, KEY, VALUES, Answer, Question

LIBRARY = "genai_prices"


class Imports(MetaPathFinder):
    """Notes the threads that import the list: the detector of blocking calls lets imports pass."""

    def __init__(self) -> None:
        self.threads: list[int] = []

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        """Find nothing: the finders after this one are asked."""
        if fullname == f"{LIBRARY}.data":
            self.threads.append(threading.get_ident())


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch) -> Imports:
    """As in a process that has not read the list yet."""
    pytest.importorskip(LIBRARY)
    for name in [name for name in sys.modules if name.partition(".")[0] == LIBRARY]:
        monkeypatch.delitem(sys.modules, name)
    imports = Imports()
    monkeypatch.setattr(sys, "meta_path", [imports, *sys.meta_path])
    return imports


def test_the_users_prices_count() -> None:
    """Dollars a million tokens; what was in the provider's cache at its own price, or at the full one."""
    tokens = {"input_tokens": 3_000_000, "cached_tokens": 1_000_000, "output_tokens": 500_000}
    assert 2 * 2.0 + 0.5 + 4.0 == Price(input=2.0, output=8.0, cached_input=0.5).cost("any", **tokens)
    assert 3 * 2.0 + 4.0 == Price(input=2.0, output=8.0).cost("any", **tokens)


async def test_the_list_is_read_in_a_thread(unread: Imports) -> None:
    """The list has prices once it is read, and none of models that nobody knows; the event loop waits for neither."""
    prices = PriceList(provider="openai")
    tokens = {"input_tokens": 1_000_000, "cached_tokens": 0, "output_tokens": 0}
    assert prices.cost("gpt-4o", **tokens) is None
    await prices.load()
    assert 2.5 == prices.cost("gpt-4o", **tokens)
    assert 1 == len(unread.threads)
    assert threading.get_ident() not in unread.threads
    assert prices.cost("no-such-model", **tokens) is None


@pytest.mark.parametrize(("adapter", "path"), [(OpenAIBackend, "/v1"), (AnthropicBackend, "")])
async def test_backends_have_read_it_before_they_answer(adapter: Any, path: str, unread: Imports) -> None:
    """A backend is made, and its first answer priced, without the event loop reading the list."""
    async with LMServer(VALUES["Answer"]) as server:
        lm: BaseLM = adapter("gpt-4o", api_key=KEY, base_url=server.url + path)
        assert LIBRARY not in sys.modules
        assert Answer(city="Faro", sunny=True) == (await FILL.run(Question(text="Where?"), lm=lm)).node
    assert 1 == len(unread.threads)
    assert threading.get_ident() not in unread.threads


async def test_who_has_prices_needs_no_list(unread: Imports) -> None:
    """The list is not read where the user says what tokens cost."""
    async with LMServer(VALUES["Answer"]) as server:
        lm = OpenAIBackend("gpt-4o", api_key=KEY, base_url=f"{server.url}/v1", price=Price(input=1e6, output=0))
        result = await FILL.run(Question(text="Where?"), lm=lm)
    assert result.usage.input_tokens == result.usage.cost
    assert LIBRARY not in sys.modules
