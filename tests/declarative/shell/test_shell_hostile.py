"""Hostile values, everywhere that a value can go: each is refused, or arrives as one argument to the letter."""

from __future__ import annotations

import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagflow.declarative.expressions import ExpressionError, Scope
from dagflow.declarative.model import ShellNode
from dagflow.declarative.shell import ReadyCommand, ShellCommand, run_shell
from dagflow.errors import ProcessError
from declarative.shell.hostile import HOSTILE, OPTIONS, REFUSED

SHOW = [sys.executable, "-I", "-S", "-c", "import json, sys; json.dump(sys.argv[1:], sys.stdout)"]
SHOW_ENVIRONMENT = [sys.executable, "-I", "-S", "-c", "import json, os, sys; json.dump(dict(os.environ), sys.stdout)"]
PASSED = {**HOSTILE, **OPTIONS}
LONGEST = "as long as may be"  # no room is left beside it

Use = Callable[[Any], ReadyCommand]


def ready(command: str | list[str], value: Any, **others: Any) -> ReadyCommand:
    node = ShellNode(type="shell", command=command, parse="json", **others)
    return ShellCommand.of(node).fill(Scope({"x": value}))


USES: dict[str, tuple[Use, Callable[[ReadyCommand], str]]] = {
    "an argument": (lambda value: ready(["p", "--", "{x}"], value), lambda command: command.arguments[2]),
    "part of an argument": (lambda value: ready(["p", "<{x}>"], value), lambda command: command.arguments[1][1:-1]),
    "in a text": (lambda value: ready("p -- {x} end", value), lambda command: command.arguments[2]),
    "in quotes": (lambda value: ready("p '<{x}>' end", value), lambda command: command.arguments[1][1:-1]),
    "in double quotes": (lambda value: ready('p "<{x}>" end', value), lambda command: command.arguments[1][1:-1]),
    "beside a script": (
        lambda value: ready(["sh", "-c", 'p "$1"', "sh", "{x}"], value),
        lambda command: command.arguments[4],
    ),
    "a variable": (lambda value: ready("p", value, env={"X": "{x}"}), lambda command: command.env["X"]),
    "input": (lambda value: ready("p", value, stdin="{x}"), lambda command: (command.input or b"").decode()),
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("name", [*PASSED, *REFUSED])
def test_hostile_value_is_refused_or_stays_whole(name: str, use: str) -> None:
    """Whatever a value is, the command keeps its shape; to decide that takes little time and memory."""
    fill, found = USES[use]
    value = PASSED.get(name, REFUSED.get(name, ""))
    shape = fill("x")
    tracemalloc.start()
    began = time.thread_time()
    try:
        command = fill(value)
    except (ProcessError, ExpressionError) as error:
        assert name in REFUSED or name == LONGEST
        assert "{x}" in str(error)
        assert len(str(error)) < 1000
    else:
        assert name in PASSED or (use == "input" and "surrogate" not in name)
        assert value == found(command)
        assert len(shape.arguments) == len(command.arguments)
    finally:
        seconds, (_, peak) = time.thread_time() - began, tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert seconds < 0.1
    assert peak < 64 * 1024 * 1024


@pytest.mark.parametrize("name", OPTIONS)
def test_option_is_refused(name: str) -> None:
    """Where a value would be an option it is refused, and the program is not started."""
    for command in (["rm", "{x}"], "rm {x}", "rm '{x}'", ["rm", "a", "{x}{x}"]):
        with pytest.raises(ProcessError, match="rm is not started: argument .*for an option"):
            ready(command, OPTIONS[name])


@pytest.mark.slow
@given(st.text())
def test_any_text_is_refused_or_stays_whole(text: str) -> None:
    """So it is with every text there is."""
    for fill, found in USES.values():
        try:
            command = fill(text)
        except ProcessError:
            assert "\0" in text or any("\ud800" <= character <= "\udfff" for character in text)
        else:
            assert text == found(command)


def several(form: str) -> tuple[list[str], dict[str, Any], list[str]]:
    """The values that fit into one command, each in a template of its own, and what is to arrive."""
    values = [value for name, value in PASSED.items() if name != LONGEST]
    state = {f"v{number}": value for number, value in enumerate(values)}
    return [form.format(f"{{{name}}}") for name in state], state, [form.format(value) for value in values]


@pytest.mark.parametrize("form", ["{}", "--name={}", "<{0}|{0}>"])
async def test_real_program_gets_each_in_one_argument(form: str, tmp_path: Path) -> None:
    """A real program gets every hostile value to the letter, in one argument, from a list."""
    templates, state, expected = several(form)
    node = ShellNode(type="shell", command=[*SHOW, *templates], parse="json")
    assert expected == await run_shell(ShellCommand.of(node).fill(Scope(state)), cwd=tmp_path)
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("form", ["{}", "'{}'", '"{}"'])
async def test_real_program_gets_each_from_a_text(form: str, tmp_path: Path) -> None:
    """So it does from a text that is split, with quotes and without."""
    templates, state, expected = several("{}")
    text = " ".join([*(f"'{part}'" for part in SHOW), *(form.format(template) for template in templates)])
    node = ShellNode(type="shell", command=text, parse="json")
    assert expected == await run_shell(ShellCommand.of(node).fill(Scope(state)), cwd=tmp_path)


async def test_real_shell_gets_each_beside_its_script(tmp_path: Path) -> None:
    """So does a shell, whose script is literal and whose values are its positional parameters."""
    templates, state, expected = several("{}")
    command = ["sh", "-c", 'exec "$0" "$@"', *SHOW, *templates]
    ready = ShellCommand.of(ShellNode(type="shell", command=command, parse="json")).fill(Scope(state))
    assert expected == await run_shell(ready, cwd=tmp_path)


async def test_real_program_gets_each_in_a_variable(tmp_path: Path) -> None:
    """A real program gets every hostile value to the letter in its environment."""
    templates, state, expected = several("{}")
    env = {f"V{number}": template for number, template in enumerate(templates)}
    node = ShellNode(type="shell", command=SHOW_ENVIRONMENT, env=env, parse="json")
    found = await run_shell(ShellCommand.of(node).fill(Scope(state)), cwd=tmp_path, environment={})
    assert expected == [found[name] for name in env]
    assert env.keys() == found.keys() - {"LC_CTYPE"}  # which Python sets itself


async def test_real_program_gets_the_longest(tmp_path: Path) -> None:
    """The longest argument and variable that are accepted are those that the kernel takes."""
    longest = HOSTILE[LONGEST]
    assert [longest] == await run_shell(ready([*SHOW, "{x}"], longest), cwd=tmp_path)
    variable = longest.removesuffix("x" * len("NAME="))
    found = await run_shell(ready(SHOW_ENVIRONMENT, variable, env={"NAME": "{x}"}), cwd=tmp_path)
    assert variable == found["NAME"]
    with pytest.raises(ProcessError, match="the variable NAME, '{x}', is too long, .*; the kernel takes 131,066"):
        ready(SHOW_ENVIRONMENT, f"{variable}x", env={"NAME": "{x}"})


@pytest.mark.parametrize("name", [*PASSED, "nul", "too long"])
async def test_real_program_reads_each(name: str, tmp_path: Path) -> None:
    """A real program reads every value to the letter from standard input, with NUL and of any length."""
    value = {**PASSED, **REFUSED}[name]
    node = ShellNode(type="shell", command="cat", stdin="{x}<")
    assert f"{value}<" == await run_shell(ShellCommand.of(node).fill(Scope({"x": value})), cwd=tmp_path)


async def test_too_much_in_all_is_refused(tmp_path: Path) -> None:
    """Arguments that each are fine and together are not are told before anything is started."""
    templates = ["{x}"] * 60
    command = ShellCommand.of(ShellNode(type="shell", command=["no-such-program", *templates]))
    with pytest.raises(ProcessError, match=r"is not started: its arguments take [\d,]+ bytes .* standard input: stdin"):
        await run_shell(command.fill(Scope({"x": "x" * 130_000})), cwd=tmp_path)
