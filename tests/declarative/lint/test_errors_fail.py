"""What the linter calls an error does fail a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dagflow import NodeError, StepLimitError, load_and_compile
from dagflow.declarative.lint import RULES
from dagflow.testing import ScriptedLM
from declarative.lint.example_tools import FUNCTIONS

EXAMPLES = {rule.code: rule.example for rule in RULES}


async def fail() -> float:
    """Fail."""
    raise ValueError("it is broken")


async def run(folder: Path, text: str, **state: Any) -> Any:
    path = folder / "graph.yaml"
    path.write_text(text, encoding="utf-8")
    graph = load_and_compile(path, root=folder, functions={**FUNCTIONS, "tools:grade": fail}, environment={})
    return await graph.run(state, lms={"openai:MODEL": ScriptedLM({"grade": "0.5"})})


CHANGES = {
    "DF205": ('{type: tool, tool: "tools:look", state_key: seen}', "{type: passthrough, output: {seen: {b: 2}}}"),
    "DF409": ('tool: "tools:grade", state_key: score', 'tool: "tools:check"'),
}
"""What is changed so that nothing else fails."""


@pytest.mark.parametrize(
    ("code", "state", "error", "why"),
    [
        ("DF205", {"seen": {"a": 1}}, NodeError, "unsupported operand"),
        ("DF206", {}, NodeError, "expected number, got string"),
        ("DF207", {}, NodeError, "expected number, got string"),
        ("DF409", {}, StepLimitError, "max_steps=100"),
    ],
)
async def test_failing_examples_of_errors_fail(
    code: str, state: dict[str, Any], error: type[Exception], why: str, tmp_path: Path
) -> None:
    """A run of the failing example ends with an error, for the reason that the rule tells."""
    text = EXAMPLES[code].failing.replace(*CHANGES.get(code, ("", "")))
    with pytest.raises(error, match=why):
        await run(tmp_path, text, **state)
