"""The names of the environment variables that a shell node may set, and those whose values must be literal."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["name_problem", "value_problem"]

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CHOOSES_CODE: Final = re.compile(
    r"PATH|IFS|ENV|BASH_ENV|BASH_FUNC_.*|SHELLOPTS|BASHOPTS|PS4|(?:LD|DYLD)_.*|GCONV_PATH|NLSPATH|"
    r"PYTHON(?:PATH|HOME|STARTUP|USERBASE|BREAKPOINT|INSPECT)|PERL5?(?:LIB|OPT|DB)|RUBY(?:LIB|OPT)|"
    r"NODE_(?:PATH|OPTIONS)|CLASSPATH|JAVA_TOOL_OPTIONS|_JAVA_OPTIONS|"
    r"GIT_(?:SSH|SSH_COMMAND|EXTERNAL_DIFF|PAGER|EDITOR|ASKPASS|PROXY_COMMAND|EXEC_PATH|CONFIG.*)|"
    r"PAGER|EDITOR|VISUAL|BROWSER|LESSOPEN|LESSCLOSE|MANPAGER"
)
"""Variables that say which code programs load or run."""


def name_problem(name: str) -> str:
    """Say why a name is none of a variable, or nothing where it is."""
    if _NAME.fullmatch(name):
        return ""
    if "{" in name:
        return "the name of a variable is no template; write it out"
    return "the name of a variable has letters, digits and _ of ASCII only, and begins with no digit"


def value_problem(name: str, is_literal: bool) -> str:
    """Say why a variable may not have a value from an expression, or nothing where it may."""
    if is_literal or not _CHOOSES_CODE.fullmatch(name):
        return ""
    return f"{name} says which code programs run, so that a value could run anything; write it without expressions"
