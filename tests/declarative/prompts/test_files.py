"""Prompts from files, and in the place of their names."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import attrs
import pytest

from dagflow.core.structure import structure
from dagflow.declarative.model.prompts import PromptSpec, SchemaSpec
from dagflow.declarative.project import PathError
from dagflow.declarative.prompts.faults import PromptError
from dagflow.declarative.prompts.files import LoadedPrompt, load_prompt, prompt_of
from dagflow.source import SourceError


@attrs.frozen
class Grade:
    score: int


def find_class(text: str) -> Any:
    if text != "school:Grade":
        raise ValueError(f"there is no {text}")
    return Grade


def write(folder: Path, text: str, name: str = "ask.yaml") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text).lstrip())
    return path


def load(folder: Path, text: str, name: str = "ask") -> LoadedPrompt:
    write(folder, text, f"{name}.yaml")
    return load_prompt(name, base=folder, root=folder, find_class=find_class)


def test_a_prompt_file(tmp_path: Path) -> None:
    """All that a file can say is in the prompt: texts, answer, model, and where it stands."""
    prompt = load(
        tmp_path,
        """
        version: "1"
        description: Reviews a book.
        lm: openai:gpt
        temperature: 0.2
        system: You review {what}.
        user: |
          Review {title}, and answer as {"title": ...}.
        variables:
          title: the book's title
          what: what it is
        schema:
          name: Review
          fields:
            stars: {type: int, ge: 1, le: 5}
            mood: {enum: [good, bad], default: good}
            quotes:
              type: list[object]
              fields: {text: str, page: {type: int, gt: 0}}
        """,
        "prompts/review",
    )
    assert ("review", frozenset({"what", "title"})) == (prompt.name, prompt.names)
    assert ("You review books.", 'Review Emma, and answer as {"title": ...}.\n') == prompt.render(
        {"what": "books", "title": "Emma"}
    )
    assert ("openai:gpt", 0.2) == (prompt.spec.lm, prompt.spec.temperature)
    assert prompt.answer is not None
    review: Any = structure({"stars": 5, "quotes": [{"text": "a", "page": 1}]}, prompt.answer)
    assert (5, "good", "a") == (review.stars, review.mood, review.quotes[0].text)
    assert tmp_path / "prompts" / "review.yaml" == prompt.file
    assert prompt.document is not None
    assert "prompts/review.yaml:9:10" == str(prompt.document.mark("$.variables.title"))


def test_a_prompt_without_a_schema_is_answered_in_text(tmp_path: Path) -> None:
    """Without a schema there is no class; a name in the file is the prompt's."""
    prompt = load(tmp_path, "name: greeting\nuser: Hello\n")
    assert (None, "greeting") == (prompt.answer, prompt.name)
    assert ("", "Hello") == prompt.render({})


def test_a_schema_may_name_a_class(tmp_path: Path) -> None:
    """A class that is there already is found by its name."""
    assert Grade is load(tmp_path, "user: x\nschema: school:Grade\n").answer


def test_a_template_of_jinja2(tmp_path: Path) -> None:
    """A file says which form its templates have; names that they test for may be left out."""
    prompt = load(
        tmp_path,
        """
        template: jinja2
        user: |
          {% for item in items %}
          - {{ item }}
          {% endfor %}
          {{ more|default('') }}
        """,
    )
    assert frozenset({"items"}) == prompt.names
    assert ("", "- a\n- b\n\n") == prompt.render({"items": ["a", "b"]})


def test_every_fault_of_a_file_is_told_at_its_line(tmp_path: Path) -> None:
    """Texts, variables and schema are all looked at before anything is told."""
    with pytest.raises(SourceError) as found:
        load(
            tmp_path,
            """
            template: jinja2
            system: "{{ role.__class__ }}"
            user: "{{ topci }}"
            variables: [topic, role]
            schema:
              name: my answer
              fields:
                a: lst
                b:
                  type: int
                  ge: 3
                  default: 1
            """,
        )
    assert [
        "ask.yaml:2:9: system: line 1: role.__class__: no name that begins with `_` can be read",
        "ask.yaml:3:7: user: 'topci' is not among the `variables` of the prompt; did you mean 'topic'?",
        "ask.yaml:6:9: schema.name: 'my answer' is no name for a class; "
        "use up to 64 letters and digits, a letter first",
        "ask.yaml:8:8: schema.fields.a: the type 'lst', at character 1: no type is called 'lst'; did you mean 'list'?",
        "ask.yaml:12:16: schema.fields.b.default: 'b' must be >= 3: 1",
    ] == [str(fault) for fault in found.value.found]


