"""A program that behaves like the Claude CLI, as far as its interface goes; tests install it as `claude`.

Beside itself it finds `scenario.json`, a list of what it does in its first call, its second, and so on (the last
one stands for all that follow), and it appends what it was given to `calls.jsonl`, a line a call.

A step of the scenario has: `value` (the structured output), `text` (the result's text), `result` (what else the
result holds), `form` ("object", "list" or "lines", where the format is "json"). Where it streams also `first_try`
(structured output that the program itself turns down), `partial` (false: no partial messages) and `crash` (it ends
before its result). Instead of an answer, `raw` is printed as it is, or `size` bytes of nothing are. `stderr` and
`exit` do what they say, `read` (false) leaves the standard input unread, `stall` never ends, `ignore_term` ignores
TERM, `children` is how many processes it starts, which ignore TERM, and `files` are made in the working folder.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator

TYPE_CHECKING = False  # what a type checker takes for true; to import `typing` takes longer than all the rest
if TYPE_CHECKING:
    from typing import Any, NoReturn

    Data = dict[str, Any]

FLAGS = {
    "-p": 0,
    "--model": 1,
    "--output-format": 1,
    "--json-schema": 1,
    "--no-session-persistence": 0,
    "--tools": 1,
    "--strict-mcp-config": 0,
    "--setting-sources": 1,
    "--system-prompt": 1,
    "--verbose": 0,
    "--include-partial-messages": 0,
}
SESSION = "7f1c8a52-session"
MODEL = "claude-test-1"


def fail(message: str) -> NoReturn:
    print(message, file=sys.stderr)
    sys.exit(1)


def parse(arguments: list[str]) -> Data:
    options: Data = {}
    rest = list(arguments)
    while rest:
        flag = rest.pop(0)
        if flag not in FLAGS:
            fail(f"error: unknown option '{flag}'" if flag.startswith("-") else f"error: a prompt as argument: {flag}")
        if flag in options:
            fail(f"error: option '{flag}' given twice")
        if FLAGS[flag] and not rest:
            fail(f"error: option '{flag}' argument missing")
        options[flag] = rest.pop(0) if FLAGS[flag] else True
    check(options)
    return options


def check(options: Data) -> None:
    form = options.get("--output-format", "text")
    if "-p" not in options:
        fail("error: this is no terminal; use -p")
    if form not in ("text", "json", "stream-json"):
        fail(f"error: option '--output-format' argument '{form}' is invalid")
    if form == "stream-json" and "--verbose" not in options:
        fail("Error: When using --print, --output-format=stream-json requires --verbose")
    if "--include-partial-messages" in options and form != "stream-json":
        fail("Error: --include-partial-messages requires --output-format=stream-json")
    if os.environ.get("CLAUDECODE"):
        fail("Error: Claude Code cannot be launched inside another Claude Code session.")
    schema = options.get("--json-schema")
    if schema is not None and json.loads(schema).get("type") != "object":
        fail("Error: API Error: 400 tools.0.custom.input_schema.type: Input should be 'object'")


def obeyed(schema: str | None) -> bool:
    """Whether the program takes notice of a schema: it ignores one with a `format`, and does not say so."""
    return schema is not None and '"format":' not in schema.replace(" ", "")


def start_children(number: int) -> list[int]:
    found = []
    for place in range(number):
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            if place % 2:
                os.setpgid(0, 0)
            while True:
                time.sleep(100)
        found.append(child)
    return found


def result_of(step: Data, schema: str | None) -> Data:
    usage = {"input_tokens": 5, "cache_creation_input_tokens": 20, "cache_read_input_tokens": 100, "output_tokens": 7}
    models = {"claude-small": {"outputTokens": 1}, "claude-large": {"outputTokens": 6}}
    result: Data = {
        "type": "result",
        "subtype": "success",
        "is_error": False,
        "duration_ms": 3952,
        "num_turns": 1,
        "result": step.get("text", ""),
        "stop_reason": "end_turn",
        "session_id": SESSION,
        "total_cost_usd": 0.0125,
        "usage": usage,
        "modelUsage": models,
        "uuid": "uuid-of-the-result",
    }
    if "value" in step:
        result["result"] = json.dumps(step["value"])
        if obeyed(schema):
            result["structured_output"] = step["value"]
    return {**result, **step.get("result", {})}


def stream_event(event: Data) -> Data:
    return {"type": "stream_event", "event": event, "session_id": SESSION, "parent_tool_use_id": None}


def block(tool: str, text: str) -> Iterator[Data]:
    """A block of a message, in pieces."""
    begin: Data = {"type": "text", "text": ""}
    piece = ("text_delta", "text")
    if tool:
        begin = {"type": "tool_use", "id": "toolu_1", "name": tool, "input": {}}
        piece = ("input_json_delta", "partial_json")
    yield stream_event({"type": "content_block_start", "index": 0, "content_block": begin})
    for start in range(0, len(text), 6):
        delta = {"type": piece[0], piece[1]: text[start : start + 6]}
        yield stream_event({"type": "content_block_delta", "index": 0, "delta": delta})
    yield stream_event({"type": "content_block_stop", "index": 0})


def blocks(step: Data, schema: str | None) -> Iterator[Data]:
    if not step.get("partial", True):
        return
    yield stream_event({"type": "message_start", "message": {"model": MODEL, "usage": {"input_tokens": 5}}})
    if obeyed(schema):
        yield from block("", "Here it comes.")
        yield from block("a_tool_that_is_not_there", '{"path": "/"}')
        if "first_try" in step:
            yield from block("StructuredOutput", json.dumps(step["first_try"]))
            problem = {"type": "tool_result", "is_error": True, "content": "Output does not match required schema"}
            yield {"type": "user", "message": {"role": "user", "content": [problem]}}
        if "value" in step:
            yield from block("StructuredOutput", json.dumps(step["value"]))
    else:
        yield from block("", step.get("text", json.dumps(step.get("value"))))
    yield stream_event({"type": "message_stop"})


def messages(step: Data, schema: str | None) -> Iterator[Data]:
    yield {"type": "system", "subtype": "init", "session_id": SESSION, "tools": ["StructuredOutput"], "model": MODEL}
    yield {"type": "rate_limit_event", "rate_limit_info": {"status": "allowed"}}
    yield from blocks(step, schema)
    if step.get("crash"):
        return
    content = [{"type": "text", "text": step.get("text", "")}]
    yield {"type": "assistant", "message": {"model": MODEL, "role": "assistant", "content": content}}
    yield result_of(step, schema)


def answer(step: Data, options: Data) -> None:
    schema = options.get("--json-schema")
    if options["--output-format"] == "stream-json":
        for message in messages(step, schema):
            print(json.dumps(message), flush=True)
    elif step.get("form") == "list":
        print(json.dumps([item for item in messages(step, schema) if item["type"] != "stream_event"]))
    elif step.get("form") == "lines":
        print("a warning that has no place here")
        for item in messages(step, schema):
            print(json.dumps(item))
    else:
        print(json.dumps(result_of(step, schema)))


def next_step(folder: str) -> Data:
    with open(os.path.join(folder, "scenario.json")) as file:
        steps: list[Data] = json.load(file)
    try:
        with open(os.path.join(folder, "calls.jsonl")) as file:
            made = len(file.readlines())
    except FileNotFoundError:
        made = 0
    return steps[min(made, len(steps) - 1)]


def record(folder: str, children: list[int], prompt: str | None) -> None:
    call = {
        "argv": sys.argv[1:],
        "stdin": prompt,
        "env": dict(os.environ),
        "cwd": os.getcwd(),
        "found": os.listdir(),
        "children": children,
    }
    file = os.open(os.path.join(folder, "calls.jsonl"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(file, json.dumps(call).encode() + b"\n")
    os.close(file)


def main() -> None:
    folder = os.path.dirname(os.path.abspath(__file__))
    step = next_step(folder)
    if step.get("ignore_term"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    prompt = None
    if step.get("read", True):
        prompt = sys.stdin.buffer.read().decode()
    else:
        os.close(0)
    record(folder, start_children(step.get("children", 0)), prompt)
    options = parse(sys.argv[1:])
    if prompt == "":
        fail("Error: Input must be provided either through stdin or as a prompt argument when using --print")
    for name in step.get("files", []):
        open(name, "w").close()
    sys.stderr.write(step.get("stderr", ""))
    sys.stderr.flush()
    if "raw" in step:
        sys.stdout.buffer.write(step["raw"].encode(errors="surrogateescape"))
    elif "size" in step:
        for _ in range(step["size"] // 65536 + 1):
            sys.stdout.write("x" * 65536)
    elif not step.get("stall"):
        answer(step, options)
    sys.stdout.flush()
    while step.get("stall"):
        time.sleep(100)
    sys.exit(step.get("exit", 0))


if __name__ == "__main__":
    main()
