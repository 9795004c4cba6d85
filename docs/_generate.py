"""Write the pages and schemas that are made from the code: `python docs/_generate.py`."""

from __future__ import annotations

import inspect
import json
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import attrs

from dagflow.core import hints
from dagflow.core.shapes import ObjectField, object_fields
from dagflow.declarative import model
from dagflow.declarative.editor_schema import graph_schema, prompt_schema
from dagflow.declarative.expressions import FUNCTIONS
from dagflow.declarative.lint.rules import FAULTS, GROUPS, RULES
from dagflow.declarative.model.fields import ABSENT
from dagflow.declarative.model.nodes import NODE_TYPES, NodeBase

DOCS = Path(__file__).parent

NOTE = "<!-- Written by docs/_generate.py from the code: change it there. -->"


def pages() -> dict[Path, str]:
    """Every file with what it has to hold."""
    return {
        DOCS / "yaml-reference.md": _text(_reference()),
        DOCS / "linter.md": _text(_linter()),
        DOCS / "yaml-graphs.md": _with_functions((DOCS / "yaml-graphs.md").read_text(encoding="utf-8")),
        DOCS / "schemas" / "graph.schema.json": _json(graph_schema()),
        DOCS / "schemas" / "prompt.schema.json": _json(prompt_schema()),
    }


def _text(lines: Iterator[str]) -> str:
    return "\n".join(lines) + "\n"


def _json(schema: Mapping[str, Any]) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


# --- The reference of YAML files

SECTIONS: list[tuple[str, type]] = [
    ("State keys", model.StateKey),
    ("Edges", model.EdgeSpec),
    ("Defaults", model.Defaults),
    ("Errors", model.OnError),
    ("Backoff", model.Backoff),
    ("Fallback: another language model", model.FallbackLM),
    ("Fallback: a value", model.FallbackValue),
    ("Fallback: a node", model.FallbackNode),
    ("Checkpointer: memory", model.MemoryCheckpointer),
    ("Checkpointer: SQLite", model.SQLiteCheckpointer),
    ("Checkpointer: Redis", model.RedisCheckpointer),
    ("HTTP", model.WebSpec),
]
PROMPTS: list[tuple[str, type]] = [
    ("Prompt files", model.PromptFile),
    ("Prompts in place", model.PromptSpec),
    ("Schemas of answers", model.SchemaSpec),
    ("Fields of answers", model.FieldSpec),
]
NODES = {cls: f"`{name}`" for name, cls in NODE_TYPES.items()}
HEADINGS: dict[type, str] = {
    **{cls: heading for heading, cls in (*SECTIONS, *PROMPTS)},
    **NODES,
}


REFERENCE = f"""# YAML reference

{NOTE}

Every key of graph files and prompt files. [YAML graphs](yaml-graphs.md) explains how they work together. Unknown keys
are errors, and so are values of other types: nothing is converted. A key that is left empty has its default.

Editors that know YAML schemas complete and check these files:

```yaml
# yaml-language-server: $schema=https://dagflow.readthedocs.io/en/latest/schemas/graph.schema.json
version: "1"
```

For prompt files it is `prompt.schema.json`. The linter has [a page of its own](linter.md).

## Graph files
"""


def _reference() -> Iterator[str]:
    yield from (REFERENCE, *_table(model.GraphFile))
    for heading, cls in SECTIONS:
        yield from ("", f"### {heading}", "", _sentence(cls), "", *_table(cls))
    yield from (
        "",
        "## Nodes",
        "",
        "Every node has a `type`, and may have these keys. A map has a `max_concurrency` of its own.",
        "",
        *_table(NodeBase),
    )
    common = {field.key for field in object_fields(NodeBase)}
    for cls, heading in NODES.items():
        own = common - {"max_concurrency"} if cls is model.MapNode else common
        yield from ("", f"### {heading}", "", *_paragraphs(cls), "", *_table(cls, without={*own, "type"}))
    yield from ("", "## Prompts")
    for heading, cls in PROMPTS:
        yield from ("", f"### {heading}", "", _sentence(cls), "", *_table(cls))
    yield from ("", "## Functions of expressions", "", *_functions())


def _functions() -> Iterator[str]:
    yield from ("| call | gives |", "|---|---|")
    yield from (f"| `{function.signature}` | {_cell(function.gives)} |" for function in FUNCTIONS.values())


FUNCTIONS_BEGIN, FUNCTIONS_END = "<!-- functions, written by docs/_generate.py -->", "<!-- end of functions -->"


def _with_functions(guide: str) -> str:
    """The guide, which people write, with its table of functions."""
    before, _, rest = guide.partition(FUNCTIONS_BEGIN)
    _, _, after = rest.partition(FUNCTIONS_END)
    return "\n".join([f"{before}{FUNCTIONS_BEGIN}", "", *_functions(), "", f"{FUNCTIONS_END}{after}"])


