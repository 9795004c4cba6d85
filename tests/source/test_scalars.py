"""Scalars are read by the core schema of YAML 1.2, and numbers that JSON does not have are refused."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from dagflow.source import Limits
from dagflow.source.scalars import Unwanted, read_plain
from source.reading import both, found_in, read

CORE: dict[str, Any] = {
    # null
    "~": None, "null": None, "Null": None, "NULL": None, "nUll": "nUll", "none": "none", "None": "None",
    # booleans
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False, "tRue": "tRue",
    "yes": "yes", "no": "no", "on": "on", "off": "off", "y": "y", "N": "N", "Yes": "Yes", "OFF": "OFF",
    # integers
    "0": 0, "7": 7, "-19": -19, "+12": 12, "010": 10, "-007": -7, "00": 0, "0o14": 12, "0o7": 7, "0xC": 12, "0xff": 255,
    "0o8": "0o8", "0b11": "0b11", "-0x1": "-0x1", "+0o7": "+0o7", "0X1": "0X1", "0x": "0x", "0o": "0o",
    "1_000": "1_000", "1,000": "1,000", "12:30:00": "12:30:00", "1:20": "1:20", "0x1_0": "0x1_0",
    "\u0661": "\u0661", "1\u0661": "1\u0661", "\u00b2": "\u00b2", "-x": "-x", "+": "+", "--1": "--1", "1-": "1-",
    # numbers
    "1.5": 1.5, "-0.0": -0.0, ".5": 0.5, "1.": 1.0,
    "1e3": 1000.0, "12e03": 12000.0, "-2E+05": -200000.0, "+.5e-1": 0.05,
    "1.5e": "1.5e", "e3": "e3", ".": ".", ".e1": ".e1", "1e3.5": "1e3.5", "1.2.3": "1.2.3", "1e-999": 0.0,
    "inf": "inf", "nan": "nan", "Infinity": "Infinity", ".Nan": ".Nan", "+.nan": "+.nan", ".iNF": ".iNF",
    # times are texts
    "2030-01-01": "2030-01-01", "2030-01-01T00:00:00Z": "2030-01-01T00:00:00Z", "=": "=", "<<": "<<",
}  # fmt: skip


@both
@pytest.mark.parametrize("text", CORE)
def test_a_text_without_quotes_is_read_by_the_core_schema(text: str, make_parser: Any) -> None:
    """In a mapping, in a list and by itself, in a block and in brackets."""
    expected = repr({"a": CORE[text], "b": [CORE[text]]})  # tells 1 from True, and -0.0 from 0
    assert expected == repr(read(f"a: {text}\nb:\n- {text}\n", make_parser).data)
    if "," not in text:
        assert expected == repr(read(f"{{a: {text}, b: [{text}]}}", make_parser).data)
    assert repr(CORE[text]) == repr(read(text, make_parser).data)


@both
@pytest.mark.parametrize("text", ["null", "true", "1", "1.5", ".nan", "", "0x1"])
def test_a_text_in_quotes_or_a_block_is_a_text(text: str, make_parser: Any) -> None:
    """Whatever it looks like."""
    document = f"a: '{text}'\nb: \"{text}\"\nc: |-\n  {text}\nd: >-\n  {text}\n"
    assert {"a": text, "b": text, "c": text, "d": text} == read(document, make_parser).data


@both
def test_nothing_is_null(make_parser: Any) -> None:
    """In a list, in a mapping, and as a document."""
    assert {"a": None, "b": [None, None]} == read("a:\nb:\n-\n- # nothing\n", make_parser).data
    assert {"a": None, "b": ["x", None]} == read("{a: , b: [x, ~]}", make_parser).data
    assert read("---\n", make_parser).data is None


@both
@pytest.mark.parametrize("text", [".inf", "+.inf", "-.Inf", ".INF", ".nan", ".NaN", ".NAN"])
def test_what_json_does_not_have_is_refused(text: str, make_parser: Any) -> None:
    """The place is that of the value."""
    told = f"1:4: a: {text} is no JSON value; use a finite number or null, or put the text in quotes"
    assert [told] == found_in(f"a: {text}", make_parser)


def test_numbers_too_large_for_a_float_are_refused() -> None:
    """They would be infinite."""
    told = "is too large; the largest is about 1.8e308"
    assert [f"1:4: a: the number '1e309' {told}", f"2:4: b: the number '-1e999' {told}"] == found_in(
        "a: 1e309\nb: -1e999"
    )


@pytest.mark.parametrize("text", ["9" * 500, "-" + "9" * 499, "0x" + "f" * 498, "0o" + "7" * 498, "0." + "9" * 498])
def test_numbers_may_be_as_long_as_the_limit(text: str) -> None:
    """One more character is refused, before Python would."""
    assert isinstance(read(f"a: {text}").data["a"], (int, float))
    (told,) = found_in(f"a: {text}1")
    assert told.startswith(f"1:4: a: the number '{text[:40]}'... has more than 500 digits, the limit set by max_digits")


def test_what_python_refuses_is_told_too() -> None:
    """Where the limit is raised above Python's own, the answer is as clear."""
    assert sys.get_int_max_str_digits() < 10_000
    with pytest.raises(Unwanted, match="has more digits than Python reads"):
        read_plain("9" * 10_000, 100_000)
    assert found_in(f"a: {'9' * 10_000}", limits=Limits(max_digits=100_000))


def test_a_number_in_front_of_the_limit_is_read_at_any_setting_of_python() -> None:
    """Python's own limit can be set to 640 digits at least, and such a number can be written with them."""
    largest = read("a: 0x" + "f" * 498).data["a"]
    assert largest < 10**640
