"""Where in a command a value would be code: the name of the program, and scripts that an interpreter reads."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from dagflow.declarative.expressions import Template
from dagflow.declarative.expressions.faults import excerpt

__all__ = ["code_in", "script_ends"]

_INTERPRETERS: Final = tuple(
    (re.compile(names), re.compile(flags))
    for names, flags in (
        (r"(?:ba|da|z|k|mk|c|tc|a|fi)?sh", r"-[A-Za-z]*c|--command\b"),
        (r"python[0-9.]*w?|pypy[0-9.]*", r"-[A-Za-z]*c"),
        (r"(?:perl|ruby|lua|Rscript|osascript)[0-9.]*", r"-[A-Za-z]*[eE]"),
        (r"node|nodejs|deno|bun", r"-p?e|-p|--eval\b|--print\b"),
        (r"php[0-9.]*", r"-[A-Za-z]*r"),
    )
)
"""Programs that read a script from an argument, and the options before it."""

_TAKE_A_VALUE: Final = frozenset(
    {"-o", "+o", "-O", "+O", "--rcfile", "--init-file", "-W", "-X", "-I", "-M", "-r", "--require"}
)


def code_in(arguments: Sequence[Template]) -> Iterator[tuple[int, str]]:
    """Find the arguments in which an expression would be code, with what is wrong about each."""
    if not arguments[0].is_literal:
        yield 0, "the program comes from an expression, so that a value could run any; name the program"
    elif not arguments[0].source.strip():
        yield 0, "the program has no name"
    for program, script in scripts_in(arguments):
        if not arguments[script].is_literal:
            runs = f"{arguments[program].source} runs {excerpt(arguments[script].source)}"
            yield (
                script,
                f"{runs}, so that a value in it could run anything; pass the value beside it, as the script's own "
                f'argument: ["sh", "-c", "echo \\"$1\\"", "sh", "{{value}}"]',
            )


def script_ends(arguments: Sequence[Template]) -> int:
    """The first place after all scripts, whose arguments are the script's own; the end where there is no script."""
    return max((script + 1 for _, script in scripts_in(arguments)), default=len(arguments))


def scripts_in(arguments: Sequence[Template]) -> Iterator[tuple[int, int]]:
    """Find interpreters, wherever they stand, and the scripts that they are given."""
    for program, argument in enumerate(arguments):
        name = argument.source.rpartition("/")[2]
        for names, flags in _INTERPRETERS:
            if argument.is_literal and names.fullmatch(name):
                for script in sorted(scripts_of(arguments, program + 1, flags)):
                    yield program, script


def scripts_of(arguments: Sequence[Template], start: int, flags: re.Pattern[str]) -> set[int]:
    """Find the scripts of an interpreter: what follows an option for one, or is part of that argument."""
    scripts: set[int] = set()
    place = start
    while place < len(arguments) and (arguments[place].source[:1] in ("-", "+") or place in scripts):
        source = arguments[place].source
        if flags.match(source):
            scripts |= {place + 1} if arguments[place].is_literal else {place, place + 1}
        place += 2 if source in _TAKE_A_VALUE and place not in scripts else 1
    return {script for script in scripts if script < len(arguments)}
