"""Dotenv files are read strictly: a secret is never silently another one."""

import traceback
from pathlib import Path

import pytest

from dagflow import Secret
from dagflow.secret_stores import DotenvError, DotenvSecrets, parse_dotenv


def read(text: str) -> dict[str, str]:
    return {name: secret.reveal() for name, secret in parse_dotenv(text, file=".env").items()}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("A=plain", "plain"),
        ("A = spaced out \n", "spaced out"),
        ("  export A=exported", "exported"),
        ("A=a#b # a comment", "a#b"),
        ("A=# only a comment", ""),
        ("A=", ""),
        ("A=a=b==", "a=b=="),
        ("A='single $x \\n #1' # comment", "single $x \\n #1"),
        ('A="double \\"x\\" \\\\ \\n \\$HOME"', 'double "x" \\ \n $HOME'),
        ('A="two\nlines"\n', "two\nlines"),
        ("A='two\nlines'\n", "two\nlines"),
        ("A=$HOME${HOME}`id`", "$HOME${HOME}`id`"),
        ("A=\\d+ back\\slash", "\\d+ back\\slash"),
        ("A=ключ-🔑", "ключ-🔑"),
        ("# first\n\n \t\nA=1\r\n#last", "1"),
    ],
)
def test_a_value_is_read(text: str, value: str) -> None:
    """Plain, quoted and many-lined values are read, and nothing is put in for a variable."""
    assert {"A": value} == read(text)


def test_several_lines_are_read() -> None:
    """Every line gives a secret; blank lines and comments none."""
    assert {"A": "1", "B": "2", "C": "3"} == read("A=1\n# B=9\nB='2'\n\n\texport C=3   ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A=1\nB", r"\.env:2: expected NAME=value"),
        ("A: 1", r"\.env:1: expected NAME=value"),
        ("1A=1", r"\.env:1: expected NAME=value"),
        ("=1", r"\.env:1: expected NAME=value"),
        ("A=1\n\nA=2", r"\.env:3: A is set a second time"),
        ('\nA="canary', r"\.env:2: the quoted value of A does not end"),
        ("A='canary\nB=2", r"\.env:1: the quoted value of A does not end"),
        ("A='canary'more", r"\.env:1: there is more after the quoted value of A"),
        ('A="canary\\d"', r"\.env:1: the value of A has an unknown escape"),
    ],
)
def test_what_is_malformed_is_refused(text: str, message: str) -> None:
    """A malformed file is an error with its line, without any value of the file."""
    with pytest.raises(DotenvError, match=message) as caught:
        read(text)
    assert "canary" not in str(caught.value)


async def test_a_file_is_read_when_it_is_asked(tmp_path: Path) -> None:
    """The file is read for each question, so that a change of it is seen; an empty value is none."""
    file = tmp_path / ".env"
    provider = DotenvSecrets(file)
    file.write_text("TOKEN=first\nEMPTY=\n")
    assert Secret("first") == await provider.find("TOKEN")
    assert None is await provider.find("EMPTY")
    file.write_bytes(b"\xef\xbb\xbfTOKEN=second\n")
    assert Secret("second") == await provider.find("TOKEN")
    assert ["TOKEN"] == list(await provider.names())


async def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """A file that is no dotenv file is an error that names it, and shows nothing of it."""
    path = tmp_path / ".env"
    for content, problem in ((None, "No such file"), (b"A=canary\xff", "not UTF-8")):
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(DotenvError, match=f"the secrets in .* cannot be read: .*{problem}") as caught:
            await DotenvSecrets(path).find("A")
        assert str(path) in str(caught.value)
        assert "canary" not in "".join(traceback.format_exception(caught.value))
