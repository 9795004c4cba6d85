"""What of a shell node is refused when the graph is compiled, and how its values are filled in."""

from __future__ import annotations

import datetime
import enum
from typing import Any

import attrs
import pytest

from dagflow.core.answers import InvalidAnswer
from dagflow.declarative.expressions import ExpressionError, Scope
from dagflow.declarative.model import ShellNode
from dagflow.declarative.shell import ReadyCommand, ShellCommand
from dagflow.errors import ProcessError


def shell(command: str | list[str], **others: Any) -> ShellCommand:
    return ShellCommand.of(ShellNode(type="shell", command=command, **others))


def filled(command: str | list[str], others: dict[str, Any] | None = None, **state: Any) -> ReadyCommand:
    return shell(command, **(others or {})).fill(Scope(state))


def faults(command: str | list[str], **others: Any) -> list[str]:
    with pytest.raises(InvalidAnswer) as caught:
        shell(command, **others)
    return [str(fault) for fault in caught.value.invalid]


def test_text_is_split_before_it_is_filled() -> None:
    """A value is part of the argument that its expression stands in, whatever it contains."""
    ready = filled("grep {word + 's'} 'in {place}' x{n}", word="a b; c", place="it's $HOME", n=2)
    assert ("grep", "a b; cs", "in it's $HOME", "x2") == ready.arguments


class Colour(enum.Enum):
    RED = "red"


@pytest.mark.parametrize(
    ("value", "argument"),
    [
        ("text", "text"),
        ("", ""),
        (12, "12"),
        (-3, "-3"),
        (0.5, "0.5"),
        (-1e300, "-1e+300"),
        (True, "true"),
        (False, "false"),
        (Colour.RED, "red"),
        (datetime.date(2026, 11, 30), "2026-11-30"),
    ],
)
def test_values_become_arguments(value: object, argument: str) -> None:
    """A string is passed as it is, a number or boolean as JSON has it; also beside `--`, in `env`, and on `stdin`."""
    ready = filled("p {x}", {"env": {"X": "{x}"}, "stdin": "{x}"}, x=value)
    assert (("p", argument), {"X": argument}, argument.encode()) == (ready.arguments, ready.env, ready.input)


@attrs.frozen
class Point:
    x: int = 0


@pytest.mark.parametrize("value", [None, [], ["a", "b"], ("a",), {}, {"a": 1}, Point(), {1}, frozenset()])
def test_what_is_no_text_is_refused(value: object) -> None:
    """Null, arrays and objects are no single argument, and are told by their place; a list never becomes several."""
    with pytest.raises(ExpressionError, match=r"argument 2 is (null|an? \w+), and no text; .*column 1 of '\{x\}'"):
        filled("p a {x}", x=value)
    with pytest.raises(ExpressionError, match="the variable X is"):
        filled("p", {"env": {"X": "{x}"}}, x=value)


def test_json_is_passed_within_a_text_and_on_stdin() -> None:
    """In a longer text, with `str`, and on standard input an array or object is JSON."""
    ready = filled("p --data={x} {str(x)}", {"stdin": "{x}"}, x={"a": [1, None]})
    assert ("p", '--data={"a":[1,null]}', '{"a":[1,null]}') == ready.arguments
    assert b'{"a":[1,null]}' == ready.input


def test_null_is_no_input() -> None:
    """A null on standard input is told, and not taken for nothing."""
    with pytest.raises(ExpressionError, match="the input is null"):
        filled("p", {"stdin": "{x}"}, x=None)
    assert filled("p").input is None


@pytest.mark.parametrize("value", [float("nan"), float("inf"), pytest.param(1 << 20_000, id="huge")])
def test_numbers_that_json_has_not_are_refused(value: object) -> None:
    """A number without a form in JSON is an error."""
    with pytest.raises(ExpressionError):
        filled("p {x}", x=value)


@pytest.mark.parametrize(
    "command",
    [
        "{program} x",
        "'{program}' x",
        "./{program} x",
        ["{program}"],
        ["/bin/{program}", "x"],
    ],
)
def test_program_must_be_literal(command: str | list[str]) -> None:
    """A value can not name the program."""
    [fault] = faults(command)
    assert "the program comes from an expression" in fault


@pytest.mark.parametrize(
    ("command", "place"),
    [
        (["sh", "-c", "echo {x}"], 2),
        (["sh", "-c", "{x}", "sh"], 2),
        (["/bin/bash", "-ec", "echo {x}"], 2),
        (["bash", "-o", "pipefail", "-c", "echo {x}"], 4),
        (["bash", "--rcfile", "x", "-c", "echo {x}"], 4),
        (["env", "A=b", "sh", "-c", "echo {x}"], 4),
        (["xargs", "-0", "sh", "-c", "echo {x}"], 4),
        (["timeout", "5", "dash", "-c", "echo {x}"], 4),
        (["busybox", "sh", "-c", "echo {x}"], 3),
        (["python", "-c", "print({x})"], 2),
        (["python3.13", "-I", "-S", "-c", "print({x})"], 4),
        (["python3", "-Ic", "print({x})"], 2),
        (["python3", "-W", "error", "-cprint({x})"], 3),
        (["perl", "-Mfeature=say", "-e", "say {x}"], 3),
        (["perl", "-ne", "print {x}"], 2),
        (["ruby", "-e", "puts {x}"], 2),
        (["node", "-e", "f({x})"], 2),
        (["node", "--eval=f({x})"], 1),
        (["php", "-r", "f({x});"], 2),
    ],
)
def test_script_must_be_literal(command: list[str], place: int) -> None:
    """A value is no part of a script that an interpreter reads; the error shows how to pass it beside the script."""
    [fault] = faults(command)
    assert fault.startswith(f"$.command[{place}]: ")
    assert 'the script\'s own argument: ["sh", "-c", "echo \\"$1\\"", "sh", "{value}"]' in fault


