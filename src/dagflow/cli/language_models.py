"""Finding what `--lm` names: an adapter, a language model of the target, or any other that can be imported."""

from __future__ import annotations

from types import ModuleType
from typing import Any, Final
from urllib.parse import urlsplit

import attrs

from dagflow.cli.problems import BrokenTarget, UsageProblem
from dagflow.cli.targets import find_attribute, load_module, parse
from dagflow.core.structure import nearest
from dagflow.errors import LMError, describe
from dagflow.lm.spec import adapters, find_adapter, load_lm

__all__ = ["LanguageModel", "find_lm"]

SCRIPTED = "scripted_lm"
METHODS = ("make", "decide", "choose_type", "fill")
ASKED_OTHERWISE: Final = frozenset({"claude-cli"})
"""The adapters that have no server of their own to be asked at."""
ADVICE_FOR_CODE: Final = (", or pass api_key=", ", or say where it is with program=")
"""Ends of messages that are of no use on a command line, which has no such options."""


@attrs.frozen
class LanguageModel:
    """A language model and what to tell the user about it."""

    lm: Any
    label: str


def find_lm(spec: str, module: ModuleType | None, *, base_url: str | None = None) -> LanguageModel:
    """Find the language model that a spec names; `module` is that of the target, `base_url` where it answers.

    Raises `UsageProblem` for a spec that names none, listing what there is, and `BrokenTarget` where importing
    or making it fails.
    """
    name, _, rest = spec.partition(":")
    if base_url is not None:
        if find_adapter(name) is None or name in ASKED_OTHERWISE:
            raise UsageProblem(f"--base-url goes with an adapter that speaks HTTP, not with --lm {spec}")
        _check_url(base_url)
    if find_adapter(name) is not None:
        return _adapter(spec, base_url)
    if name == "scripted":
        return _scripted(module)
    if not rest:
        raise UsageProblem(f"--lm {spec} is unknown{nearest(name, ['scripted', *adapters()])}\nthere is {_forms()}")
    target = parse(spec)
    try:
        found = find_attribute(load_module(target), target)
    except UsageProblem as problem:
        raise UsageProblem(f"--lm {spec}: {problem}\nthere is {_forms()}") from None
    return LanguageModel(_make(found, spec), spec)


def _adapter(spec: str, base_url: str | None) -> LanguageModel:
    try:
        return LanguageModel(load_lm(spec, base_url=base_url), spec)
    except (ImportError, ValueError, LMError) as error:
        said = str(error)
        for advice in ADVICE_FOR_CODE:
            said = said.removesuffix(advice)
        raise UsageProblem(f"--lm {spec}: {said}") from error
    except Exception as error:  # of the library that the adapter goes through
        raise BrokenTarget(f"--lm {spec} could not be made: {describe(error)}") from error


def _check_url(url: str) -> None:
    """Refuse what is no URL, also an empty one: the provider would get what is meant for a server of one's own."""
    try:
        parts = urlsplit(url)
        found = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        found = False
    if not found:
        raise UsageProblem(f"--base-url begins with http:// or https:// and a host, not {url!r}")


def _scripted(module: ModuleType | None) -> LanguageModel:
    if module is None:
        raise UsageProblem("--lm scripted is for graphs of a Python module; name a model of yours as file.py:name")
    factory = getattr(module, SCRIPTED, None)
    if factory is None:
        raise UsageProblem(
            f"--lm scripted needs `{SCRIPTED}` in {module.__name__}: a function that returns a language model, "
            f"or the model itself"
        )
    return LanguageModel(_make(factory, f"{module.__name__}:{SCRIPTED}"), "scripted, offline: no model is asked")


def _forms() -> str:
    known = (adapter.form for adapter in adapters().values())
    forms = [f"scripted (the target's own `{SCRIPTED}`, offline)", *known, "module:name", "file.py:name"]
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
