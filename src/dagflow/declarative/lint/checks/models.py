"""DF3xx: prompts and their variables, and the language models that are asked."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

from dagflow.core.structure import nearest
from dagflow.declarative.compiling.faults import Place
from dagflow.declarative.language_models import spec_of
from dagflow.declarative.lint.rule import Hit
from dagflow.declarative.lint.subject import LintSubject
from dagflow.declarative.lint.walk import ROOT, PlacedNode
from dagflow.declarative.model import AgentNode, FallbackLM, LLMNode, OnError, RouterNode
from dagflow.declarative.model.prompts import LMChoice
from dagflow.declarative.prompts.files import LoadedPrompt
from dagflow.lm.spec import adapters, find_adapter

__all__ = [
    "answer_dropped",
    "declared_not_used",
    "fallback_is_the_same",
    "given_not_used",
    "left_in_braces",
    "model_unknown",
    "no_model_named",
    "options_without_model",
    "tool_without_description",
    "undeclared_braces",
]

Asker = LLMNode | RouterNode | AgentNode

_SINGLE = re.compile(r"(?<!\{)\{([^\W\d]\w*)\}(?!\})")


def _askers(subject: LintSubject) -> Iterator[tuple[PlacedNode, Asker, LoadedPrompt]]:
    """The nodes that ask a language model, each with its prompt, where that could be loaded."""
    for node in subject.nodes:
        prompt = subject.prompts.get(node.place)
        if isinstance(node.spec, (LLMNode, RouterNode, AgentNode)) and prompt is not None:
            yield node, node.spec, prompt


def _prompts(subject: LintSubject) -> Iterator[tuple[LoadedPrompt, str]]:
    """Every prompt once, with the place that it begins at: in its own file, or in the node."""
    told: set[str] = set()
    for node, _, prompt in _askers(subject):
        key = str(node.place) if prompt.file is None else str(prompt.file)
        if key not in told:
            told.add(key)
            yield prompt, f"{node.place}.prompt" if prompt.file is None else "$"


# --- Variables


def given_not_used(subject: LintSubject) -> Iterator[Hit]:
    """A variable is given that the prompt does not have.

    The value is worked out and goes nowhere. Correct the name, or remove it.
    """
    for node, spec, prompt in _askers(subject):
        for name in spec.variables:
            if name in prompt.text.unknown(spec.variables):
                near = nearest(name, prompt.names - spec.variables.keys())
                yield Hit(node.place / "variables" / name, f"the prompt {prompt.name} has no variable {name!r}{near}")


def declared_not_used(subject: LintSubject) -> Iterator[Hit]:
    """A variable is declared and not used.

    No text of the prompt has it. Remove it, or put it in.
    """
    for prompt, place in _prompts(subject):
        declared = prompt.text.declared or frozenset()
        for name in sorted(declared - prompt.text.names - prompt.text.optional):
            yield Hit(f"{place}.variables", f"no text of the prompt {prompt.name} uses {name!r}", prompt.document)


def undeclared_braces(subject: LintSubject) -> Iterator[Hit]:
    """Single braces in a prompt without `variables`.

    Every name in single braces is then a variable, in an example of JSON too. List the variables, so that other
    braces are text, or write double braces.
    """
    for prompt, place in _prompts(subject):
        texts = f"{prompt.spec.system or ''}{prompt.spec.user}"
        single = sorted({name for name in _SINGLE.findall(texts) if name in prompt.text.names})
        if prompt.spec.template == "braces" and prompt.spec.variables is None and single:
            names = ", ".join(f"{{{name}}}" for name in single)
            yield Hit(
                f"{place}.user",
                f"{names} are variables here, as every name in braces is; list them as `variables`, so that other "
                f"braces are text, or write {{{{ {single[0]} }}}}",
                prompt.document,
            )


def left_in_braces(subject: LintSubject) -> Iterator[Hit]:
    """A name in braces is sent as it stands.

    It is not among the prompt's `variables`. Correct the name, or list it.
    """
    for prompt, place in _prompts(subject):
        for name in sorted(prompt.text.left):
            near = nearest(name, prompt.text.declared or prompt.names)
            yield Hit(
                f"{place}.user",
                f"{name!r} in braces is text here, as it is not among the `variables`{near}",
                prompt.document,
            )


# --- Models


def _choices(subject: LintSubject) -> Iterator[tuple[Place, LMChoice]]:
    yield ROOT / "defaults", subject.spec.defaults
    for node in subject.nodes:
        if isinstance(node.spec, LMChoice):
            yield node.place, node.spec
            if not isinstance(node.spec.prompt, str):
                yield node.place / "prompt", node.spec.prompt


def options_without_model(subject: LintSubject) -> Iterator[Hit]:
    """An option of a model that nobody names.

    Temperature, limits and addresses are for models that the file names. A model that a run is given (`lm=`,
    `--lm`) keeps its own.
    """
    unnamed = [(node, spec) for node, spec, prompt in _askers(subject) if not _names_model(subject, spec, prompt)]
    for node, spec in unnamed:
        yield from _options(spec, node.place)
    if unnamed and len(unnamed) == len(list(_askers(subject))):
        yield from _options(subject.spec.defaults, ROOT / "defaults")


def _names_model(subject: LintSubject, spec: Asker, prompt: LoadedPrompt) -> bool:
    return any(map(spec_or_none, (spec, prompt.spec, subject.spec.defaults)))


def _options(choice: LMChoice, place: Place) -> Iterator[Hit]:
    for option in ("temperature", "max_tokens", "base_url"):
        if getattr(choice, option) is not None:
            yield Hit(
                place / option,
                "does nothing: no language model is named here, and that which a run is given has its own options",
            )


def spec_or_none(choice: LMChoice) -> str | None:
    """The language model that is named; `None` too where that is faulty, which the compiler tells."""
    try:
        return spec_of(choice)
    except ValueError:
        return None


def model_unknown(subject: LintSubject) -> Iterator[Hit]:
    """A language model cannot be made from its name.

    No adapter has the name, or the model is missing. A run fails, unless it is given the model (`lms={...}`).
    """
    for place, choice in _choices(subject):
        spec = spec_or_none(choice)
        if spec is not None:
            yield from _faulty_spec(spec, place, "lm" if choice.lm is not None else "provider")
    for node in subject.nodes:
        fallback = node.spec.on_error.fallback if isinstance(node.spec.on_error, OnError) else None
        if isinstance(fallback, FallbackLM):
            yield from _faulty_spec(fallback.lm, node.place / "on_error" / "fallback", "lm")
    for prompt, beginning in _prompts(subject):
        spec = spec_or_none(prompt.spec) if prompt.document is not None else None
        for found in _faulty_spec(spec, beginning, "lm" if prompt.spec.lm is not None else "provider") if spec else ():
            yield Hit(found.place, found.message, prompt.document)


def _faulty_spec(spec: str, place: str, key: str) -> Iterator[Hit]:
    provider, _, model = spec.partition(":")
    adapter = find_adapter(provider)
    if adapter is None:
        known = nearest(provider, adapters()) or f"; there are {', '.join(adapters())}"
        yield Hit(
            f"{place}.{key}", f"there is no provider {provider!r}{known}; a run must be given lms={{{spec!r}: ...}}"
        )
    elif adapter.model_required and not model:
        yield Hit(f"{place}.{key}", f"{spec!r} names no model; write {adapter.form}")


def no_model_named(subject: LintSubject) -> Iterator[Hit]:
    """A node names no language model.

    Every run has to be given one, and everybody who runs the graph has to know which.
    """
    for node, spec, prompt in _askers(subject):
        if not _names_model(subject, spec, prompt):
            yield Hit(
                node.place, "names no language model: every run has to be given one; write `lm` here or in `defaults`"
            )


def fallback_is_the_same(subject: LintSubject) -> Iterator[Hit]:
    """The fallback is the model that failed.

    It fails again, most likely. Name another model, or say `retry`.
    """
    for node, spec, prompt in _askers(subject):
        fallback = spec.on_error.fallback if isinstance(spec.on_error, OnError) else None
        named = next(filter(None, map(spec_or_none, (spec, prompt.spec, subject.spec.defaults))), None)
        if isinstance(fallback, FallbackLM) and fallback.lm == named:
            yield Hit(
                node.place / "on_error" / "fallback" / "lm", f"{named} is what has failed; name another, or `retry`"
            )


def answer_dropped(subject: LintSubject) -> Iterator[Hit]:
    """An answer is dropped.

    A model is asked, and its answer goes nowhere. Give the node a `state_key`.
    """
    for node in subject.nodes:
        if isinstance(node.spec, (LLMNode, AgentNode)) and node.spec.state_key is None:
            yield Hit(node.place, "its answer is paid for and dropped; give it a state_key")


def tool_without_description(subject: LintSubject) -> Iterator[Hit]:
    """A tool has no docstring.

    The docstring is what the model is told about the function.
    """
    for place, function in subject.tools.items():
        if callable(function) and not inspect.getdoc(function):
            name = getattr(function, "__name__", "the function")
            yield Hit(place, f"{name} has no docstring, which is what the model is told about it")
