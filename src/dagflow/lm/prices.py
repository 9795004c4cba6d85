"""What requests cost: from prices that the user gives, else from the price list of `genai-prices`."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

import attrs
from anyio.to_thread import run_sync

__all__ = ["Price", "PriceList"]


@attrs.frozen
class Price:
    """The price of a model in US dollars a million tokens.

    `cached_input` is that of input tokens which the provider had in its cache; the full price where it is
    `None`.
    """

    input: float = attrs.field(validator=attrs.validators.ge(0))
    output: float = attrs.field(validator=attrs.validators.ge(0))
    cached_input: float | None = attrs.field(default=None, validator=attrs.validators.optional(attrs.validators.ge(0)))

    def cost(self, model: str, *, input_tokens: int, cached_tokens: int, output_tokens: int) -> float | None:
        """The cost of one request in US dollars; `cached_tokens` are part of `input_tokens`."""
        cached = self.input if self.cached_input is None else self.cached_input
        dollars = (input_tokens - cached_tokens) * self.input + cached_tokens * cached + output_tokens * self.output
        return dollars / 1_000_000


class PriceList:
    """The list prices of a provider's models, where `genai-prices` is installed (the extra `prices`).

    The provider is given by name, or by the base URL of its interface.
    """

    def __init__(self, *, provider: str | None = None, url: str | None = None) -> None:
        self._whose = {"provider_id": provider, "provider_api_url": url}
        self._library: Any = None
        self._is_there = importlib.util.find_spec("genai_prices") is not None

    async def load(self) -> None:
        """Read the list, unless it was read; in a worker thread, because it takes a quarter of a second."""
        if self._is_there and self._library is None:
            self._library = await run_sync(_loaded)

    def cost(self, model: str, *, input_tokens: int, cached_tokens: int, output_tokens: int) -> float | None:
        """The cost of one request in US dollars; `None` for a model without a price, and before the list is read."""
        if self._library is None:
            return None
        usage = self._library.Usage(
            input_tokens=input_tokens, cache_read_tokens=cached_tokens, output_tokens=output_tokens
        )
        try:
            price = self._library.calc_price(usage, model_ref=model, **self._whose)
        except LookupError:
            return None
        return float(price.total_price)


def _loaded() -> Any:
    library = importlib.import_module("genai_prices")
    # The data itself is imported where it is first asked for.
    importlib.import_module("genai_prices.data_snapshot").get_snapshot()
    return library
