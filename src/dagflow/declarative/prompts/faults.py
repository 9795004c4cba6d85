"""What is wrong with a prompt, all of it at once, each thing at its path in the file."""

from __future__ import annotations

from dagflow.core.answers import InvalidAnswer

__all__ = ["PromptError"]


class PromptError(InvalidAnswer, ValueError):
    """Raised for a prompt that cannot be used; `invalid` has the path in the prompt and the problem of every fault.

    Also raised when a prompt is rendered, for a value that is missing (at `$.variables.NAME`) and for a Jinja2
    template that asks for too much. It is an `InvalidAnswer` so that who collects faults takes it as one.
    """
