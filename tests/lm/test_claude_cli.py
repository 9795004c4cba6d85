"""`ClaudeCLIBackend` with a real program in place of the Claude CLI: what it asks, reads, refuses and leaves."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest

from dagflow import Graph, LMError, Node, field
from dagflow.core.tools import to_tools
from dagflow.events import LMCalled, Token
from dagflow.lm.billing import losses
from dagflow.lm.claude_cli import ClaudeCLIBackend
from dagflow.lm.protocol import LMRequest, Message
from dagflow.testing import assert_no_leaks, sweep_cancellations
from dagflow.types import Usage

SOURCE = Path(__file__).with_name("claude_program.py").read_text()
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
ANSWER = {"value": {"city": "Faro"}}
KEY = "sk-ant-canary-0123456789"


class Program:
    """The test program, installed in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "claude"
        self.path.write_text(f"#!{sys.executable} -ISB\n{SOURCE}")
        self.path.chmod(0o755)

    def does(self, *steps: dict[str, Any]) -> None:
        """Set what it does in its first call, its second, and so on."""
        (self.path.parent / "scenario.json").write_text(json.dumps(steps))

    @property
    def calls(self) -> list[dict[str, Any]]:
        file = self.path.parent / "calls.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    @property
    def call(self) -> dict[str, Any]:
        (call,) = self.calls
        return call

    def backend(self, **options: Any) -> ClaudeCLIBackend:
        return ClaudeCLIBackend(program=self.path, **{"grace": 0.2, **options})


@pytest.fixture
def program(tmp_path: Path) -> Program:
    folder = tmp_path / "bin"
    folder.mkdir()
    return Program(folder)


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary folders, which must be empty in the end."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def request(content: str = "Which city?", *, schema: dict[str, Any] | None = SCHEMA, **fields: Any) -> LMRequest:
    words = {"system": "In words.", "native_system": "Be brief."}
    return LMRequest(messages=(Message("user", content),), schema=schema, **{**words, **fields})


def after(argv: Sequence[str], flag: str) -> str:
    return argv[list(argv).index(flag) + 1]


async def failing(backend: ClaudeCLIBackend, asked: LMRequest | None = None) -> LMError:
    """The error of a request that leaves nothing behind."""
    async with assert_no_leaks():
        with pytest.raises(LMError) as caught:
            await backend.complete(asked or request())
    return caught.value


# What is asked.


async def test_the_prompt_goes_through_standard_input(program: Program, temporary: Path) -> None:
    """The flags are those that keep the program from the user's settings, and the prompt is no argument."""
    program.does(ANSWER)
    async with assert_no_leaks():
        await program.backend(model="opus").complete(request("What is -p `id` $HOME 'é😀'?"))
    call = program.call
    assert "What is -p `id` $HOME 'é😀'?" == call["stdin"]
    assert [
        *("-p", "--model", "opus", "--output-format", "json", "--json-schema", json.dumps(SCHEMA)),
        *("--no-session-persistence", "--tools", "", "--strict-mcp-config", "--setting-sources", ""),
        *("--system-prompt", "Be brief."),
    ] == call["argv"]
    assert [] == call["found"]
    assert str(temporary) == os.path.dirname(call["cwd"])
    assert [] == os.listdir(temporary)


async def test_the_default_model_is_left_to_the_program(program: Program) -> None:
    """Without a model the program is given none, and without a schema none either."""
    program.does({"text": "Faro"})
    response = await program.backend(model=None).complete(request(schema=None))
    assert "Faro" == response.text
    assert {"--model", "--json-schema"}.isdisjoint(program.call["argv"])
    assert "In words." == after(program.call["argv"], "--system-prompt")


async def test_a_folder_of_the_users_choice(program: Program, tmp_path: Path, temporary: Path) -> None:
    """`cwd` is used where it is given, and stays; a program given by its path is found from where we are."""
    program.does({**ANSWER, "files": ["made"]})
    relative = os.path.relpath(program.path)
    backend = ClaudeCLIBackend(program=relative, cwd=tmp_path)
    await backend.complete(request())
    assert str(tmp_path) == program.call["cwd"]
    assert (tmp_path / "made").exists()
    assert {"adapter": "claude-cli", "model": "sonnet", "program": relative} == backend.identity


