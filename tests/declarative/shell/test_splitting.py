"""Commands in a text: split as a shell splits them, and refused wherever a shell would do more than that."""

from __future__ import annotations

import subprocess
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagflow.declarative.expressions import ExpressionError
from dagflow.declarative.shell import split_command


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("ls", ["ls"]),
        ("  ls   -l\t/tmp \n", ["ls", "-l", "/tmp"]),
        ("echo 'a b' \"c d\" e\\ f", ["echo", "a b", "c d", "e f"]),
        ("echo a'b'\"c\"d", ["echo", "abcd"]),
        ("echo '' \"\"", ["echo", "", ""]),
        ("echo '\"' \"'\"", ["echo", '"', "'"]),
        ('echo \'\\\' "\\\\" "\\n" \\\\', ["echo", "\\", "\\", "\\n", "\\"]),
        ('echo "\\"" "\\$HOME" "\\`id\\`"', ["echo", '"', "$HOME", "`id`"]),
        ("echo '|' \\; '*' \\? '$HOME' '~' '#x' \\#y", ["echo", "|", ";", "*", "?", "$HOME", "~", "#x", "#y"]),
        ("echo a#b a~b a!b x=y cost$ a$, ]", ["echo", "a#b", "a~b", "a!b", "x=y", "cost$", "a$,", "]"]),
        ("tool \\\n  --one \\\n  --two\n", ["tool", "--one", "--two"]),
        ('echo "a\nb" \'c\nd\' "e\\\nf"', ["echo", "a\nb", "c\nd", "ef"]),
        ("'my program' x", ["my program", "x"]),
        ("echo ü \u00a0x", ["echo", "ü", "\u00a0x"]),
        ("", []),
        (" \n ", []),
    ],
)
def test_text_is_split_as_a_shell_does(command: str, arguments: list[str]) -> None:
    """Spaces separate, quotes and backslashes hold together."""
    assert tuple(arguments) == split_command(command)


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("grep {state.word + 's'} file", ["grep", "{state.word + 's'}", "file"]),
        ("grep '{a + 1}' \"{b + 2}\" x{ c }y", ["grep", "{a + 1}", "{b + 2}", "x{ c }y"]),
        ("echo {state['a b']}{state[\"c } d\"]}", ["echo", "{state['a b']}{state[\"c } d\"]}"]),
        ("echo \"{state[\"a b\"]}\" '{state['c d']}'", ["echo", '{state["a b"]}', "{state['c d']}"]),
        ("echo {a or '|'} {b > 1 and (c)} {'$(id)'}", ["echo", "{a or '|'}", "{b > 1 and (c)}", "{'$(id)'}"]),
        ("echo {'it\\'s } x'} y", ["echo", "{'it\\'s } x'}", "y"]),
        ("echo {{a {{b}} '{{ c }}' {{{x}}}", ["echo", "{{a", "{{b}}", "{{ c }}", "{{{x}}}"]),
        ("echo --name={a b}", ["echo", "--name={a b}"]),
        ('echo "\\{x}"', ["echo", "\\{x}"]),
        ("echo {a\n + b}", ["echo", "{a\n + b}"]),
    ],
)
def test_expressions_are_kept_whole(command: str, arguments: list[str]) -> None:
    """Whatever an expression contains, it is not split and no shell character: it is filled later."""
    assert tuple(arguments) == split_command(command)


