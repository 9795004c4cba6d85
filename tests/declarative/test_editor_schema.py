"""The schemas for editors: what they accept and refuse, and that the published copies are up to date."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator, ValidationError

from dagflow.core.answers import InvalidAnswer
from dagflow.core.structure import structure
from dagflow.declarative.editor_schema import graph_schema, prompt_schema
from dagflow.declarative.lint import RULES
from dagflow.declarative.model import GraphFile, PromptFile
from dagflow.source import parse_path, read_document

PUBLISHED = Path(__file__).parents[2] / "docs" / "schemas"

GRAPHS = Draft7Validator(graph_schema())
PROMPTS = Draft7Validator(prompt_schema())

WHOLE: dict[str, Any] = {
    "version": "1",
    "name": "all",
    "description": "Everything that there is.",
    "checkpointer": {"type": "redis", "url": "${REDIS_URL}", "ttl": 3600, "prefix": "p:"},
    "defaults": {"lm": "openai:M", "temperature": 0.2, "timeout": 5, "on_error": "retry"},
    "state": {"a": "str", "b": {"type": "list[str]", "reducer": "add", "default": [], "description": "Notes."}},
    "nodes": {
        "llm": {
            "type": "llm",
            "prompt": {"user": "?", "schema": {"fields": {"x": "int", "y": {"type": "str", "enum": ["a"]}}}},
            "variables": {"x": 1, "y": ["{a}"]},
            "on_error": {"retry": {"attempts": 2, "delay": 1}, "fallback": {"lm": "anthropic:M"}, "then": "skip"},
            "state_key": "a",
        },
        "router": {"type": "router", "prompt": "p", "routes": {"x": "END"}, "default_route": "llm"},
        "agent": {
            "type": "agent",
            "prompt": "p",
            "tools": ["a:b"],
            "max_turns": 3,
            "on_error": {"fallback": {"value": None}},
        },
        "tool": {"type": "tool", "tool": "a:b", "arguments": {}, "on_error": {"retry": 2, "fallback": {"to": "END"}}},
        "python": {"type": "python", "function": "a:b", "offload": "process", "skip_if_exists": True, "state_key": "a"},
        "shell": {"type": "shell", "command": ["ls"], "env": {"A": "b"}, "parse": "lines", "success": [0, 1]},
        "map": {"type": "map", "over": "{b}", "as": "x", "node": {"type": "passthrough"}, "max_concurrency": None},
        "interrupt": {"type": "interrupt", "message": "?", "resume_key": "a", "requires": ["a"]},
        "subgraph": {"type": "subgraph", "graph": "x.yaml", "input": None, "output": {"a": "b"}},
        "race": {"type": "race", "nodes": {"a": {"type": "passthrough"}, "b": {"type": "shell", "command": "ls"}}},
    },
    "edges": [{"from": "START", "to": ["llm", "END"], "condition": "a"}],
    "loop_limits": {"llm": 3},
    "loop_exits": {"llm": "END"},
    "max_steps": 10,
    "max_concurrency": 2,
    "timeout": 60,
    "web": {"message_key": "a", "response_key": "b"},
}
"""A file with every section and every type of node; what it names is not there."""


def accepted_by_loader(data: Any, kind: Any = GraphFile) -> bool:
    try:
        structure(data, kind)
    except InvalidAnswer:
        return False
    return True


def loader_paths(data: Any, kind: Any = GraphFile) -> set[tuple[str | int, ...]]:
    """Where the loader finds faults."""
    try:
        structure(data, kind)
    except InvalidAnswer as error:
        return {parse_path(item.path) for item in error.invalid}
    return set()


def schema_paths(data: Any, validator: Any = GRAPHS) -> set[tuple[str | int, ...]]:
    """Where the schema finds faults, in all alternatives; an unknown key and a missing one are at themselves."""
    return {path for error in validator.iter_errors(data) for path in _paths(error)}


def _paths(error: ValidationError) -> Iterator[tuple[str | int, ...]]:
    path = tuple(error.absolute_path)
    yield path
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        known = error.schema["properties"]  # type: ignore[index]
        yield from ((*path, key) for key in error.instance if key not in known)
    if error.validator == "required":
        yield from ((*path, key) for key in error.validator_value if key not in error.instance)  # type: ignore[union-attr,operator]
    for inner in error.context or ():
        yield from _paths(inner)


@pytest.mark.parametrize(("validator", "schema"), [(GRAPHS, graph_schema()), (PROMPTS, prompt_schema())])
def test_the_schemas_are_schemas(validator: Draft7Validator, schema: dict[str, Any]) -> None:
    """They fit the dialect that they name, and say who they are."""
    validator.check_schema(schema)
    assert schema["$schema"] == validator.META_SCHEMA["$schema"]
    assert schema["$id"].startswith("https://")
    assert all(definition["title"] for definition in schema["$defs"].values())
    assert all(
        value.get("description")
        for definition in (schema, *schema["$defs"].values())
        for value in definition["properties"].values()
    )


def test_everything_that_there_is_is_accepted() -> None:
    """A file with every section and node type fits the schema, as it fits the loader."""
    assert accepted_by_loader(WHOLE)
    assert [] == list(GRAPHS.iter_errors(WHOLE))
    assert {*WHOLE["nodes"], "passthrough"} == set(graph_schema()["$defs"]["NodeSpec"]["properties"]["type"]["enum"])


def test_the_examples_of_the_linter_are_accepted() -> None:
    """Every example of the documentation fits the schema."""
    for rule in RULES:
        for text in (rule.example.failing, rule.example.passing):
            assert [] == list(GRAPHS.iter_errors(read_document(text, file="x").data)), rule.code


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("nodez",), {}),
        (("version",), 1),
        (("nodes",), {}),
        (("edges",), []),
        (("edges", 0, "to"), 7),
        (("edges", 0, "form"), "a"),
        (("nodes", "llm", "type"), "lllm"),
        (("nodes", "llm", "temprature"), 1),
        (("nodes", "llm", "timeout"), 0),
        (("nodes", "llm", "timeout"), "5s"),
        (("nodes", "llm", "on_error"), "ignore"),
        (("nodes", "llm", "on_error", "retry", "attempts"), 0),
        (("nodes", "llm", "on_error", "retry", "jitter"), 2),
        (("nodes", "tool", "on_error", "retry"), 0),
        (("nodes", "llm", "prompt", "schema", "fields", "y", "typ"), "str"),
        (("nodes", "router", "routes"), {}),
        (("nodes", "map", "node", "type"), "loop"),
        (("nodes", "race", "nodes", "b", "commend"), "ls"),
        (("nodes", "shell", "success", 0), "0"),
        (("checkpointer", "ttl"), -1),
        (("checkpointer", "type"), "mongo"),
        (("state", "b", "reducers"), "add"),
        (("max_steps",), 0),
        (("web", "key"), "a"),
    ],
)
def test_faults_are_found_where_the_loader_finds_them(path: tuple[str | int, ...], value: Any) -> None:
    """A wrong value and an unknown key are refused by both, at the same place."""
    data = copy.deepcopy(WHOLE)
    inside: Any = data
    for step in path[:-1]:
        inside = inside[step]
    inside[path[-1]] = value
    assert {path} == loader_paths(data)
    assert path in schema_paths(data)


@pytest.mark.parametrize(
    "path",
    [("nodes",), ("edges", 0, "from"), ("nodes", "llm", "prompt"), ("nodes", "map", "over"), ("checkpointer", "url")],
)
def test_missing_keys_are_found_where_the_loader_finds_them(path: tuple[str | int, ...]) -> None:
    """A key that has to be there is missed by both."""
    data = copy.deepcopy(WHOLE)
    inside: Any = data
    for step in path[:-1]:
        inside = inside[step]
    del inside[path[-1]]
    assert {path} == loader_paths(data)
    assert path in schema_paths(data)


def places_of(data: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every place in a document but the whole."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from places_of(value, (*path, key))


PLACES = list(places_of(WHOLE))
JSON = st.sampled_from([None, True, 0, 1, -1, 2.5, "", "x", "1", [], ["x"], [1], {}, {"x": "y"}, {"type": "llm"}])


def put(data: Any, path: tuple[str | int, ...], value: Any) -> bool:
    """Replace the value at a path, where there is still one."""
    *around, last = path
    for step in around:
        try:
            data = data[step]
        except (KeyError, IndexError, TypeError):
            return False
    if not isinstance(data, dict) and not (isinstance(data, list) and last in range(len(data))):
        return False
    changed: Any = data
    changed[last] = value
    return True


@pytest.mark.slow
@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(changes=st.lists(st.tuples(st.sampled_from(PLACES), JSON), min_size=1, max_size=2))
def test_the_schema_and_the_loader_agree(changes: list[tuple[tuple[str | int, ...], Any]]) -> None:
    """Whatever a value is replaced with, the schema accepts it where the loader does, and nowhere else."""
    data: Any = copy.deepcopy(WHOLE)
    for path, value in changes:
        if not put(data, path, value):
            return
    assert accepted_by_loader(data) is GRAPHS.is_valid(data)


def test_prompt_files_have_a_schema_too() -> None:
    """A prompt file is accepted and refused as the loader does it."""
    good = {
        "system": "Be kind.",
        "user": "{x}",
        "variables": ["x"],
        "schema": {"fields": {"a": "int"}},
        "lm": "openai:M",
    }
    assert accepted_by_loader(good, PromptFile)
    assert PROMPTS.is_valid(good)
    for change, path in (
        ({"template": "mustache"}, "template"),
        ({"usr": "x"}, "usr"),
        ({"variables": 3}, "variables"),
    ):
        assert {(path,)} == loader_paths({**good, **change}, PromptFile)
        assert (path,) in schema_paths({**good, **change}, PROMPTS)


def test_nodes_cannot_be_called_start_or_end() -> None:
    """The names that edges have for the beginning and the end are no names for nodes."""
    data = {**WHOLE, "nodes": {"START": {"type": "passthrough"}}}
    assert not GRAPHS.is_valid(data)


@pytest.mark.parametrize(("name", "schema"), [("graph", graph_schema()), ("prompt", prompt_schema())])
def test_the_published_schemas_are_up_to_date(name: str, schema: dict[str, Any]) -> None:
    """The files that editors fetch are what the classes say; `python docs/_generate.py` writes them."""
    published = (PUBLISHED / f"{name}.schema.json").read_text(encoding="utf-8")
    assert json.dumps(schema, indent=2, ensure_ascii=False) + "\n" == published