async def test_what_the_program_leaves_in_its_folder_is_removed(program: Program, temporary: Path) -> None:
    """The folder of a request is gone after it, with what the program made in it."""
    program.does({**ANSWER, "files": ["made"]})
    await program.backend().complete(request())
    assert [] == os.listdir(temporary)


async def test_the_environment_is_inherited(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program has our environment and what `env` adds, but not the mark of a session that we run in."""
    monkeypatch.setenv("SOME_SETTING", "inherited")
    monkeypatch.setenv("OTHER_SETTING", "replaced")
    monkeypatch.setenv("CLAUDECODE", "1")
    monkeypatch.setenv("PATH", os.pathsep.join([str(program.path.parent), os.environ["PATH"]]))
    program.does(ANSWER)
    await ClaudeCLIBackend(env={"OTHER_SETTING": "ours"}).complete(request())
    environment = program.call["env"]
    assert ("inherited", "ours") == (environment["SOME_SETTING"], environment["OTHER_SETTING"])
    assert "CLAUDECODE" not in environment


async def test_the_schema_is_in_the_programs_dialect(program: Program) -> None:
    """A `format`, for which the program would ignore the whole schema, is moved into the description."""
    program.does({"value": {"day": "2026-02-01"}})
    day = {"type": "string", "format": "date", "description": "when"}
    schema = {"type": "object", "properties": {"day": day}, "required": ["day"]}
    response = await program.backend().complete(request(schema=schema))
    assert '{"day": "2026-02-01"}' == response.text
    sent = json.loads(after(program.call["argv"], "--json-schema"))
    assert {"type": "string", "description": 'when (format: "date")'} == sent["properties"]["day"]


@pytest.mark.parametrize("system", ["x" * 131_072, "ä" * 65_536, "with a \0"], ids=["long", "bytes", "null"])
async def test_a_system_prompt_that_can_be_no_argument(program: Program, system: str) -> None:
    """It comes before the prompt instead, on standard input."""
    program.does(ANSWER)
    await program.backend().complete(request(native_system=system))
    assert "section" in after(program.call["argv"], "--system-prompt")
    assert program.call["stdin"].startswith(f"<system>\n{system}\n</system>\n\n<user>\nWhich city?\n</user>\n")


async def test_the_longest_system_prompt_that_can_be_an_argument(program: Program) -> None:
    """131,071 bytes are an argument."""
    program.does(ANSWER)
    await program.backend().complete(request(native_system="x" * 131_071))
    assert 131_071 == len(after(program.call["argv"], "--system-prompt"))
    assert "Which city?" == program.call["stdin"]


async def test_a_schema_that_can_be_no_argument(program: Program) -> None:
    """A schema that is too long is left out, and the prompt has it in words; so is one that is no object's."""
    program.does({"text": '{"city": "Faro"}'})
    long = {**SCHEMA, "description": "x" * 131_072}
    response = await program.backend().complete(request(schema=long, system=f"Schema: {json.dumps(long)}"))
    await program.backend().complete(request(schema={"type": "array"}))
    first, second = program.calls
    assert '{"city": "Faro"}' == response.text
    assert "--json-schema" not in [*first["argv"], *second["argv"]]
    assert json.dumps(long) in first["stdin"]
    assert "In words." == after(second["argv"], "--system-prompt")


async def test_a_lone_surrogate_is_escaped(program: Program) -> None:
    """Text that has no encoding is sent as JSON would escape it."""
    program.does(ANSWER)
    await program.backend().complete(request("a\ud800b", native_system="c\udc80d"))
    assert "a\\ud800b" == program.call["stdin"]
    assert "c\\udc80d" == after(program.call["argv"], "--system-prompt")


class Trip(Node):
    """Plan a trip."""

    city: str = field(description="where to")
    days: int

    async def __call__(self) -> None: ...


async def test_an_invalid_answer_is_repaired(program: Program) -> None:
    """The repair is one text with the whole conversation in it."""
    program.does({"value": {"city": "Faro", "days": "three"}}, {"value": {"city": "Faro", "days": 3}})
    trip = await program.backend().fill(Trip, {}, "Plan a trip.")
    assert Trip(city="Faro", days=3) == trip
    first, second = (call["stdin"] for call in program.calls)
    assert "Task: Plan a trip." == first
    assert second.startswith(f'<user>\n{first}\n</user>\n\n<assistant>\n{{"city": "Faro", "days": "three"}}\n')
    assert "$.days: expected integer, got string" in second.partition("</assistant>\n\n<user>\n")[2]


async def test_a_program_that_does_not_read_its_prompt(program: Program) -> None:
    """A prompt of a megabyte that nobody reads holds nothing up."""
    program.does({**ANSWER, "read": False})
    async with assert_no_leaks():
        response = await program.backend().complete(request("x" * 1_000_000))
    assert '{"city": "Faro"}' == response.text


async def test_a_long_prompt(program: Program) -> None:
    """A prompt of a megabyte arrives whole, and output that is long comes back."""
    program.does({"value": {"city": "F" * 1_000_000}})
    response = await program.backend().complete(request("x" * 1_000_000))
    assert "x" * 1_000_000 == program.call["stdin"]
    assert 1_000_000 < len(response.text)


async def test_tools_are_refused(program: Program) -> None:
    """A request with tools is refused before anything is started."""

    async def weather(place: str) -> str:
        return place

    program.does(ANSWER)
    error = await failing(program.backend(), request(tools=to_tools([weather]), target="Trip"))
    assert "cannot call tools of ours, and Trip has weather; give it another backend" in str(error)
    assert not error.retriable
    assert [] == program.calls


# What is read.


@pytest.mark.parametrize(
    ("form", "model"), [("object", "claude-large"), ("list", "claude-test-1"), ("lines", "claude-test-1")]
)
async def test_the_forms_of_an_answer(program: Program, form: str, model: str) -> None:
    """An object, a list and lines give the same: the value, what was used, the model and the session."""
    program.does({**ANSWER, "form": form})
    async with assert_no_leaks():
        response = await program.backend().complete(request())
    assert '{"city": "Faro"}' == response.text
    assert Usage(requests=1, input_tokens=125, output_tokens=7, cost=0.0125) == response.usage
    assert (model, "stop", "7f1c8a52-session") == (response.model, response.finish_reason, response.request_id)


async def test_the_last_result_counts(program: Program) -> None:
    """Of several results in a list the last one is the answer."""
    results = [{"type": "result", "subtype": "success", "result": text} for text in ("first", "last")]
    program.does({"raw": json.dumps([*results, {"type": "system"}, 7, None])})
    response = await program.backend().complete(request())
    assert "last" == response.text
    assert Usage(requests=1) == response.usage, "what it does not say is not known"


async def test_the_value_counts_and_not_the_text(program: Program) -> None:
    """The structured output is the answer, whatever the text says, also where it is nothing much."""
    program.does({**ANSWER, "result": {"result": "Done."}}, {"value": {}, "result": {"result": "Done."}})
    backend = program.backend()
    assert ['{"city": "Faro"}', "{}"] == [(await backend.complete(request())).text for _ in range(2)]


async def test_a_value_that_is_missing_is_read_from_the_text(program: Program) -> None:
    """Without structured output the text is the answer, prose and all: reading it is another's job."""
    program.does({"text": 'Here: ```json\n{"city": "Faro"}\n```'})
    assert "Here: " == (await program.backend().complete(request())).text[:6]


@pytest.mark.parametrize(
    ("reason", "expected"), [("max_tokens", "length"), ("refusal", "refusal"), ("tool_use", "stop"), (None, "stop")]
)
async def test_why_an_answer_ended(program: Program, reason: str | None, expected: str) -> None:
    """An answer that was cut off, or refused, is told from a whole one."""
    program.does({**ANSWER, "result": {"stop_reason": reason}})
    assert expected == (await program.backend().complete(request())).finish_reason


async def test_odd_numbers_are_no_usage(program: Program) -> None:
    """Usage of another form than it should have counts as nothing."""
    program.does({**ANSWER, "result": {"usage": {"input_tokens": "5", "output_tokens": -1}, "total_cost_usd": None}})
    assert Usage(requests=1) == (await program.backend().complete(request())).usage


# What goes wrong.

CUT = '{"type":"result","subtype":"success","structured_output":{"city":"Fa'
ERRORS: dict[str, tuple[dict[str, Any], str, int | None, bool]] = {
    "exit with stderr": (
        {"raw": "", "stderr": "Error: no such model", "exit": 3},
        "the Claude CLI ended with exit status 3: Error: no such model",
        3,
        False,
    ),
    "exit with garbage": ({"raw": "oh no\nfurther", "exit": 1}, "ended with exit status 1: oh no", 1, False),
    "exit after an answer": ({**ANSWER, "exit": 2, "stderr": "crash"}, "ended with exit status 2: crash", 2, False),
    "overloaded on stderr": (
        {"raw": "", "stderr": "API Error: 529 Overloaded", "exit": 1},
        "ended with exit status 1: API Error: 529 Overloaded",
        529,
        True,
    ),
    "not logged in": (
        {"text": "Not logged in · Please run /login", "result": {"is_error": True}, "exit": 1},
        "the Claude CLI failed: Not logged in · Please run /login; log in by running it, or give it a key as env=",
        1,
        False,
    ),
    "wrong key": (
        {"text": "Invalid API key", "result": {"is_error": True, "api_error_status": 401}},
        "failed: Invalid API key; log in by running it",
        401,
        False,
    ),
    "no credit": (
        {"text": "API Error: 429 Credit balance is too low", "result": {"is_error": True}},
        "failed: API Error: 429 Credit balance is too low",
        429,
        False,
    ),
    "session limit": (
        {"text": "You've hit your session limit", "result": {"is_error": True, "api_error_status": 429}},
        "failed: You've hit your session limit",
        429,
        False,
    ),
    "overloaded": (
        {"text": "API Error: Repeated 529 Overloaded errors", "result": {"is_error": True}},
        "failed: API Error: Repeated 529 Overloaded errors",
        529,
        True,
    ),
    "rate limit": (
        {"text": "API Error: 429 temporarily limiting requests (not your usage limit)", "result": {"is_error": True}},
        "failed: API Error: 429 temporarily limiting",
        429,
        True,
    ),
    "too many": (
        {"text": "Too many requests", "result": {"is_error": True, "api_error_status": 429}},
        "failed: Too many requests",
        429,
        True,
    ),
    "server error": (
        {"text": "API Error: 500 Internal server error", "result": {"is_error": True}},
        "failed: API Error: 500 Internal server error",
        500,
        True,
    ),
    "not allowed": (
        {"text": "Not for your organisation", "result": {"is_error": True, "api_error_status": 403}},
        "failed: Not for your organisation; log in by running it",
        403,
        False,
    ),
    "no connection": (
        {"text": "API Error: Connection error.", "result": {"is_error": True}},
        "failed: API Error: Connection error.",
        None,
        True,
    ),
    "turns": (
        {"result": {"subtype": "error_max_turns", "errors": ["Reached maximum number of turns (1)"]}},
        "the Claude CLI failed with error_max_turns: Reached maximum number of turns",
        None,
        False,
    ),
    "never fits": (
        {"result": {"subtype": "error_max_structured_output_retries", "is_error": True, "errors": []}},
        "failed with error_max_structured_output_retries$",
        None,
        True,
    ),
    "nothing in the result": ({"text": ""}, "gave a result without an answer", None, True),
    "no text in the result": ({"result": {"result": {"a": 1}}}, "gave a result without an answer", None, True),
    "no result in a list": ({"raw": '[{"type":"system"}]'}, "ended without a result", None, True),
    "nothing at all": ({"raw": "", "stderr": "hm"}, "ended without a result: hm", None, True),
    "no object": ({"raw": "17"}, "ended without a result", None, True),
    "cut off": ({"raw": CUT}, "broke off: its output is cut-off JSON: {", None, True),
    "garbage": ({"raw": "<html>502</html>"}, r"printed what is no JSON: <html>502</html>; is program= ", None, False),
    "bytes": ({"raw": "\udc80\udc81"}, "printed what is no JSON: \ufffd\ufffd", None, False),
    "deep": ({"raw": "[" * 200_000}, r"printed what is no JSON: \[\[\[", None, False),
}


@pytest.mark.parametrize(("step", "message", "status", "retriable"), ERRORS.values(), ids=ERRORS)
async def test_no_answer_is_a_clear_error(
    program: Program, step: dict[str, Any], message: str, status: int | None, retriable: bool, temporary: Path
) -> None:
    """Whatever the program does instead of an answer is an `LMError` that says so, and nothing is left."""
    program.does(step)
    error = await failing(program.backend())
    with pytest.raises(LMError, match=message):
        raise error
    assert (status, retriable) == (error.status, error.retriable)
    assert [] == os.listdir(temporary)


@pytest.mark.parametrize("name", ["cut off", "not logged in", "nothing at all", "turns", "garbage"])
async def test_no_answer_is_a_clear_error_in_a_stream(program: Program, name: str) -> None:
    """With the streamed form too."""
    step, message, status, retriable = ERRORS[name]
    program.does(step)
    with pytest.raises(LMError, match=message) as caught:
        await streamed(program)
    assert (status, retriable) == (caught.value.status, caught.value.retriable)


async def test_what_the_program_says_is_in_the_error(program: Program) -> None:
    """The error has what the program says, of long texts the beginning and the end, and the id of the session."""
    program.does({"text": f"begin{'y' * 5000}end", "result": {"is_error": True}})
    error = await failing(program.backend())
    assert f"begin{'y' * 495} [...] {'y' * 497}end" == error.provider_message
    assert str(error).endswith(f": {error.provider_message}")
    assert "7f1c8a52-session" == error.request_id


@pytest.mark.parametrize("before", range(480, 501, 5))
async def test_no_part_of_a_secret_is_left(program: Program, before: int) -> None:
    """A secret that stands where a text is cut is masked before it is cut."""
    program.does({"raw": "", "stderr": "x" * before + KEY + "x" * 2000 + KEY + "x" * before, "exit": 1})
    error = await failing(program.backend(env={"ANTHROPIC_API_KEY": KEY}))
    assert not any(KEY[place : place + 6] in str(error) for place in range(len(KEY) - 6))


@pytest.mark.parametrize(
    "step",
    [
        {"raw": "", "stderr": f"bad key {KEY}", "exit": 1},
        {"raw": f"bad key {KEY}"},
        {"text": f"bad key {KEY}", "result": {"is_error": True}},
        {"text": "", "result": {"subtype": "error_during_execution", "errors": [f"bad key {KEY}"]}},
        pytest.param({"stall": True, "stderr": f"bad key {KEY}"}, marks=pytest.mark.slow),
    ],
    ids=["stderr", "stdout", "result", "errors", "timeout"],
)
async def test_secrets_are_masked(program: Program, step: dict[str, Any]) -> None:
    """The value of a variable that is named like a secret is in no error, no cause, no repr and no argument."""
    program.does(step)
    backend = program.backend(env={"ANTHROPIC_API_KEY": KEY}, timeout=1 if "stall" in step else 60)
    error = await failing(backend)
    shown = [repr(error), str(error), str(error.provider_message), repr(backend), repr(backend.secrets)]
    shown += [str(error.__cause__), repr(error.__cause__), repr(vars(error.__cause__ or error))]
    shown += [json.dumps(dict(backend.identity)), *program.call["argv"], program.call["stdin"]]
    assert KEY == program.call["env"]["ANTHROPIC_API_KEY"], "the program has it"
    assert not any(KEY in text for text in shown)
    assert "bad key <secret>" in str(error)


def test_which_variables_are_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names tell: keys, tokens, secrets and passwords, but not numbers of tokens."""
    values = {"A_KEY": "one1", "B_TOKEN": "two2", "C_SECRET_ID": "three3", "PASSWORD": "four4", "apikey": "five5"}
    for name in list(os.environ):
        monkeypatch.delenv(name)
    for name, value in {**values, "MAX_TOKENS": "8000", "KEYBOARD": "german", "EMPTY_KEY": ""}.items():
        monkeypatch.setenv(name, value)
    assert sorted(values.values()) == sorted(
        secret.reveal() for secret in ClaudeCLIBackend(program=sys.executable).secrets
    )


async def test_a_missing_program(program: Program, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is told when the backend is made, or when a request is: what to install, and how to say where it is."""
    program.does(ANSWER)
    monkeypatch.setenv("PATH", str(program.path.parent))
    lm = ClaudeCLIBackend()
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    with losses() as lost:
        error = await failing(lm)
    assert "the Claude CLI did not run: cannot start 'claude': it is not on the PATH" in str(error)
    assert Usage() == lost.usage
    with pytest.raises(LMError, match=r"needs the program 'claude', which is not on the PATH") as caught:
        ClaudeCLIBackend()
    for told in (error, caught.value):
        assert "npm install -g @anthropic-ai/claude-code" in str(told)
        assert "program=" in str(told)
        assert not told.retriable


async def test_a_program_that_cannot_run(program: Program, tmp_path: Path) -> None:
    """A file that is not executable, or no program, and a folder that is not there are each named."""
    program.path.write_text("no program")
    assert "the Claude CLI did not run: cannot start" in str(await failing(program.backend()))
    program.path.chmod(0o644)
    error = await failing(program.backend())
    assert "it is no executable file, or we may not run it; install it with" in str(error)
    error = await failing(program.backend(cwd=tmp_path / "no folder"))
    assert "does not exist or is no folder" in str(error)
    assert "install" not in str(error)


@pytest.mark.slow
async def test_a_timeout_ends_everything(program: Program, temporary: Path) -> None:
    """A program that ignores TERM, and its children that do, are gone; what it used is estimated."""
    program.does({"stall": True, "ignore_term": True, "children": 3, "read": False})
    asked = request("x" * 400_000)
    with losses() as lost:
        error = await failing(program.backend(timeout=1.0, grace=0.05), asked)
    assert "gave no answer within its timeout of 1 s and was ended; raise timeout= if it needs longer" in str(error)
    assert not error.retriable
    assert 3 == len(program.call["children"])
    assert Usage(requests=1, input_tokens=100_003, estimated=True) == lost.usage
    assert [] == os.listdir(temporary)


async def test_what_an_error_has_used_is_counted(program: Program) -> None:
    """A result that is an error says what was used for nothing."""
    program.does({"result": {"is_error": True, "result": "no"}})
    with losses() as lost:
        await failing(program.backend())
    assert Usage(requests=1, input_tokens=125, output_tokens=7, cost=0.0125) == lost.usage


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("size", "options", "limit"), [(3_000_000, {"max_output": 1_000_000}, 1_000_000), (20_000_000, {}, 16_777_216)]
)
async def test_too_much_output(program: Program, stream: bool, size: int, options: dict[str, Any], limit: int) -> None:
    """Megabytes of nothing are an error that names the option, and the program is ended."""
    program.does({"size": size})
    async with assert_no_leaks():
        with pytest.raises(LMError, match=f"printed more than {limit} bytes for one answer and was ended; raise max_o"):
            if stream:
                await streamed(program, **options)
            else:
                await program.backend(**options).complete(request())


