"""Recognising a language model by what it can do: the protocol itself lives in a later layer."""

from __future__ import annotations

__all__ = ["can_be_language_model", "check_language_model"]

METHODS = ("make", "decide", "choose_type", "fill")


def can_be_language_model(thing: object) -> bool:
    """Tell whether a class or object has the four methods of a language model."""
    return all(callable(getattr(thing, method, None)) for method in METHODS)


def check_language_model(lm: object) -> None:
    """Refuse what is given as a language model and is none, before a run finds out in its midst.

    Raises `TypeError` for a class in place of an instance, and for an object without the four methods; `None`
    is no model, and fine.
    """
    if lm is None:
        return
    if isinstance(lm, type):
        raise TypeError(f"lm= takes a language model, not the class {lm.__name__} itself; write {lm.__name__}(...)")
    if not can_be_language_model(lm):
        raise TypeError(f"lm={lm!r} is no language model: it needs the async methods {', '.join(METHODS)}")
