"""How values are written into attributes: short, in bounded time, and without secrets."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from dagflow import Secret
from dagflow.core.secrets import MASK
from dagflow.telemetry.showing import LONGEST, Showing


class Shy:
    def __repr__(self) -> str:
        raise RuntimeError("never")


def knot() -> list[Any]:
    held: list[Any] = []
    held.append(held)
    return held


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": [1, 2.5, None, True]}, '{"a": [1, 2.5, null, true]}'),
        ({}, "{}"),
        ([], "[]"),
        ({3: ("ü", b"x")}, '{"3": ["ü", b\'x\']}'),
        (Secret("open sesame"), MASK),
        ({"deep": {"k": Secret("open sesame")}}, f'{{"deep": {{"k": {MASK}}}}}'),
        (Shy(), "<Shy whose repr raised RuntimeError>"),
        ("\ud800", '"?"'),
        (10**6000, "<int whose repr raised ValueError>"),
    ],
    ids=range(9),
)
def test_values_are_written_as_json_or_repr(value: Any, text: str) -> None:
    """JSON where there is one, else the repr; whatever a value does, it is written."""
    assert text == Showing().value(value)


def test_a_value_that_holds_itself_ends() -> None:
    """A cycle is written to a bounded depth."""
    assert Showing().value(knot()).startswith("[[[[")


@pytest.mark.parametrize("limit", [1, 2, 3, 10, 1024])
def test_no_text_is_longer_than_the_limit(limit: int) -> None:
    """The limit counts bytes, and never cuts a sign in two."""
    text = Showing(limit).value(["ü" * 5000])
    assert limit >= len(text.encode())


def test_a_secret_is_not_shown_in_part() -> None:
    """What stands across the limit is masked first, and what stands across the part that is looked at is left out."""
    secret = "correct-horse-battery-staple"
    shown = Showing(64, [secret])
    assert "correct" not in shown.text("." * 50 + secret)
    masked = Showing(LONGEST, [secret]).text(secret * (LONGEST // len(secret) + 10))
    assert MASK.startswith(masked.replace(MASK, "")), "what is left is of the last mask"


def test_an_escaped_secret_is_not_shown_in_part() -> None:
    """A secret may be twelve times as long where it stands escaped, across the end of what is looked at, too."""
    secret = "\U0001f511" * 10
    text = "." * (LONGEST - 100) + json.dumps(secret)
    assert {"."} == set(Showing(2 * LONGEST, [secret]).text(text))


def test_a_large_value_costs_no_more_than_a_small_one() -> None:
    """A million items are not written to show the first few."""
    many = [{"a": "b" * 100}] * 1_000_000
    began = time.perf_counter()
    Showing().value(many)
    assert 0.05 > time.perf_counter() - began