def _table(cls: type, without: set[str] | None = None) -> Iterator[str]:
    yield from ("| key | value | default | meaning |", "|---|---|---|---|")
    for field in object_fields(cls):
        if field.key not in (without or ()):
            yield f"| `{field.key}` | {_type(field.hint)} | {_default(field)} | {_cell(field.description or '')} |"


def _sentence(cls: type) -> str:
    return " ".join((inspect.getdoc(cls) or "").split("\n\n")[0].split())


def _paragraphs(cls: type) -> Iterator[str]:
    for number, paragraph in enumerate((inspect.getdoc(cls) or "").split("\n\n")):
        if number:
            yield ""
        yield " ".join(paragraph.split())


def _cell(text: str) -> str:
    """Keep a text within its cell: pipes end cells, in code too."""
    return text.replace("|", "\\|")


def _default(field: ObjectField) -> str:
    if field.required:
        return "required"
    attribute: Any = field.attribute
    default = attribute.default if attribute is not None else field.default
    if isinstance(default, attrs.Factory):  # type: ignore[arg-type]
        default = default.factory()
    if default is None or default is ABSENT or attrs.has(type(default)):
        return ""
    return f"`{json.dumps(default)}`"


WORDS: dict[Any, str] = {
    str: "text",
    int: "integer",
    float: "number",
    bool: "`true` or `false`",
    types.NoneType: "null",
    Any: "anything",
}


def _type(hint: Any) -> str:
    """Say in words what a value may be."""
    members = [member for member in hints.union_members(hint) if member is not types.NoneType]
    if len(members) > 1 and all(member in NODES for member in members):
        return "a [node](#nodes)"
    return " or ".join(_one_type(member) for member in members)


def _one_type(hint: Any) -> str:
    arguments = get_args(hint)
    if get_origin(hint) is Literal:
        return ", ".join(f"`{json.dumps(value)}`" if value == "1" else f"`{value}`" for value in arguments)
    if get_origin(hint) is list:
        return f"list of {_type(arguments[0])}"
    if get_origin(hint) is dict:
        return f"mapping of names to {_type(arguments[1])}"
    if hint in HEADINGS:
        heading = HEADINGS[hint]
        shown = heading.rpartition(": ")[2]
        return f"[{shown if shown.isupper() else shown.lower()}](#{_anchor(heading)})"
    return WORDS[hint]


def _anchor(heading: str) -> str:
    kept = "".join(character for character in heading.lower() if character.isalnum() or character in " -_")
    return kept.replace(" ", "-")


# --- The rules of the linter


LINTER = f"""# Linter

{NOTE}

`dagflow graph lint FILE` tells everything that is wrong with a [YAML graph](yaml-graphs.md), and by {len(RULES)} rules
what is likely not meant. It reads the file, its prompts and its subgraphs, and imports the functions that they name; it
runs nothing.

```text
$ dagflow graph lint triage.yaml
triage.yaml:8:3: DF203 warning: state.notes: nothing reads or writes this key; remove it
triage.yaml: 1 warning
```

An **error** keeps a run from beginning, fails it when it gets there, or lets a value run code. A **warning** is most
likely not what is meant. An **info** is a hint. The exit status is 1 where there are errors, and `--json` gives the
report to programs.

A comment leaves a finding out: on its line, or alone on the line above. It names the rule, and may say why.

```yaml
state:
  notes: list[str]  # dagflow: ignore DF203 (the next release writes it)
```

`--ignore DF203` leaves a rule out everywhere, `--ignore DF7` a whole group. In Python:

```python no-run
from dagflow.declarative.lint import lint_file

report = lint_file("triage.yaml")
print(report.text())
```

## Faults

These keep a graph from being loaded, but for the last. They cannot be ignored.

| code | what |
|---|---|"""


def _linter() -> Iterator[str]:
    yield LINTER
    yield from (f"| {code} | {_cell(what)} |" for code, what in FAULTS.items())
    for prefix, heading in GROUPS.items():
        rules = [rule for rule in RULES if rule.code.startswith(prefix)]
        yield from ("", f"## {heading}", "", "| code | level | what it finds |", "|---|---|---|")
        yield from (f"| [{rule.code}](#{rule.code.lower()}) | {rule.level} | {_cell(rule.title)} |" for rule in rules)
        for rule in rules:
            yield from ("", f"### {rule.code}", "", f"**{rule.title}** ({rule.level}). {rule.why}", "", "Found in:", "")
            yield from ("```yaml", rule.example.failing.rstrip(), "```", "", "Not found in:", "")
            yield from ("```yaml", rule.example.passing.rstrip(), "```")


if __name__ == "__main__":
    for path, text in pages().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(DOCS.parent))
