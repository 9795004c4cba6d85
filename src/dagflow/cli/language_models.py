"""Loading what `--lm` names: a language model of the target, or any other that can be imported."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any, Final

import attrs

from dagflow.cli.problems import BrokenTarget, UsageProblem, nearest
from dagflow.cli.targets import find_attribute, load_module, parse
from dagflow.errors import GraphError, describe
from dagflow.graph.graph import Graph

__all__ = ["LanguageModel", "load_lm", "needs_of"]

SCRIPTED = "scripted_lm"
METHODS = ("make", "decide", "choose_type", "fill")


@attrs.frozen
class LanguageModel:
    """A language model and what to tell the user about it."""

    lm: Any
    label: str


Loader = Callable[[str, ModuleType], LanguageModel]


@attrs.frozen
class Scheme:
    """A kind of spec: how it is written, and what loads it from the text after `name:` and the target's module."""

    form: str
    load: Loader


def load_lm(spec: str, module: ModuleType) -> LanguageModel:
    """Load the language model that a spec names; `module` is that of the target.

    Raises `UsageProblem` for a spec that names none, listing what there is, and `BrokenTarget` where importing
    or making it fails.
    """
    name, _, rest = spec.partition(":")
    if name in SCHEMES:
        return SCHEMES[name].load(rest, module)
    if not rest:
        raise UsageProblem(f"--lm {spec} is unknown{nearest(name, list(SCHEMES))}\nthere is {_forms()}")
    target = parse(spec)
    try:
        found = find_attribute(load_module(target), target)
    except UsageProblem as problem:
        raise UsageProblem(f"--lm {spec}: {problem}\nthere is {_forms()}") from None
    return LanguageModel(_make(found, spec), spec)


def needs_of(graph: Graph) -> tuple[str, ...]:
    """Say what a graph needs a language model for; nothing where it runs without one."""
    try:
        graph.validate(lm=False)
    except GraphError as error:
        return tuple(fault.removesuffix("; pass lm=") for fault in error.faults)
    return ()


def _scripted(rest: str, module: ModuleType) -> LanguageModel:
    factory = getattr(module, SCRIPTED, None)
    if factory is None:
        raise UsageProblem(
            f"--lm scripted needs `{SCRIPTED}` in {module.__name__}: a function that returns a language model, "
            f"or the model itself"
        )
    return LanguageModel(_make(factory, f"{module.__name__}:{SCRIPTED}"), "scripted, offline: no model is asked")


SCHEMES: Final[dict[str, Scheme]] = {
    "scripted": Scheme(f"scripted (the target's own `{SCRIPTED}`, offline)", _scripted),
}


def _forms() -> str:
    forms = [*(scheme.form for scheme in SCHEMES.values()), "module:name", "file.py:name"]
    return ", ".join(forms[:-1]) + f" or {forms[-1]}, naming a language model or a function that returns one"


def _make(found: Any, place: str) -> Any:
    """Take a language model as it is, and call what makes one."""
    if callable(found) and (isinstance(found, type) or not _is_lm(found)):
        try:
            found = found()
        except Exception as error:
            raise BrokenTarget(f"{place} could not make a language model: {describe(error)}") from error
    if not _is_lm(found):
        wanted = ", ".join(METHODS)
        raise UsageProblem(f"{place} is no language model but {found!r}; one has the methods {wanted}")
    return found


def _is_lm(found: object) -> bool:
    return all(callable(getattr(found, method, None)) for method in METHODS)