@pytest.mark.parametrize(
    "command",
    [
        ["sh", "-c", 'echo "$1"', "sh", "{x}"],
        ["python", "script.py", "-c", "{x}"],
        ["python", "-m", "module", "-c", "{x}"],
        ["grep", "-c", "-e", "{x}"],
        ["git", "-c", "a.b={x}", "log"],
        ["perl", "-e", "print @ARGV", "{x}"],
    ],
)
def test_values_beside_a_script_are_fine(command: list[str]) -> None:
    """Arguments of a script, and options of other programs, may come from expressions."""
    assert command == [template.source for template in shell(command).arguments]


def test_everything_wrong_is_told_at_once() -> None:
    """All faults of a node come together, each with its path."""
    found = faults(
        ["p", "{a", "b}"],
        env={
            "A B": "x",
            "{x}": "y",
            "1A": "z",
            "Ä": "z",
            "": "z",
            "A=B": "z",
            "LD_PRELOAD": "{x}",
            "OK": "{",
            "N": "\0",
        },
        stdin="{",
    )
    assert [
        "$.command[1]",
        "$.command[2]",
        "$.env['A B']",
        "$.env['{x}']",
        "$.env['1A']",
        "$.env.Ä",
        "$.env['']",
        "$.env['A=B']",
        "$.env.LD_PRELOAD",
        "$.env.OK",
        "$.env.N",
        "$.stdin",
    ] == [fault.partition(": ")[0] for fault in found]
    assert "no template; write it out" in found[3]


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ([], "empty"),
        ("", "empty"),
        ([""], "no name"),
        (["p", "a\0b"], r"'a\\x00b' holds a NUL character at position 2"),
        (["p", "\udc80"], "half of a character"),
        (["p", "x" * 131_072], "is too long"),
        ("p | q", "no shell reads this command"),
        ("p {x +}", "expected a value"),
    ],
)
def test_command_that_cannot_be_is_refused(command: str | list[str], told: str) -> None:
    """A command that no kernel would take, or nobody could fill, is refused when the graph is compiled."""
    [fault] = faults(command)
    assert told.replace("\\\\", "\\") in fault


@pytest.mark.parametrize("name", ["PATH", "LD_PRELOAD", "BASH_ENV", "PYTHONPATH", "NODE_OPTIONS", "IFS"])
def test_variables_that_choose_code_are_literal(name: str) -> None:
    """A value does not say where programs and their libraries come from; the graph itself may."""
    assert [f"$.env.{name}"] == [fault.partition(": ")[0] for fault in faults("p", env={name: "{x}"})]
    assert {name: "/opt"} == filled("p", {"env": {name: "/opt"}}).env


@pytest.mark.parametrize(
    ("command", "value"),
    [
        (["rm", "{x}"], "-rf"),
        (["rm", "{x}"], "--help"),
        (["rm", "{x}.txt"], "-rf"),
        (["rm", "{y}{x}"], "-rf"),
        (["rm", "a", "{x}", "--", "b"], "-rf"),
    ],
)
def test_value_does_not_pass_for_an_option(command: list[str], value: str) -> None:
    """An argument that begins with a value is refused where it would be an option, and the error says what to do."""
    with pytest.raises(ProcessError, match=r"rm is not started: argument \d, .* for an option; write '--' before it"):
        filled(command, x=value, y="")


@pytest.mark.parametrize(
    ("command", "value"),
    [
        (["rm", "--", "{x}"], "-rf"),
        (["rm", "--name={x}"], "-rf"),
        (["rm", "./{x}"], "-rf"),
        (["rm", "{x}"], -9),
        (["rm", "{x}"], "- a point of a list"),
        (["rm", "{x}"], "-"),
        (["sh", "-c", "rm $1", "sh", "{x}"], "-rf"),
    ],
)
def test_what_is_no_option_is_passed(command: list[str], value: object) -> None:
    """Behind `--` or a script, joined to text, with a space after the dash, a value is none; nor is a number."""
    assert str(value) in filled(command, x=value).arguments[-1]


def test_templates_are_all_that_is_filled() -> None:
    """A compiler sees the paths of every expression."""
    command = shell("p {a} b", env={"C": "{c}"}, stdin="{d}")
    assert [("a",), ("c",), ("d",)] == [path for template in command.templates for path in template.paths]
