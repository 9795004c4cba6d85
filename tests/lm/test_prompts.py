"""Prompts: what reaches the model, and what does not."""

import json
from typing import Annotated, Any

import pytest

from dagflow import Dep, Node, NodeConfig, field
from dagflow.core.prompts import choice_prompt, choice_schema, fill_prompt, in_words, repair_prompt, system_with_schema
from dagflow.core.schema import json_schema
from dagflow.errors import InvalidField


class Client:
    """A value that has no form in JSON."""

    def __repr__(self) -> str:
        return "Client(key='hunter2')"


class GetDressed(Node):
    """This docstring is for readers."""

    message: str
    client: Annotated[Any, Dep(Client)]

    async def __call__(self) -> "Outfit | Ask | None": ...


class Outfit(Node):
    """This docstring is for readers."""

    place: Annotated[str, Dep(lambda: "Faro")]
    top: str = field(description="a garment for the upper body")
    size: int

    async def __call__(self) -> None: ...


class Ask(Node):
    """This docstring is for readers."""

    node_config = NodeConfig(instruction="Ask the person, kindly.")

    async def __call__(self) -> None: ...


SOURCE = GetDressed(message="just got up", client=Client())


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Outfit", "Outfit"),
        ("GetDressed", "Get dressed"),
        ("ReadHTTPAnswer", "Read HTTP answer"),
        ("snake_case", "snake case"),
        ("Ask the person, kindly.", "Ask the person, kindly."),
    ],
)
def test_a_class_name_is_told_in_words(name: str, words: str) -> None:
    """A name is split into words; an instruction is left alone."""
    assert words == in_words(name)


def test_a_fill_prompt_has_the_task_the_source_and_the_values() -> None:
    """What the model fills from is all there, as JSON."""
    text = fill_prompt("GetDressed", SOURCE, {"place": "Faro", "forecast": {"sky": "blue"}})
    assert "Task: Get dressed" in text
    assert "It follows from GetDressed" in text
    assert '"message": "just got up"' in text
    assert '"sky": "blue"' in text


def test_what_has_no_form_in_json_is_only_named() -> None:
    """A value that cannot be written is named with its type; its repr may hold a secret."""
    text = fill_prompt("Outfit", SOURCE, {"connection": Client(), "ratio": float("nan")})
    assert "client (a Client)" in text
    assert "connection (a Client)" in text
    assert "ratio (a float)" in text
    assert "hunter2" not in text


def test_a_choice_prompt_tells_of_each_candidate() -> None:
    """Each type comes with its name, instruction and field descriptions, and stopping is one of them."""
    text = choice_prompt((Outfit, Ask, None), {"message": "just got up", "client": Client()})
    assert "- Outfit: Outfit [fields: top (a garment for the upper body), size]" in text
    assert "- Ask: Ask the person, kindly." in text
    assert "- stop: nothing follows" in text
    assert "just got up" in text
    assert "hunter2" not in text
    assert ["Outfit", "Ask", "stop"] == choice_schema((Outfit, Ask, None))["properties"]["choice"]["enum"]
    assert "stop" not in choice_prompt((Outfit, Ask), {})


def test_docstrings_do_not_reach_the_model() -> None:
    """Docstrings are for readers, in every prompt."""
    texts = [
        system_with_schema(json_schema(Outfit)),
        fill_prompt("Outfit", SOURCE, {}),
        choice_prompt((Outfit, Ask, None), {}),
        json.dumps(choice_schema((Outfit, Ask))),
    ]
    assert all("for readers" not in text for text in texts)


def test_the_schema_is_in_the_system_prompt() -> None:
    """Models without structured output see the schema all the same."""
    assert "a garment for the upper body" in system_with_schema(json_schema(Outfit))


def test_a_repair_prompt_is_bounded() -> None:
    """Many and long problems are cut, and their number is told."""
    text = repair_prompt([InvalidField(f"$[{index}]", "x" * 100_000) for index in range(1000)])
    assert "$[0]: xxx" in text
    assert "970 more" in text
    assert len(text) < 20_000
