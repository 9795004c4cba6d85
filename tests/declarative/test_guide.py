"""The YAML of the guide is what the loader takes, and the linter finds nothing in it that is not meant."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dagflow.core.structure import structure
from dagflow.declarative.lint import lint_file
from dagflow.declarative.model import GraphFile, PromptFile
from dagflow.source import read_document

GUIDE = Path(__file__).parents[2] / "docs" / "yaml-graphs.md"

FENCE = re.compile(r'^```(\w+)(?: title="(.*)")?\n((?:.*\n)*?)^```$', re.MULTILINE)
BLOCKS = [(found[1], found[2], found[3]) for found in FENCE.finditer(GUIDE.read_text(encoding="utf-8"))]

PARTS = [text for language, title, text in BLOCKS if language == "yaml" and title is None]
FILES = {title: text for _, title, text in BLOCKS if title is not None}
GRAPHS = [name for name in FILES if name.endswith(".yaml") and "/prompts/" not in f"/{name}"]

REST = {"nodes": {"a": {"type": "passthrough"}}, "edges": [{"from": "START", "to": "a"}]}

MEANT = {"approve.yaml": ["DF502"]}
"""What the guide itself explains."""


@pytest.mark.parametrize("text", PARTS, ids=lambda text: text.split("\n")[0])
def test_parts_of_files_are_well_formed(text: str) -> None:
    """Each piece of a graph file is one that the loader takes, put into a file."""
    data = read_document(text, file="guide").data
    structure({**REST, **data}, GraphFile)


@pytest.mark.parametrize("name", GRAPHS)
def test_the_linter_finds_nothing_in_the_graphs(name: str, tmp_path: Path) -> None:
    """The graphs of the guide are sound, and have no warnings but those that it tells of."""
    for file, text in FILES.items():
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    report = lint_file(tmp_path / name, environment={})
    assert MEANT.get(name, []) == [finding.code for finding in report.at_least("warning")]


def test_prompts_are_well_formed() -> None:
    """Each prompt file of the guide is one that the loader takes."""
    names = [name for name in FILES if "/prompts/" in f"/{name}"]
    assert names
    for name in names:
        structure(read_document(FILES[name], file=name).data, PromptFile)
