"""Secrets: values that no text shows, and masking them in text that comes from elsewhere."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final, NoReturn
from urllib.parse import quote, quote_plus

__all__ = ["MASK", "Mask", "Secret", "forms_of", "mask", "mask_keys"]

MASK: Final = "<secret>"

_KEY_SHAPES: Final = re.compile(
    r"""(?<![A-Za-z0-9])(?:
      sk-[A-Za-z0-9_-]{16,}                              # OpenAI, Anthropic and who followed them
    | (?<=earer[ ])(?=\S*\d|\S{24})[\w.~+/-]{8,}={0,2}    # RFC 6750, 2.1: what follows "Bearer ", unless it is prose
    | (?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])           # AWS
    | gh[oprsu]_[A-Za-z0-9]{20,} | github_pat_\w{20,}    # GitHub
    | AIza[A-Za-z0-9_-]{35}                              # Google
    | xox[abeprs]-[A-Za-z0-9-]{10,}                      # Slack
    | (?:gsk|hf)_[A-Za-z0-9]{20,}                        # Groq, Hugging Face
    | eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}                 # JSON Web Token
    )""",
    re.VERBOSE,
)

_SHORTEST: Final = 4  # masking every "a" would hide the text and not the secret
_SHORTEST_LINE: Final = 8


class Secret:
    """A string that shows itself only to who calls `reveal`: its `repr` and `str` are a mask.

    It cannot be pickled, so that it reaches neither a file nor another process by accident.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str | Secret) -> None:
        self._value: str = value.reveal() if isinstance(value, Secret) else value

    def reveal(self) -> str:
        """Give the string itself."""
        return self._value

    def __repr__(self) -> str:
        return MASK

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: Any) -> Secret:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret cannot be pickled; give it to the other process through its environment")


def forms_of(secrets: Iterable[str | Secret]) -> tuple[str, ...]:
    """Give the texts to mask, the longest first: one secret may hold another.

    They are each secret as it is, and escaped for JSON, for a URL and as Python's `repr` does, which is how a
    `KeyError` tells it; and of one of several lines each line that is at least 8 characters long: output is read line
    by line, and a key in PEM may stand indented.
    """
    values = [secret.reveal() if isinstance(secret, Secret) else secret for secret in secrets]
    lines = [line for value in values for line in map(str.strip, value.splitlines()) if len(line) >= _SHORTEST_LINE]
    found = {form for text in (*values, *lines) if len(text) >= _SHORTEST for form in _written(text)}
    return tuple(sorted(found, key=len, reverse=True))


def _written(text: str) -> Iterator[str]:
    yield text
    yield json.dumps(text)[1:-1]
    yield json.dumps(text, ensure_ascii=False)[1:-1]
    yield repr(text)[1:-1]
    for safe in ("", "/"):
        yield quote(text, safe=safe, errors="surrogatepass")
    yield quote_plus(text, errors="surrogatepass")


def mask(text: str, secrets: Iterable[str | Secret]) -> str:
    """Replace every secret in a text, in all of its forms (`forms_of`)."""
    return Mask(secrets)(text)


class Mask:
    """Replaces secrets in texts, again and again."""

    def __init__(self, secrets: Iterable[str | Secret] = ()) -> None:
        self._forms = forms_of(secrets)
        # All at once: the mask itself is not searched.
        self._pattern = re.compile("|".join(map(re.escape, self._forms)))

    @property
    def longest(self) -> int:
        """Characters of the longest text that is replaced; 0 where there is none."""
        return len(self._forms[0]) if self._forms else 0

    def __bool__(self) -> bool:
        """Whether there is anything to hide."""
        return bool(self._forms)

    def __repr__(self) -> str:
        return f"<Mask of {len(self._forms)} texts>"

    def __call__(self, text: str) -> str:
        """Give a text with every secret replaced."""
        return self._pattern.sub(MASK, text) if self._forms else text


def mask_keys(text: str) -> str:
    """Replace what has the shape of a well-known provider's key, whoever it belongs to."""
    return _KEY_SHAPES.sub(MASK, text)
