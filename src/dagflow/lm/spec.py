"""Language models by name: `openai:MODEL` and the like, as the command line and files write them.

Names of plug-ins (`dagflow.plugins`) are known beside those of ours.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Final, cast

import attrs

from dagflow import plugins
from dagflow.core.structure import nearest
from dagflow.lm.base import BaseLM

__all__ = ["ADAPTERS", "Adapter", "InstalledAdapter", "adapters", "find_adapter", "load_lm"]


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


@attrs.frozen
class InstalledAdapter(Adapter):
    """A kind of language model that another package registers."""

    def load(self) -> Callable[..., BaseLM]:
        """Import its class; raises `PluginError` where that is broken, and `TypeError` where it extends no `BaseLM`."""
        adapter = plugins.load("lms", self.name)
        if not issubclass(adapter, BaseLM):
            raise TypeError(f"{adapter.__qualname__} extends no BaseLM, and only what does can be asked by its name")
        return cast("Callable[..., BaseLM]", adapter)


def find_adapter(name: str) -> Adapter | None:
    """Find a kind of language model, one of ours or of another package; imports none."""
    if name in ADAPTERS:
        return ADAPTERS[name]
    if name not in plugins.names("lms"):
        return None
    return InstalledAdapter("", name, f"{name}[:MODEL]", model_required=False)


def adapters() -> dict[str, Adapter]:
    """Give all kinds of language models that can be named, those of other packages last; imports none."""
    found = (*ADAPTERS, *plugins.names("lms"))
    return {name: adapter for name in found if (adapter := find_adapter(name)) is not None}


def load_lm(spec: str, **options: Any) -> BaseLM:
    """Make the language model that a spec names, such as `openai:gpt-5`, `anthropic:MODEL` or `claude-cli`.

    The name may be that of a plug-in: its class is called with the model, if one is named. `options` are those of the
    adapter's class, such as `base_url` and `temperature`; one that is `None` is left out.

    Raises `ValueError` for a spec that names none, and for an option that the adapter does not take; `LMError`
    where a key is missing; `ImportError` where its library is not installed, naming the extra; `PluginError` for a
    plug-in that is broken, and `TypeError` for one that extends no `BaseLM`.
    """
    name, _, model = spec.partition(":")
    adapter = find_adapter(name)
    if adapter is None:
        known = adapters()
        forms = ", ".join(adapter.form for adapter in known.values())
        hindered = "".join(f"; but {problem}" for problem in plugins.problems())
        raise ValueError(f"{spec!r} names no language model{nearest(name, known)}; there is {forms}{hindered}")
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
