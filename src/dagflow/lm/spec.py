"""Language models by name: `openai:MODEL` and the like, as the command line and files write them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Final

import attrs

from dagflow.lm.base import BaseLM

__all__ = ["ADAPTERS", "Adapter", "load_lm"]


@attrs.frozen
class Adapter:
    """A kind of language model that can be named: where its class is, and how its name is written."""

    module: str
    name: str
    form: str
    model_required: bool = True

    def load(self) -> Callable[..., BaseLM]:
        """Import its class."""
        adapter: Callable[..., BaseLM] = getattr(import_module(self.module), self.name)
        return adapter


ADAPTERS: Final[Mapping[str, Adapter]] = {
    "openai": Adapter("dagflow.lm.openai", "OpenAIBackend", "openai:MODEL"),
    "anthropic": Adapter("dagflow.lm.anthropic", "AnthropicBackend", "anthropic:MODEL"),
    "claude-cli": Adapter("dagflow.lm.claude_cli", "ClaudeCLIBackend", "claude-cli[:MODEL]", model_required=False),
    "pydantic-ai": Adapter("dagflow.lm.pydantic_ai", "PydanticAIBackend", "pydantic-ai:PROVIDER:MODEL"),
    "dspy": Adapter("dagflow.lm.dspy", "DSPyBackend", "dspy:PROVIDER/MODEL"),
}


def load_lm(spec: str, **options: Any) -> BaseLM:
    """Make the language model that a spec names, such as `openai:gpt-5`, `anthropic:MODEL` or `claude-cli`.

    `options` are those of the adapter's class, such as `base_url` and `temperature`; one that is `None` is left
    out.

    Raises `ValueError` for a spec that names none, and for an option that the adapter does not take; `LMError`
    where a key is missing; `ImportError` where its library is not installed, naming the extra.
    """
    name, _, model = spec.partition(":")
    adapter = ADAPTERS.get(name)
    if adapter is None:
        raise ValueError(f"{spec!r} names no language model; there is {', '.join(a.form for a in ADAPTERS.values())}")
    if adapter.model_required and not model:
        raise ValueError(f"{spec!r} names no model; write {adapter.form}")
    make = adapter.load()
    given = {option: value for option, value in options.items() if value is not None}
    taken = inspect.signature(make).parameters
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in taken.values())
    for option in given:
        if option not in taken and not takes_any:
            raise ValueError(f"{name} takes no {option}; it takes {', '.join(list(taken)[1:])}")
    return make(model, **given) if model else make(**given)