async def started(program: Program) -> None:
    """Wait until the program has started its children and read its prompt."""
    with anyio.fail_after(20):
        while not program.calls:  # noqa: ASYNC110 (another process sets no event of ours)
            await anyio.sleep(0.005)


@pytest.mark.parametrize("step", [{}, {"ignore_term": True, "children": 3}], ids=["obedient", "stubborn"])
async def test_cancellation_ends_everything(program: Program, step: dict[str, Any], temporary: Path) -> None:
    """A cancelled request leaves neither the program, nor its children, nor its folder."""
    program.does({"stall": True, **step})
    async with assert_no_leaks():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(program.backend(grace=0.05).complete, request())
            await started(program)
            tasks.cancel_scope.cancel()
        assert [] == os.listdir(temporary)


@pytest.mark.slow
async def test_cancellation_at_every_step(program: Program, temporary: Path) -> None:
    """Wherever a request is cancelled, no process, descriptor or folder is left."""
    program.does({**ANSWER, "children": 1})
    backend = program.backend(grace=0.02)

    async def call() -> str:
        async with assert_no_leaks():
            return (await backend.complete(request())).text

    outcomes = await sweep_cancellations(call)
    assert [None] * len(outcomes) == [outcome.exception for outcome in outcomes]
    assert '{"city": "Faro"}' == outcomes[-1].value
    assert len(outcomes) > 5
    assert [] == os.listdir(temporary)


