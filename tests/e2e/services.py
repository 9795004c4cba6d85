"""The real services that the end-to-end tests may ask, and what each of them needs of the environment."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import attrs

from dagflow import AnthropicBackend, BaseLM, ClaudeCLIBackend, OpenAIBackend

__all__ = ["SERVICES", "Found", "Missing", "Service"]

OPENAI_MODEL = "gpt-5-mini"
ANTHROPIC_MODEL = "claude-haiku-4-5"


class Missing(Exception):
    """A service cannot be asked from here; the message says what to set or to install."""


@attrs.frozen
class Found:
    """A service that can be asked: what it is, for the summary, and how its backend is made."""

    about: str
    make: Callable[[], BaseLM]


@attrs.frozen
class Service:
    """A service, how it is looked for, and what its backend can do; `find` raises `Missing`."""

    name: str
    find: Callable[[], Found]
    tools: bool = True
    tokens: bool = True


def openai() -> Found:
    key, model, url = _openai()
    return Found(_about(model, url), lambda: OpenAIBackend(model, api_key=key, base_url=url))


def compatible() -> Found:
    url = _wanted("DAGFLOW_E2E_OPENAI_BASE_URL", "and DAGFLOW_E2E_OPENAI_MODEL, for a server of your own")
    model = _wanted("DAGFLOW_E2E_OPENAI_MODEL", "the model to ask there")
    # Never the key of OpenAI: it is nobody else's business.
    key = os.getenv("DAGFLOW_E2E_OPENAI_API_KEY", "")
    return Found(_about(model, url), lambda: OpenAIBackend(model, api_key=key, base_url=url))


def anthropic() -> Found:
    key, model, url = _anthropic()
    return Found(_about(model, url), lambda: AnthropicBackend(model, api_key=key, base_url=url))


def claude_cli() -> Found:
    program = shutil.which("claude")
    if program is None:
        raise Missing("put the program `claude` on the PATH, and log in with it")
    return Found(program, ClaudeCLIBackend)


def pydantic_ai() -> Found:
    provider, key, model, url = _either("pydantic_ai", "pydantic-ai")
    name = f"{'openai-chat' if provider == 'openai' else provider}:{model}"

    def make() -> BaseLM:
        from dagflow.lm.pydantic_ai import PydanticAIBackend

        return PydanticAIBackend(name, api_key=key, base_url=url)

    return Found(_about(name, url), make)


def dspy() -> Found:
    provider, key, model, url = _either("dspy", "dspy")
    place: dict[str, Any] = {} if url is None else {"base_url": url}

    def make() -> BaseLM:
        from dagflow.lm.dspy import DSPyBackend

        return DSPyBackend(f"{provider}/{model}", api_key=key, **place)

    return Found(_about(f"{provider}/{model}", url), make)


SERVICES = (
    Service("OpenAIBackend, OpenAI", openai),
    Service("OpenAIBackend, a compatible server", compatible),
    Service("AnthropicBackend", anthropic),
    Service("ClaudeCLIBackend", claude_cli, tools=False),
    Service("PydanticAIBackend", pydantic_ai),
    Service("DSPyBackend", dspy, tools=False, tokens=False),
)


def _openai() -> tuple[str, str, str | None]:
    """The key, the model and the base URL of OpenAI, under the names that its own SDK reads."""
    key = _wanted("OPENAI_API_KEY", f"and OPENAI_MODEL if it is not to be {OPENAI_MODEL}")
    return key, os.getenv("OPENAI_MODEL") or OPENAI_MODEL, os.getenv("OPENAI_BASE_URL") or None


def _anthropic() -> tuple[str, str, str | None]:
    key = _wanted("ANTHROPIC_API_KEY", f"and ANTHROPIC_MODEL if it is not to be {ANTHROPIC_MODEL}")
    return key, os.getenv("ANTHROPIC_MODEL") or ANTHROPIC_MODEL, os.getenv("ANTHROPIC_BASE_URL") or None


def _either(library: str, extra: str) -> tuple[str, str, str, str | None]:
    """The provider, key, model and base URL for a library that knows several providers."""
    if importlib.util.find_spec(library) is None:
        raise Missing(f"pip install 'dagflow[{extra}]'")
    for provider, find in (("openai", _openai), ("anthropic", _anthropic)):
        try:
            return provider, *find()
        except Missing:
            continue
    raise Missing("set OPENAI_API_KEY or ANTHROPIC_API_KEY")


def _wanted(variable: str, also: str) -> str:
    value = os.getenv(variable)
    if not value:
        raise Missing(f"set {variable}, {also}")
    return value


def _about(model: str, url: str | None) -> str:
    # Without what may stand before the host: a password.
    return model if url is None else f"{model} at {urlsplit(url).netloc.rpartition('@')[2]}"