@pytest.mark.parametrize(
    ("command", "column", "told"),
    [
        ("a | b", 3, "`|`"),
        ("a|b", 2, "`|`"),
        ("a && b", 3, "`&`"),
        ("a & b", 3, "`&`"),
        ("a; b", 2, "`;`"),
        ("a > b", 3, "`>`"),
        ("a 2>&1", 4, "`>`"),
        ("a <<EOF", 3, "`<`"),
        ("(a)", 1, "`(`"),
        ("a )", 3, "`)`"),
        ("a `b`", 3, "`` ` ``"),
        ('a "`b`"', 4, "backtick"),
        ("a $(b)", 3, "`$(`"),
        ('a "$(b)"', 4, "`$(`"),
        ("a $HOME", 3, "`$H`"),
        ('a "x$HOME"', 5, "`$H`"),
        ("a ${HOME}", 3, "`${`"),
        ("a $1 $?", 3, "`$1`"),
        ("a $\\\nHOME", 3, "`$"),
        ('a "$\\\n(b)"', 4, "`$"),
        ("a x=\\\n~", 7, "`~`"),
        ("a $'x'", 3, "`$` before a quote"),
        ('a $"x"', 3, "`$` before a quote"),
        ("a *", 3, "`*`"),
        ("a x?", 4, "`?`"),
        ("a x[1]", 4, "`[`"),
        ("a ~/x", 3, "`~`"),
        ("a x=~/y", 5, "`~`"),
        ("a # b", 3, "`#`"),
        ("! a", 1, "`!`"),
        ("A=1 b", 1, "env:"),
        ("PATH+=x b", 1, "env:"),
        ("a\nb", 2, "line end"),
        ("a\r\nb", 2, "carriage return"),
        ("a\n\u00a0", 2, "line end"),
        ("cd /tmp", 1, "cwd:"),
        ("export A", 1, "env:"),
        ("if a", 1, "of the shell's own"),
        ("a 'b", 3, "no closing '"),
        ('a "b', 3, 'no closing "'),
        ("a \"b'", 3, 'no closing "'),
        ("a {b", 3, "no closing }"),
        ("a {b'}", 3, "no closing }"),
        ("a b}", 4, "unexpected }"),
        ("a '{b'", 4, "no closing }"),
        ("a \\{b", 3, "write {{"),
        ("a \\", 3, "nothing follows"),
    ],
)
def test_what_only_a_shell_does_is_refused(command: str, column: int, told: str) -> None:
    """Everything else that a shell would do is refused, at its column; for most there is the explicit way."""
    with pytest.raises(ExpressionError) as caught:
        split_command(command)
    assert column == caught.value.column
    assert told.replace("`` ` ``", "```") in caught.value.message
    if "no shell reads" in caught.value.message and "env:" not in told and "cwd:" not in told:
        assert '["sh", "-c", "grep -- \\"$1\\" notes | sort", "sh", "{word}"]' in caught.value.message


def test_list_is_taken_as_it_is() -> None:
    """In a list every item is an argument, whatever it contains."""
    command = ["grep", "a | b", "*", "$HOME", "", "it's", "{x} y"]
    assert tuple(command) == split_command(command)


# A dollar and a tilde are rare, because nearly every text with them is refused.
PIECES = st.lists(
    st.sampled_from(["a", "b", "-", "=", "/", " ", "  ", "\t", "'", '"', "\\", "'x y'", '"x  y"', "\\ ", "''"] * 2)
    | st.sampled_from(
        ["\n", "$", "~", "#", "!", "%", "^", ",", ":", "]", "@", "\u00a0", "\\\n", "\\$", '"\\$"', "'$'", "'*'"]
    ),
    max_size=12,
).map("".join)


@pytest.mark.slow
@given(st.lists(PIECES, min_size=1, max_size=200))
def test_real_shell_agrees(texts: list[str]) -> None:
    """Whatever text is accepted, a real shell splits it into the same arguments."""
    accepted = {f"show {text}": arguments for text in texts if (arguments := split_or_none(f"show {text}"))}
    script = ["show() { for each; do printf '%s\\0' \"$each\"; done; printf 'end\\0'; }", *accepted]
    shown = subprocess.run(["sh"], input="\n".join(script).encode(), capture_output=True, check=True).stdout
    expected = [piece for arguments in accepted.values() for piece in (*arguments[1:], "end")]
    assert expected == shown.decode().split("\0")[:-1]


def split_or_none(text: str) -> tuple[str, ...] | None:
    try:
        return split_command(text)
    except ExpressionError:
        return None


@pytest.mark.parametrize("piece", ["a ", "'", '"', "\\", "{", "{{", "{'", "'{", "\n", "$", "{a}", "\\\n", "x=", "{'\\"])
def test_time_is_linear(piece: str) -> None:
    """A long text takes no time, whatever it is made of."""
    began = time.thread_time()
    split_or_none(piece * (20_000 // len(piece)))
    assert time.thread_time() - began < 0.25
