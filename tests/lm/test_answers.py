"""Finding the JSON value in a model's answer."""

import json

import pytest

from dagflow.core.answers import MAX_DEPTH, InvalidAnswer, parse_json

VALUE = {"name": "Ana", "sizes": [1, 2.5, None, True], "nested": {"text": 'a "quote", {brackets} and ``` \u00e9'}}
TEXT = json.dumps(VALUE)


def problem(text: str) -> str:
    with pytest.raises(InvalidAnswer) as caught:
        parse_json(text)
    (only,) = caught.value.invalid
    assert "$" == only.path
    return only.problem


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        f"\ufeff{TEXT}",
        f"\n\t {TEXT}  \n",
        f"```json\n{TEXT}\n```",
        f"```\n{TEXT}\n```",
        f"```JSON\n{json.dumps(VALUE, indent=2)}\n```",
        f"Here it is:\n\n```json\n{TEXT}\n```\nIs that what you wanted?",
        f"Sure! {TEXT}",
        f"{TEXT}\nLet me know [if you like] about {{placeholders}}.",
        f"As said in [see note] and (1): {TEXT} -- done",
        f"{TEXT}\n{TEXT}",
        f"```python\nd = {{'x': [1, 2]}}\n```\nso\n```json\n{TEXT}\n```",
        f"<answer>{TEXT}</answer>",
    ],
)
def test_one_value_is_found_whatever_stands_around_it(text: str) -> None:
    """A whole text, a fence or prose around it: the one value is the answer."""
    assert VALUE == parse_json(text)


@pytest.mark.parametrize(("text", "value"), [("42", 42), ('"x"', "x"), ("null", None), ("```json\n[]\n```", [])])
def test_a_value_need_not_be_an_object(text: str, value: object) -> None:
    """A text that is JSON as a whole is taken, whatever its type."""
    assert value == parse_json(text)


@pytest.mark.parametrize("end", range(1, len(TEXT)))
def test_a_truncated_answer_is_said_to_be_cut_off(end: int) -> None:
    """However an object is cut, it is refused as cut off: no part of it passes for the answer."""
    assert "cut off" in problem(TEXT[:end])


def test_a_truncated_fence_is_said_to_be_cut_off() -> None:
    """An open fence does not hide that its value is cut."""
    assert "cut off" in problem(f"Here:\n```json\n{TEXT[:20]}")
    assert "cut off" in problem(f"```json\n{TEXT[:-1]}\n```")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the answer is empty"),
        (" \n\t", "the answer is empty"),
        ("\ufeff", "the answer is empty"),
        ("I cannot help with that.", "no JSON value in the answer, which begins with 'I cannot help"),
        ("<html><style>b {color: red}</style></html>", "no JSON value"),
        ('{"a": 1} {"a": 2}', "2 different JSON values"),
        ('{"a": 1} {"a": true}', "2 different JSON values"),
        ('{"a": 1} {"a": 1.0}', "2 different JSON values"),
        ('{"a": 1}}', "closes nothing"),
        ('{"a": 1}, "b": 2}', "closes nothing"),
        ('{"a": {"b": 1}, oops}', "malformed JSON at line 1 column 17"),
        ("{'a': {\"b\": 1}}", "malformed JSON"),
        ("{a: 1}", "malformed JSON"),
        ('{"a": 1,}', "malformed JSON"),
        ('{"a": "x\ny"}', "control character"),
        ('{"a": 1, "b": 2, "a": 1}', "the key 'a' is there twice"),
        ('x {"a": {"b": 1, "b": 1}} y', "the key 'b' is there twice"),
        ('{"a": NaN}', "NaN is no JSON value"),
        ('{"a": -Infinity}', "-Infinity is no JSON value"),
        ('prose {"a": Infinity}', "Infinity is no JSON value"),
        ("see [NaN]", "NaN is no JSON value"),
        ('{"a": 1e999}', "too large"),
        (f'{{"a": {"1" * 5000}}}', "a number is too long"),
        ('["\\ud800"]', "lone surrogate"),
        ('{"\\udc00": 1}', "lone surrogate"),
        ('{"a": "\ud800"}', "lone surrogate"),
        ("{} [1] {}", "3 different JSON values"),
    ],
)
def test_what_is_no_one_value_is_refused_with_the_reason(text: str, said: str) -> None:
    """What cannot be taken as one JSON value is refused, and the reason is told."""
    assert said in problem(text)


def test_a_pair_of_surrogates_is_a_character() -> None:
    """Only lone surrogates are refused: an escaped pair is one character."""
    assert "\U0001f600" == parse_json('"\\ud83d\\ude00"')


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_depth_is_bounded(opening: str, closing: str) -> None:
    """The deepest value that is allowed is read; one level more is refused, and so are 100,000."""
    inner = "[]" if opening == "[" else "{}"
    parse_json(opening * (MAX_DEPTH - 1) + inner + closing * (MAX_DEPTH - 1))
    assert "nested more than" in problem(opening * MAX_DEPTH + inner + closing * MAX_DEPTH)
    assert "nested more than" in problem(opening * 100_000 + inner + closing * 100_000)
    problem(opening * 100_000)


@pytest.mark.parametrize(
    "piece", ["{", "a{", "[a]", "{} ", '"', '{"a":', "```json\n", "[1x]", "\\", "}", "x", '{"a":1} ', "[[]] "]
)
def test_hostile_megabytes_are_handled_in_linear_time(piece: str) -> None:
    """A megabyte of one piece is read or refused: something quadratic would not end within the hour."""
    said = ""
    try:
        parse_json(piece * (1_000_000 // len(piece)))
    except InvalidAnswer as error:
        said = str(error)
    assert len(said) < 1000


@pytest.mark.slow
def test_five_megabytes_are_read() -> None:
    """Size alone is no reason to refuse an answer."""
    value = [{"id": number, "tags": ["x", 1.5]} for number in range(150_000)]
    text = json.dumps(value)
    assert len(text) > 5_000_000
    assert value == parse_json(f"Here you are:\n```json\n{text}\n```")
    assert "cut off" in problem(text[:-1])
