"""Variables in braces: which names are variables, and what becomes of the text around them."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from dagflow.declarative.prompts.faults import PromptError
from dagflow.declarative.prompts.text import MAX_CHARACTERS, parse_text


@pytest.mark.parametrize(
    ("system", "user", "declared", "written"),
    [
        (None, "About {topic}.", ["topic"], ("", "About cats.")),
        (None, "About {{ topic }}.", ["topic"], ("", "About cats.")),
        (None, "{{topic}}{{ topic}}{{topic }}{{\ttopic  }}", ["topic"], ("", "catscatscatscats")),
        ("You know {topic}.", "{topic}?", ["topic"], ("You know cats.", "cats?")),
        # What is in double braces anywhere leaves single ones alone everywhere
        ("{topic}", "{{ topic }}", ["topic"], ("{topic}", "cats")),
        ("{{ topic }}", "{topic}", ["topic"], ("cats", "{topic}")),
        # but only for names that are declared
        (None, "{topic} {{ other }}", ["topic"], ("", "cats {{ other }}")),
        (None, '{"topic": "{topic}", "n": {"a": {}}}', ["topic"], ("", '{"topic": "cats", "n": {"a": {}}}')),
        (None, "{{{topic}}}", ["topic"], ("", "{cats}")),
        (None, "{ topic } {topic }", ["topic"], ("", "{ topic } {topic }")),
        (None, "{Topic} {topics}", ["topic"], ("", "{Topic} {topics}")),
        # without a list of variables every name is one
        (None, "{topic} {size}", None, ("", "cats 3")),
        (None, "{{ topic }} {size}", None, ("", "cats {size}")),
        (None, "{topic}", [], ("", "{topic}")),
        (None, "{größe}", None, ("", "x")),
        (None, "no variables", ["topic"], ("", "no variables")),
        (None, "{topic}", {"topic": "what it is about"}, ("", "cats")),
        ("", "{topic}{topic}", None, ("", "catscats")),
    ],
)
def test_what_is_a_variable(
    system: str | None, user: str, declared: list[str] | dict[str, str] | None, written: tuple[str, str]
) -> None:
    """`{{ name }}`, or `{name}` where no double braces are, for declared names; all else is text."""
    text = parse_text(system, user, declared)
    assert written == text.render({"topic": "cats", "size": 3, "größe": "x"})


def test_what_a_text_needs() -> None:
    """The names that values are needed for are those that are used, not those that are declared."""
    text = parse_text("{a}", "{b} {a} {d}", ["a", "b", "c"])
    assert frozenset({"a", "b"}) == text.names
    assert frozenset({"a", "b", "c"}) == text.declared
    assert frozenset() == text.optional
    assert frozenset({"d"}) == text.left


def test_missing_values_are_told_all_at_once_with_the_nearest_given() -> None:
    """Nothing is rendered before every name has a value."""
    text = parse_text("{topic}", "{audience} {length}")
    written: list[str] = []

    class Telling(dict[str, Any]):
        def __getitem__(self, key: str) -> Any:
            written.append(key)
            return super().__getitem__(key)

    with pytest.raises(PromptError) as found:
        text.render(Telling(topci="x", length=1, other=2))
    assert [
        "$.variables.audience: missing; the prompt uses it",
        "$.variables.topic: missing; the prompt uses it; did you mean 'topci'?",
    ] == [str(item) for item in found.value.invalid]
    assert [] == written


def test_unknown_values_are_left_alone_and_can_be_asked_for() -> None:
    """A value that the prompt does not use is no error; linters can ask for its name."""
    text = parse_text(None, "{a}", ["a", "b"])
    assert ("", "1") == text.render({"a": 1, "b": 2, "c": 3})
    assert frozenset({"c"}) == text.unknown({"a", "b", "c"})


def test_values_are_written_as_text() -> None:
    """A text is itself, all else is JSON."""

    @attrs.frozen
    class Place:
        name: str

    values = {"a": True, "b": None, "c": [1, "x"], "d": Place("Faro"), "e": 0.5}
    assert ("", 'true null [1,"x"] {"name":"Faro"} 0.5') == parse_text(None, "{a} {b} {c} {d} {e}").render(values)


def test_a_value_without_a_form_is_told_by_its_name() -> None:
    """Every value that cannot be written is named."""
    with pytest.raises(PromptError) as found:
        parse_text(None, "{a} {b} {c}").render({"a": object(), "b": float("nan"), "c": 1})
    assert ["$.variables.a", "$.variables.b"] == [item.path for item in found.value.invalid]


def test_a_prompt_has_an_end() -> None:
    """Texts that are too long together are refused before they are made."""
    text = parse_text("{a}", "{a}" * 1000)
    assert 1001 * 4 == sum(map(len, text.render({"a": "text"})))
    with pytest.raises(PromptError, match=f"{1001 * 5000} characters long; {MAX_CHARACTERS} are the most"):
        text.render({"a": "x" * 5000})


@pytest.mark.parametrize(
    ("declared", "told"),
    [
        (["a b"], ["$.variables[0]: 'a b' cannot stand in braces; use letters, digits and `_`"]),
        (["a", "", "1x"], ["$.variables[1]: '' cannot", "$.variables[2]: '1x' cannot"]),
        (["a", "b", "a"], ["$.variables[2]: 'a' is declared more than once"]),
        ({"a.b": "x"}, ["$.variables['a.b']: 'a.b' cannot"]),
        (["__class__.x"], ["$.variables[0]: '__class__.x' cannot"]),
    ],
)
def test_a_name_that_cannot_be_a_variable(declared: Any, told: list[str]) -> None:
    """Declared names that no braces can hold, and double ones, are refused at their place."""
    with pytest.raises(PromptError) as found:
        parse_text(None, "x", declared)
    assert len(told) == len(found.value.invalid)
    assert all(str(item).startswith(start) for item, start in zip(found.value.invalid, told, strict=True))