# In a graph.


class Wish(Node):
    text: str

    async def __call__(self) -> Trip | Question | None: ...


class Question(Node):
    """Ask the person something."""

    text: str

    async def __call__(self) -> None: ...


class Start(Node):
    async def __call__(self) -> Trip: ...


async def streamed(program: Program, **options: Any) -> tuple[dict[int, str], Node]:
    """Follow a run: the streamed text of each answer, and the last node."""
    pieces: dict[int, str] = {}
    async with Graph(start=Start).stream(Start(), lm=program.backend(**options)) as events:
        async for event in events:
            if isinstance(event, Token):
                pieces[event.request] = pieces.get(event.request, "") + event.text
    return pieces, events.result.node


async def test_a_run_chooses_and_fills(program: Program) -> None:
    """A graph gets typed nodes: a request for the choice and one to fill it, both counted."""
    program.does({"value": {"choice": "Trip"}}, {"value": {"city": "Faro", "days": 3}})
    async with assert_no_leaks():
        result = await Graph(start=Wish).run(Wish(text="I want to go south"), lm=program.backend())
    assert Trip(city="Faro", days=3) == result.node
    choice, fill = program.calls
    schema = json.loads(after(choice["argv"], "--json-schema"))
    assert ["Trip", "Question", "stop"] == schema["properties"]["choice"]["enum"]
    assert "I want to go south" in choice["stdin"]
    assert "I want to go south" in fill["stdin"]
    assert not any("I want to go south" in argument for call in program.calls for argument in call["argv"])
    called = [event for event in result.events if isinstance(event, LMCalled)]
    assert ["choose", "fill"] == [event.purpose for event in called]
    assert 2 * [Usage(requests=1, input_tokens=125, output_tokens=7, cost=0.0125)] == [e.usage for e in called]
    assert "json" == after(fill["argv"], "--output-format"), "nobody follows the run"


