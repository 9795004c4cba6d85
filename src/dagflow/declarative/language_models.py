"""The language models of a run: those that its nodes name, and the one that it is given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

import attrs

from dagflow.core.secrets import Secret
from dagflow.declarative.model.prompts import LMChoice
from dagflow.errors import LMError
from dagflow.lm.base import BaseLM
from dagflow.lm.spec import InstalledAdapter, find_adapter, load_lm
from dagflow.plugins import PluginError

__all__ = ["ModelNeed", "Models", "import_plugins", "need_of"]


@attrs.frozen
class ModelNeed:
    """What a node says of the language model that it asks; `spec` is `None` where it names none."""

    spec: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    base_url: str | None = None


def need_of(*choices: LMChoice) -> ModelNeed:
    """Put together what a node, its prompt and the graph's defaults say; the first that says something counts.

    Raises `ValueError` where one names a provider without a model, or both a spec and a provider.
    """
    return ModelNeed(
        spec=next((spec for spec in map(spec_of, choices) if spec is not None), None),
        temperature=_first(choices, "temperature"),
        max_tokens=_first(choices, "max_tokens"),
        base_url=_first(choices, "base_url"),
    )


def spec_of(choice: LMChoice) -> str | None:
    """The language model that is named, as `provider:model`; raises `ValueError`."""
    if choice.lm is not None:
        if choice.provider is not None or choice.model is not None:
            raise ValueError("names its language model twice; write `lm: provider:model`, or `provider` and `model`")
        return choice.lm
    if choice.provider is None and choice.model is None:
        return None
    if choice.provider is None or choice.model is None:
        missing = "provider" if choice.provider is None else "model"
        raise ValueError(f"names half a language model; give its `{missing}` too, or write `lm: provider:model`")
    return f"{choice.provider}:{choice.model}"


def _first(choices: tuple[LMChoice, ...], name: str) -> Any:
    return next((value for choice in choices if (value := getattr(choice, name)) is not None), None)


def import_plugins(needs: Iterable[ModelNeed]) -> None:
    """Import the plug-ins among the models, before a run, whose event loop would wait for it.

    What is wrong with them the run tells, which may be given other models for them.
    """
    for need in needs:
        adapter = None if need.spec is None else find_adapter(need.spec.partition(":")[0])
        if isinstance(adapter, InstalledAdapter):
            with suppress(PluginError, TypeError):
                adapter.load()


class Models:
    """Finds the language model that a node needs.

    `default` is asked by nodes that name none; `named` has models that stand for specs; `made` keeps those that were
    made by their spec, for all runs of a graph.
    """

    def __init__(self, default: BaseLM | None, named: Mapping[str, BaseLM], made: dict[ModelNeed, BaseLM]) -> None:
        self.default = default
        self._named = named
        self._made = made

    def find(self, need: ModelNeed) -> BaseLM:
        """Give the model; raises `LMError` where there is none, or it cannot be made."""
        if need.spec is None:
            if self.default is None:
                raise LMError(
                    "no language model is named and the run has none; write `lm: provider:model`, or pass lm="
                )
            return self.default
        if need.spec in self._named:
            return self._named[need.spec]
        found = self._made.get(need)
        if found is None:
            found = self._made[need] = self._make(need)
        return found

    def _make(self, need: ModelNeed) -> BaseLM:
        assert need.spec is not None
        options = {"temperature": need.temperature, "max_tokens": need.max_tokens, "base_url": need.base_url}
        try:
            return load_lm(need.spec, **options)
        except (ValueError, ImportError, TypeError, PluginError) as error:
            raise LMError(f"the language model {need.spec!r} cannot be made: {error}") from error

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """The secrets of all models that are known."""
        known = [*self._named.values(), *self._made.values(), *([self.default] if self.default is not None else [])]
        return tuple(secret for lm in known for secret in lm.secrets)
