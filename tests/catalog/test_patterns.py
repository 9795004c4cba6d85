"""Globs match what shells match, never lead out of a folder, and never take long."""

import time

import pytest

from dagflow.catalog import Catalog
from dagflow.catalog.patterns import check_path, parse_pattern


@pytest.mark.parametrize(
    ("glob", "matched", "others"),
    [
        ("out.csv", ["out.csv"], ["xout.csv", "a/out.csv", "out.csv/a", "OUT.CSV"]),
        ("./a/b", ["a/b"], ["b"]),
        ("*.csv", ["a.csv", "ключ.csv", " .csv"], [".csv", "a/b.csv", "a.csvx"]),
        ("a?c", ["abc"], ["ac", "a/c"]),
        ("[ab]x", ["ax", "bx"], ["cx", ".x"]),
        ("[.]x", [], [".x"]),
        (".*", [".env"], ["env"]),
        ("*/b", ["a/b"], ["b", "a/a/b", ".a/b"]),
        ("**/b", ["b", "a/b", "a/a/b"], [".a/b", "a/.a/b", "ab"]),
        ("a/**", ["a/b", "a/b/c"], ["a", "b/a", "a/.b", "a/.b/c"]),
        ("**", ["a", "a/b"], [".a"]),
        ("a/**/**/b", ["a/b", "a/x/y/b"], ["a", "b"]),
        (".git/**", [".git/x", ".git/a/b"], ["x"]),
        ("a[", ["a["], ["a"]),
    ],
)
def test_a_glob_matches(glob: str, matched: list[str], others: list[str]) -> None:
    """Each kind of glob matches the paths that it should, and no others."""
    pattern = parse_pattern(glob)
    assert matched == [path for path in matched + others if pattern.matches(path)]


@pytest.mark.parametrize(
    ("glob", "problem"),
    [
        ("", "is empty"),
        (" ", "is empty"),
        (".", "names no file"),
        ("/etc/passwd", "is absolute"),
        ("../x", "leads upwards"),
        ("a/../../x", "leads upwards"),
        ("~/x", "begins with ~"),
        ("a\\b", "holds a backslash"),
        ("a\nb", "holds the character U\\+000A"),
        ("a\0", "holds the character U\\+0000"),
        ("a\u202eb", "holds the character U\\+202E"),
        ("a//b", "has an empty part"),
        ("out/", "write out/\\*\\* for the files in it"),
        ("a**/b", "has \\*\\* beside other characters"),
        ("x" * 1001, "longer than 1000"),
        (7, "is no text but int"),
    ],
)
def test_a_glob_that_is_no_path_is_refused(glob: str, problem: str) -> None:
    """What is absolute, leads upwards or cannot be a path is refused when the task is declared."""
    with pytest.raises(ValueError, match=problem):
        Catalog(put=[glob])
    with pytest.raises(ValueError, match=problem):
        Catalog(get=(glob,))


def test_one_glob_needs_no_list() -> None:
    """A single glob may be given as it is."""
    assert Catalog(get=("a",), put=("*.b",)) == Catalog(get="a", put=["*.b"])


@pytest.mark.parametrize("path", ["a", "a b/ü.csv", "-x", "*", "a/.b", "a'\"$;&|<>`"])
def test_an_odd_name_is_kept(path: str) -> None:
    """Names that only shells find odd are fine."""
    assert None is check_path(path)


@pytest.mark.parametrize("path", ["", "/a", "../a", "a/..", "a//b", "a/./b", "a\nb", "\udc80", "ü" * 128, "a\\b"])
def test_a_name_that_is_not_for_everybody_is_refused(path: str) -> None:
    """Names that some systems or texts cannot hold, or that lead elsewhere, are refused."""
    assert None is not check_path(path)


def test_no_glob_takes_long() -> None:
    """A hostile glob takes no exponential time, neither in one name nor over many folders."""
    started = time.perf_counter()
    assert not parse_pattern("*a" * 100 + "b").matches("a" * 250)
    assert not parse_pattern("/".join(["**", "a*"] * 30 + ["b"])).matches("/".join(["a"] * 200))
    assert time.perf_counter() - started < 1