async def test_tokens_are_streamed(program: Program) -> None:
    """Who follows a run gets the answer in pieces, without the prose around it."""
    program.does({"value": {"city": "Faro", "days": 3}})
    async with assert_no_leaks():
        pieces, node = await streamed(program)
    assert ['{"city": "Faro", "days": 3}'] == list(pieces.values())
    assert Trip(city="Faro", days=3) == node
    assert "stream-json" == after(program.call["argv"], "--output-format")


async def test_an_answer_that_the_program_turns_down_is_another(program: Program) -> None:
    """What the model gives after the program asked it again is streamed as another answer."""
    program.does({"first_try": {"city": 7}, "value": {"city": "Faro", "days": 3}})
    pieces, _ = await streamed(program)
    assert ['{"city": 7}', '{"city": "Faro", "days": 3}'] == list(pieces.values())


async def test_an_answer_that_comes_whole_is_streamed_whole(program: Program) -> None:
    """A program that gives no pieces has its answer streamed all the same."""
    program.does({"value": {"city": "Faro", "days": 3}, "partial": False})
    pieces, _ = await streamed(program)
    assert ['{"city": "Faro", "days": 3}'] == list(pieces.values())


async def test_what_a_broken_stream_has_used_is_estimated(program: Program) -> None:
    """A program that ends before its result leaves an estimate that counts the pieces that came."""
    program.does({"value": {"city": "F" * 4000, "days": 3}, "crash": True})

    class Losing(Node):
        async def __call__(self) -> None:
            with losses() as lost, pytest.raises(LMError, match="ended without a result"):
                await program.backend().complete(request())
            assert lost.usage.estimated
            assert 1000 < lost.usage.output_tokens < 1020

    async with Graph(start=Losing).stream(Losing()) as events:
        assert [] != [event async for event in events if isinstance(event, Token)]


