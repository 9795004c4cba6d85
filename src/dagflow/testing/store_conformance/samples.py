"""Texts, thread ids and digests that a store must hold, each for what goes wrong with it.

A store holds any `str` that has no lone surrogates, as a record, a value, or the name of a graph; a thread id
is what `check_thread_id` lets pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

__all__ = ["TEXTS", "THREAD_IDS", "by_name"]

TEXTS = {
    "json": '{"event": "Started", "n": 1.5, "crc": "a0"}',
    "empty": "",
    "spaces": "  \t text \t  ",
    "lines": "one\ntwo\r\nthree\rfour\u2028five\x85",
    "only a line end": "\n",
    "nul": "a\x00b\x00",
    "only nul": "\x00",
    "controls": "".join(map(chr, range(32))) + "\x7f",
    "quotes": "'\"`;--\\' OR 1=1",
    "escapes": "%s {0} $1 \\n \\u0000 \\x00",
    "accents, composed and not": "é e\u0301",
    "right to left": "\u202eשלום مرحبا",
    "beyond the first plane": "🦔👩‍👩‍👧‍👦𝔘\U0010ffff",
    "byte order marks": "\ufeff\ufffe\uffff",
    "a number": "1.10",
    "null": "null",
    "a redis reply": "$-1\r\n*3\r\n",
}

THREAD_IDS = {
    "a letter": "t",
    "as long as they get": "x" * 500,
    "as many bytes as they get": "🦔" * 500,
    "spaces": " a b ",
    "a path": "../../etc/passwd",
    "dots": "..",
    "a pattern": "*?[a-z]%_",
    "quotes": "'; DROP TABLE thread; --\"",
    "braces": "{t}:{u}",
    "colons": "t:records:lease",
    "percent": "%2F%00",
    "other scripts": "ветка-線-خيط",
    "a number": "0",
    "a constant": "None",
}


class Parameters(TypedDict):
    """What `pytest.mark.parametrize` is given besides the name."""

    argvalues: list[str]
    ids: list[str]


def by_name(samples: Mapping[str, str]) -> Parameters:
    """Give samples as parameters of a case, with their names for its id."""
    return {"argvalues": list(samples.values()), "ids": list(samples)}
