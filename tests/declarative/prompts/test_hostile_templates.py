"""Hostile templates and hostile values: refused in words, or text, and always quickly."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagflow.declarative.prompts.faults import PromptError
from dagflow.declarative.prompts.jinja import parse_jinja
from dagflow.declarative.prompts.text import parse_text
from declarative.prompts.hostile_templates import IN_BRACES, LARGE, PAYLOADS, VALUES, Payload
from declarative.prompts.measuring import peak_of, seconds_of

SECONDS = 0.1
BYTES = 64 * 1024 * 1024

by_name = pytest.mark.parametrize("payload", PAYLOADS, ids=lambda payload: payload.name)


def jinja(payload: Payload) -> tuple[str, str]:
    return parse_jinja("", payload.text).render(VALUES)


def attempt(work: Callable[[], object]) -> Callable[[], object]:
    def run() -> object:
        try:
            return work()
        except PromptError as error:
            return error

    return run


def test_the_corpus_is_large() -> None:
    """At least 60 payloads, and no two are the same."""
    assert 60 <= len({payload.text for payload in PAYLOADS}) == len(PAYLOADS)


@by_name
def test_a_hostile_template_is_refused_or_text(payload: Payload) -> None:
    """What a template may not do is refused with the line and the reason; all else comes out as it is."""
    if payload.refused is None:
        assert ("", payload.text) == jinja(payload)
        return
    with pytest.raises(PromptError, match=payload.refused) as found:
        jinja(payload)
    assert len(str(found.value)) < 110_000


@pytest.mark.slow
@by_name
def test_a_hostile_template_takes_little(payload: Payload) -> None:
    """Whatever a template says, it takes less than 100 ms of the processor and 64 MiB."""
    work = attempt(lambda: jinja(payload))
    assert peak_of(work) < BYTES  # first: what Jinja2 imports and compiles once is not the template's time
    assert seconds_of(work, SECONDS) < SECONDS


@by_name
def test_a_hostile_text_is_text_in_a_prompt_that_declares_its_variables(payload: Payload) -> None:
    """With variables in braces, all that is not a declared name is text."""
    text = parse_text(payload.text, payload.text, ["topic"])
    assert frozenset() == text.names
    assert (payload.text, payload.text) == text.render({"topic": "x"})


@by_name
def test_a_hostile_value_comes_out_as_it_is(payload: Payload) -> None:
    """What is put into a template is never looked at, in either form of braces or in Jinja2."""
    values = {"topic": payload.text, "topics": [payload.text, "{{ topic }}{topic}"]}
    assert ("", f"<{payload.text}>") == parse_text(None, "<{{ topic }}>").render(values)
    assert ("", f"<{payload.text}>") == parse_text(None, "<{topic}>").render(values)
    looped = "{% for topic in topics %}{{ topic }}{% if topic == topics[0] %};{% endif %}{% endfor %}"
    assert ("", f"{payload.text};{{{{ topic }}}}{{topic}}") == parse_jinja(None, looped).render(values)
    joined = "{{ topics|join(';') }}{{ topics|first|replace('', '') }}"
    assert f"{payload.text};{{{{ topic }}}}{{topic}}{payload.text}" == parse_jinja(None, joined).render(values)[1]


@by_name
def test_a_hostile_value_takes_little(payload: Payload) -> None:
    """A value takes no more than its length, however it is written."""
    values = {"topic": payload.text}
    for text in (parse_text(None, "<{{ topic }}>"), parse_jinja(None, "<{{ topic }}>")):
        assert seconds_of(lambda text=text: text.render(values), SECONDS) < SECONDS  # type: ignore[misc]  # the loop's own
        assert peak_of(lambda text=text: text.render(values)) < BYTES  # type: ignore[misc]  # the loop's own


@pytest.mark.parametrize(
    "expression",
    [
        "(b + b + b + b + b)",
        "bs|join",
        "bs|join('', attribute='b')",
        "bs|tojson",
        "[b, b, b, b, b]|join",
        "deep|tojson(indent=8)",
    ],
)
def test_no_text_grows_past_the_bound(expression: str) -> None:
    """A text that would be too long is refused before it is there, though it would not come out."""
    big = "b" * 1_000_000
    deep: object = list(range(45_000))
    for _ in range(200):
        deep = [deep]
    values = {"b": big, "bs": [{"b": big}] * 5, "deep": deep}
    text = parse_jinja(None, f"{{{{ ({expression})|length }}}}")

    def render() -> None:
        with pytest.raises(PromptError, match="it would make a text of more than 4194304 characters"):
            text.render(values)

    assert peak_of(render) < BYTES


@pytest.mark.parametrize("expression", ["n + 1", "n % 3", "n // 3", "-n", "n|round", "n * n"])
def test_no_number_grows_past_the_bound(expression: str) -> None:
    """What would take long with numbers of thousands of digits is not begun."""
    with pytest.raises(PromptError, match="a number becomes too large"):
        parse_jinja(None, f"{{{{ ({expression}) == 1 }}}}").render({"n": 10**4000})


@pytest.mark.parametrize("text", IN_BRACES)
def test_only_a_name_in_braces_is_a_variable(text: str) -> None:
    """No format, attribute, index, filter or tag is read in braces: it is text, beside a variable too."""
    assert (text, text) == parse_text(text, text, ["topic"]).render({"topic": "x"})
    assert f"{text}x" == parse_text(text, text + "{{ topic }}", ["topic"]).render({"topic": "x"})[1]


@pytest.mark.parametrize("text", LARGE, ids=lambda text: text[:4])
def test_braces_are_found_in_one_go(text: str) -> None:
    """Searching a text for variables takes a time that grows with its length, whatever the text."""
    work = attempt(lambda: parse_text(None, text))
    assert seconds_of(work, SECONDS) < SECONDS
    assert peak_of(work) < BYTES
    assert text == parse_text(None, text, ["topic"]).render({})[1]


@given(value=st.text(), name=st.sampled_from(["system", "user"]))
def test_any_text_comes_out_as_it_is(value: str, name: str) -> None:
    """A text is put in without a change, whatever is in it, and nothing in it is put in again."""
    values = {"a": value, "b": "{{ a }}{a}"}
    for parse in (parse_text, parse_jinja):
        written = f"<{value}|{{{{ a }}}}{{a}}|{value}>"
        texts = ("<{{ a }}|{{ b }}|{{ a }}>", "u") if name == "system" else ("s", "<{{ a }}|{{ b }}|{{ a }}>")
        assert written == parse(*texts).render(values)[name == "user"]
    assert f"<{value}|{{{{ a }}}}{{a}}>" == parse_text(None, "<{a}|{b}>").render(values)[1]


def put_in(text: str, value: str) -> str:
    """What a prompt with the one variable `a` becomes, a character at a time."""
    is_double = any(end_of_double(text, place) for place in range(len(text)))
    written, place = "", 0
    while place < len(text):
        end = end_of_double(text, place) if is_double else place + 3 if text.startswith("{a}", place) else None
        written += text[place] if end is None else value
        place = place + 1 if end is None else end
    return written


def end_of_double(text: str, place: int) -> int | None:
    rest = text[place:]
    if not rest.startswith("{{"):
        return None
    rest = rest[2:].lstrip(" \t")
    if not rest.startswith("a"):
        return None
    rest = rest[1:].lstrip(" \t")
    return len(text) - len(rest) + 2 if rest.startswith("}}") else None


@given(text=st.text(alphabet="{{{}}}aa \t\n_b"), value=st.text(alphabet="{}a", min_size=1))
def test_braces_are_what_a_plain_reader_finds(text: str, value: str) -> None:
    """Variables are found as a reader finds them who goes through the text once, one character after the other."""
    assert put_in(text, value) == parse_text(None, text, ["a"]).render({"a": value})[1]