async def test_a_text_is_streamed(program: Program) -> None:
    """Without a schema the text itself is streamed."""
    program.does({"text": "Faro is in the south."})

    class Telling(Node):
        async def __call__(self) -> None:
            await program.backend().complete(request(schema=None))

    async with Graph(start=Telling).stream(Telling()) as events:
        pieces = [event.text async for event in events if isinstance(event, Token)]
    assert ["Faro i", "s in t", "he sou", "th."] == pieces


async def test_a_consumer_who_leaves_ends_the_program(program: Program) -> None:
    """Leaving a stream in the middle of an answer leaves nothing of the program."""
    program.does({"value": {"city": "Faro" * 100_000, "days": 3}, "children": 1})
    async with (
        assert_no_leaks(),
        Graph(start=Start).stream(Start(), lm=program.backend(grace=0.05), buffer=4) as events,
    ):
        async for event in events:
            if isinstance(event, Token):
                break


async def test_many_at_once(program: Program, temporary: Path) -> None:
    """Requests at the same time are processes of their own."""
    program.does(ANSWER)
    backend = program.backend()
    async with assert_no_leaks(), anyio.create_task_group() as tasks:
        for number in range(8):
            tasks.start_soon(backend.complete, request(f"Number {number}"))
    assert {f"Number {number}" for number in range(8)} == {call["stdin"] for call in program.calls}
    assert 8 == len({call["cwd"] for call in program.calls})
    assert [] == os.listdir(temporary)
