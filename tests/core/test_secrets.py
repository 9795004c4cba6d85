"""Secrets do not show, and are masked where they appear."""

import copy
import json
import pickle
from urllib.parse import quote

import pytest

from dagflow import Secret
from dagflow.core.secrets import MASK, mask

KEY = 'sk-"canary"/ключ+1'


def test_a_secret_does_not_show_itself() -> None:
    """No text made of a secret holds its value; only `reveal` does."""
    secret = Secret(KEY)
    shown = [repr(secret), str(secret), f"{secret}", f"{secret!r:>20}", repr({"key": secret}), "%s" % secret]  # noqa: UP031
    assert [] == [text for text in shown if "canary" in text]
    assert KEY == secret.reveal() == Secret(secret).reveal()


def test_a_secret_cannot_be_pickled_and_survives_a_copy() -> None:
    """A secret reaches no file or process by accident."""
    secret = Secret(KEY)
    with pytest.raises(TypeError, match="a secret cannot be pickled"):
        pickle.dumps(secret)
    assert secret is copy.deepcopy(secret) is copy.copy(secret)


def test_secrets_are_equal_by_value() -> None:
    """Two secrets of one value are one in a set."""
    assert 1 == len({Secret(KEY), Secret(KEY)})
    assert Secret(KEY) != Secret("other")
    assert Secret(KEY) != KEY


@pytest.mark.parametrize("written", [KEY, json.dumps(KEY), json.dumps(KEY, ensure_ascii=False), quote(KEY, safe="")])
def test_a_secret_is_masked_in_each_of_its_forms(written: str) -> None:
    """A secret is found as it is, and escaped for JSON and for a URL."""
    masked = mask(f"wrong key {written}!", [Secret(KEY)])
    assert "canary" not in masked
    assert MASK in masked


def test_each_line_of_a_secret_is_masked() -> None:
    """A key of several lines is masked where its lines stand apart, or indented; lines too short to tell are not."""
    key = "-----BEGIN KEY-----\n    canary+1/x\nAB==\n-----END KEY-----\n"
    assert MASK == mask(key, [key])
    assert f"{MASK}, {MASK} and AB==" == mask("canary+1/x, -----END KEY----- and AB==", [key])


def test_a_secret_may_be_any_text() -> None:
    """What cannot be encoded, a lone surrogate, hinders nobody."""
    assert f"a {MASK}" == mask("a key-\ud800", ["key-\ud800"])


def test_the_longest_secret_is_masked_first() -> None:
    """Where one secret holds another, nothing of the longer one is left."""
    assert MASK == mask("secret-and-more", ["secret", "secret-and-more"])


def test_nothing_is_not_masked() -> None:
    """An empty or tiny secret does not hide the whole text."""
    assert "a quiet text" == mask("a quiet text", ["", "a", Secret("te")])