def test_every_fault_of_a_schema_is_told_at_its_line(tmp_path: Path) -> None:
    """A path in a schema leads to its line in the file."""
    with pytest.raises(SourceError) as found:
        load(
            tmp_path,
            """
            user: x
            schema:
              fields:
                a: lst
                b:
                  type: int
                  ge: 3
                  default: 1
                __c__: int
                inner: {type: object, fields: {d: {pattern: "("}}}
            """,
        )
    assert [
        "ask.yaml:4:8: schema.fields.a: the type 'lst', at character 1: no type is called 'lst'; did you mean 'list'?",
        "ask.yaml:8:16: schema.fields.b.default: 'b' must be >= 3: 1",
        "ask.yaml:9:12: schema.fields.__c__: the name of a field cannot begin with `_`; write c",
        "ask.yaml:10:49: schema.fields.inner.fields.d.pattern: is no regular expression: "
        "missing ), unterminated subpattern at position 0",
    ] == [str(fault) for fault in found.value.found]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("usr: x\n", "ask.yaml:1:1: usr: unknown field; did you mean 'user'?"),
        ("user: x\nmax_tokens: many\n", "ask.yaml:2:13: max_tokens: expected integer or null, got string 'many'"),
        ("user: ''\n", "ask.yaml:1:7: user: is empty; write what the model is asked"),
        ("user: x\nvariables: [a b]\n", "ask.yaml:2:13: variables[0]: 'a b' cannot stand in braces"),
        ("user: x\nschema: school:Grad\n", "ask.yaml:2:9: schema: there is no school:Grad"),
        ("user: x\nschema: {fields: {}}\n", "ask.yaml:2:18: schema.fields: "),
        ("user: [\n", "ask.yaml:2:1: "),
        ("user: x\nuser: y\n", "ask.yaml:2:1: "),
        ("user: &a x\nsystem: *a\n", "ask.yaml:1:7: "),
    ],
)
def test_what_is_told_of_a_file(tmp_path: Path, text: str, told: str) -> None:
    """The file, the line, the column, the path and the problem."""
    with pytest.raises(SourceError) as found:
        load(tmp_path, text)
    assert told in "\n".join(map(str, found.value.found))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("ask.yaml", "prompt 'ask.yaml' ends in .yaml; write ask"),
        ("", "prompt '' is empty"),
        ("  ", "is empty"),
        ("aks", "prompt 'aks.yaml' is not there; did you mean 'ask.yaml'?"),
        ("../ask", "leads out of the project"),
        ("/etc/passwd", "is absolute"),
        ("prompts/", "is not there"),
        ("ask\0", "holds the control character U\\+0000"),
    ],
)
def test_what_a_name_may_not_be(tmp_path: Path, name: str, told: str) -> None:
    """A name is a path inside of the project, without its ending."""
    write(tmp_path, "user: x")
    with pytest.raises(PathError, match=told):
        load_prompt(name, base=tmp_path, root=tmp_path)


def test_a_prompt_in_place() -> None:
    """What a node has in the place of a prompt's name is a prompt like any other."""
    prompt = prompt_of(PromptSpec(user="{a}", schema=SchemaSpec(fields={"x": "int"})), name="node")
    assert ("node", frozenset({"a"}), None) == (prompt.name, prompt.names, prompt.file)
    assert prompt.answer is not None
    with pytest.raises(PromptError) as found:
        prompt_of(
            PromptSpec(user="{a}", variables=["a", "a"], schema=SchemaSpec(fields={"x": "itn", "y": "it"})), name="node"
        )
    assert ["$.variables[1]", "$.schema.fields.x", "$.schema.fields.y"] == [item.path for item in found.value.invalid]
