"""Secrets: values that no text shows, and masking them in text that comes from elsewhere."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, Final, NoReturn
from urllib.parse import quote

__all__ = ["MASK", "Secret", "mask", "mask_keys"]

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

_SHORTEST = 4  # masking every "a" would hide the text and not the secret


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


def mask(text: str, secrets: Iterable[str | Secret]) -> str:
    """Replace every secret in a text, also where it stands escaped for JSON or for a URL."""
    forms: set[str] = set()
    for secret in secrets:
        value = secret.reveal() if isinstance(secret, Secret) else secret
        if len(value) >= _SHORTEST:
            forms |= {
                value,
                json.dumps(value)[1:-1],
                json.dumps(value, ensure_ascii=False)[1:-1],
                quote(value, safe=""),
            }
    if not forms:
        return text
    # The longest first: one secret may hold another. All at once: the mask itself is not searched.
    return re.sub("|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True)), MASK, text)


def mask_keys(text: str) -> str:
    """Replace what has the shape of a well-known provider's key, whoever it belongs to."""
    return _KEY_SHAPES.sub(MASK, text)
