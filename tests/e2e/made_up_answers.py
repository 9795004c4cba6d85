"""Answers of a model that knows nothing but the form: any value that fits the schema of a request.

They stand in for real models where the end-to-end tests are tested themselves.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dagflow.testing.lm_server import RecordedRequest, Reply, ToolCall
from e2e.made_up import made_up_value

__all__ = ["install_claude", "made_up_answer"]

TEMPLATE = re.compile(r"^\{(\w+)\}(?: +# note: (.*))?$", re.MULTILINE)
"""A field in the system prompt of DSPy, and the form that it must have."""

CLAUDE = f"""#!{sys.executable} -ISB
import json, sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from e2e.made_up import made_up_value
from lm import claude_program

claude_program.__file__ = __file__  # it notes its calls, and the environment of each, in its own folder
schema = json.loads(sys.argv[sys.argv.index("--json-schema") + 1])
claude_program.next_step = lambda folder: {{"value": made_up_value(schema)}}
claude_program.main()
"""


def made_up_answer(request: RecordedRequest) -> Any:
    """Answer a request to either protocol: each tool is called once, then an answer of the wanted form is given."""
    body = request.body
    calls = [] if _has_results(body) else list(_calls(body.get("tools", ())))
    if calls:
        return Reply(tool_calls=calls)
    fields = {name: note for name, note in TEMPLATE.findall(_system_of(body)) if name != "conversation"}
    if fields:
        parts = {**{name: _in_form(note) for name, note in fields.items()}, "completed": ""}
        return "\n\n".join(f"[[ ## {name} ## ]]\n{value}" for name, value in parts.items())
    return made_up_value(_schema_of(body))


def install_claude(folder: Path) -> None:
    """Put a program `claude` into a folder, which behaves like the Claude CLI and makes its answers up."""
    program = folder / "claude"
    program.write_text(CLAUDE)
    program.chmod(0o755)


def _has_results(body: Any) -> bool:
    """Whether a tool has answered: in a message of its own for OpenAI, in a block of a message for Anthropic."""
    return any(
        message["role"] == "tool"
        or (isinstance(message["content"], list) and any(part["type"] == "tool_result" for part in message["content"]))
        for message in body["messages"]
    )


def _calls(tools: Any) -> Iterator[ToolCall]:
    for number, tool in enumerate(tools):
        function = tool.get("function", tool)
        schema = function.get("parameters") or function["input_schema"]
        yield ToolCall(f"call_{number}", function["name"], json.dumps(made_up_value(schema)))


def _schema_of(body: Any) -> Any:
    if "response_format" in body:
        return body["response_format"]["json_schema"]["schema"]
    return body["output_config"]["format"]["schema"]


def _system_of(body: Any) -> str:
    systems = [message["content"] for message in body["messages"] if message["role"] in ("system", "developer")]
    system = systems[0] if systems else body.get("system", "")
    return system if isinstance(system, str) else "".join(part["text"] for part in system)


def _in_form(note: str) -> str:
    if "JSON schema: " in note:
        return json.dumps(made_up_value(json.loads(note.partition("JSON schema: ")[2])))
    if "one of: " in note:
        return note.partition("one of: ")[2].partition(";")[0]
    for word, value in (("True", "True"), ("int", "1"), ("float", "1.5")):
        if word in note:
            return value
    return "x"
