"""Secrets are masked in streams wherever the pieces begin and end, as they are in whole texts."""

import itertools
import json
import time
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagflow import Secret
from dagflow.capture import Masker
from dagflow.core.secrets import MASK, mask

KEY = 'sk-"canary"/ключ+1'


def masked(masker: Masker, *pieces: bytes) -> bytes:
    stream = masker.stream()
    return b"".join([*(stream.feed(piece) for piece in pieces), stream.finish()])


def pieces_of(data: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(places)]


letters = st.text('ab/\n"é', max_size=12)


@pytest.mark.slow
@given(st.lists(st.text('ab/"é', max_size=8), max_size=4), st.lists(letters), st.lists(st.integers(0, 200)))
def test_pieces_are_masked_as_the_whole_is(secrets: list[str], texts: list[str], cuts: list[int]) -> None:
    """However a text is cut, its masked pieces together are what `core.secrets.mask` makes of the whole text."""
    text = "".join(itertools.chain.from_iterable(zip(texts, itertools.cycle(secrets or [""]), strict=False)))
    expected = mask(text, secrets).encode()
    masker = Masker(secrets)
    assert expected == masker.mask(text.encode())
    assert expected == masked(masker, *pieces_of(text.encode(), cuts))


@pytest.mark.slow
@given(st.lists(st.text("ab\n", max_size=30), max_size=3), st.text("ab\n", max_size=60), st.lists(st.integers(0, 100)))
def test_secrets_of_several_lines_are_masked_alike(secrets: list[str], text: str, cuts: list[int]) -> None:
    """The forms of a secret of several lines are masked in pieces as in the whole."""
    masker = Masker(secrets)
    assert masker.mask(text.encode()) == masked(masker, *pieces_of(text.encode(), cuts))


@pytest.mark.parametrize("written", [KEY, json.dumps(KEY), json.dumps(KEY, ensure_ascii=False), quote(KEY, safe="")])
def test_a_secret_is_masked_in_each_of_its_forms(written: str) -> None:
    """A secret that comes byte by byte is masked as it is, escaped for JSON and for a URL."""
    data = f"the key {written}!".encode()
    found = masked(Masker([Secret(KEY)]), *(data[place : place + 1] for place in range(len(data))))
    assert b"canary" not in found
    assert MASK.encode() in found


def test_nothing_is_kept_for_longer_than_it_must() -> None:
    """What cannot be the beginning of a secret is passed on at once, and the rest when it turns out to be none."""
    stream = Masker(["secret-1"]).stream()
    assert b"a line\n" == stream.feed(b"a line\n")
    assert b"so " == stream.feed(b"so secret-")
    assert b"secret-2" == stream.feed(b"2")
    assert b"" == stream.feed(b"secre")
    assert b"secre" == stream.finish()


def test_the_longer_secret_wins_though_it_comes_later() -> None:
    """A shorter secret is not masked alone while it may be the beginning of a longer one."""
    stream = Masker(["secret", "secret-and-more"]).stream()
    assert b"" == stream.feed(b"secret")
    assert b"" == stream.feed(b"-and-mor")
    assert MASK.encode() == stream.feed(b"e")
    assert MASK.encode() + b"-and-mo!" == masked(Masker(["secret", "secret-and-more"]), b"secret-and", b"-mo!")


def test_each_line_of_a_secret_is_masked() -> None:
    """A key of several lines is masked where its lines stand apart; lines too short to tell are not."""
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkq\nhkiG9w0BAQEFAASC\nEnd\n"
    masker = Masker([key])
    assert f"{MASK}!".encode() == masker.mask(f"{key}!".encode())
    assert f"  {MASK}\n  {MASK}\n  End".encode() == masker.mask(b"  MIIEvQIBADANBgkq\n  hkiG9w0BAQEFAASC\n  End")


def test_without_secrets_nothing_changes() -> None:
    """No secret, an empty and a tiny one mask nothing, and bytes that are no text pass."""
    assert bytes(range(256)) == masked(Masker(["", "a", Secret("abc")]), bytes(range(128)), bytes(range(128, 256)))
    assert "canary" not in repr(Masker(["canary"]))


def test_a_lone_surrogate_in_a_secret_does_no_harm() -> None:
    """A secret that cannot be written as UTF-8 masks what Python would write of it."""
    assert MASK.encode() == Masker(["key-\udc80"]).mask(b"key-\xed\xb2\x80")


def test_much_output_is_masked_fast() -> None:
    """Output that holds no secret costs little, whatever it is like."""
    masker = Masker([f"secret-{number}-{'x' * 40}" for number in range(20)])
    started = time.perf_counter()
    stream = masker.stream()
    for _ in range(200):
        stream.feed(b"ssssssssssssssss" * 4096)
    assert time.perf_counter() - started < 2
