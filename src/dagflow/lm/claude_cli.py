"""Claude through its command line program, `claude -p`: a process for each request.

The program is kept from the user's own settings, tools, sessions and folder. What is asked goes through its
standard input: an argument can be seen by everybody on the machine, and has a limit.
"""

from __future__ import annotations

import errno
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, Literal

import attrs

from dagflow.core.dialects import without_format
from dagflow.core.secrets import Secret, mask
from dagflow.errors import LMError, ProcessError, ProcessTimeout
from dagflow.kernel.context import TokenStream, token_stream
from dagflow.kernel.process import ProcessResult, describe_exit, run_process
from dagflow.lm.base import BaseLM
from dagflow.lm.billing import Bill, billed
from dagflow.lm.protocol import LMRequest, LMResponse
from dagflow.types import Usage

__all__ = ["ClaudeCLIBackend"]

_LONGEST_ARGUMENT: Final = 128 * 1024 - 1  # bytes; Linux's MAX_ARG_STRLEN, which counts the NUL at the end
_QUOTED: Final = 500  # characters that an error shows of the beginning of its output, and of the end
_NOT_RUNNABLE: Final = (errno.ENOENT, errno.EACCES, errno.ENOEXEC)
_ANSWER_TOOL: Final = "StructuredOutput"  # how the program has the model give a value that fits a schema
_SYSTEM_IN_PROMPT: Final = "Follow the instructions in the system section of the prompt."
_SECRET_NAME: Final = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|PASSWD)(_|$)", re.IGNORECASE)
_API_STATUS: Final = re.compile(r"API Error:?\s*\(?(?:Repeated\s+)?(\d{3})\b")
_PASSING: Final = re.compile(r"overloaded|connection error|unable to connect|temporarily limiting", re.IGNORECASE)
_USED_UP: Final = re.compile(
    r"(hit|reached) your\b.*\blimit|(?<!not your )usage limit|limit reached|credit", re.IGNORECASE
)


class ClaudeCLIBackend(BaseLM):
    """Asks Claude through the `claude` program, with the login that the program has, or a key from its environment.

    `model` is a name or an alias that the program knows, `None` for its default; `program` its name on the
    PATH, or where it is. A request that takes longer than `timeout` seconds is ended, and `grace` is how many
    seconds the program has then, and when it is cancelled, before it is killed with all that it started.

    The program inherits the environment; `env` adds to it. It runs in `cwd`, or in an empty folder of its own
    for each request. More than `max_output` bytes of output are an error; where the answer is streamed, in a line.

    It cannot serve requests with tools. Choosing a type takes a request, and filling it another.
    """

    def __init__(
        self,
        model: str | None = "sonnet",
        *,
        program: str | os.PathLike[str] = "claude",
        timeout: float | None = 120.0,
        grace: float = 5.0,
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        repairs: int = 2,
        max_output: int = 16 * 1024 * 1024,
    ) -> None:
        self.repairs = repairs
        self._model = model
        self._program = os.fspath(program)
        # A path is meant from where we are, and not from the folder that the program runs in.
        self._executable = os.path.abspath(program) if os.sep in self._program else self._program
        self._timeout = timeout
        self._grace = grace
        self._env = {name: Secret(value) for name, value in (env or {}).items()}
        self._cwd = cwd
        self._max_output = max_output

    def __repr__(self) -> str:
        return f"{type(self).__name__}(model={self._model!r}, program={self._program!r})"

    @property
    def identity(self) -> Mapping[str, Any]:
        """The model and the program."""
        return {"adapter": "claude-cli", "model": self._model, "program": self._program}

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """The values of the environment variables that are named like secrets."""
        environment = self._environment()
        return tuple(Secret(value) for name, value in environment.items() if value and _SECRET_NAME.search(name))

    async def complete(self, request: LMRequest) -> LMResponse:
        """Run the program for one request and return its answer.

        Raises `LMError`, also for a request with tools. Cancelled, it ends the program and all that it started.
        """
        if request.tools:
            names = ", ".join(tool.name for tool in request.tools)
            raise LMError(
                f"the Claude CLI cannot call tools of ours, and {request.target or 'the request'} has {names}; "
                f"give it another backend, such as AnthropicBackend"
            )
        tokens = token_stream()
        question = ask(request)
        with billed(request) as bill, self._folder() as folder:
            reader = None if tokens is None else StreamReader(tokens, bill, question, self._max_output)
            finished = await self._run(question, reader, folder, bill)
            transcript = read_transcript(finished.stdout) if reader is None else await reader.finish()
            if transcript.result is not None:
                bill.settle(usage_of(transcript.result))
            self._raise_problem(finished, transcript)
            response = answer_of(transcript, self._model)
            if reader is not None:
                await reader.send_whole(response.text)
            return response

    async def _run(self, question: Question, reader: StreamReader | None, folder: str, bill: Bill) -> ProcessResult:
        try:
            return await run_process(
                [self._executable, *question.arguments(self._model, stream=reader is not None)],
                input=question.prompt.encode(),
                timeout=self._timeout,
                grace=self._grace,
                env=self._environment(),
                cwd=folder,
                check=False,
                on_stdout=reader,
                max_output=self._max_output,
            )
        except ProcessTimeout as error:
            said = self._masked(error)
            raise LMError(
                f"the Claude CLI gave no answer within its timeout of {self._timeout:g} s and was ended{quoted(said)}; "
                f"raise timeout= if it needs longer",
                provider_message=said or None,
            ) from error
        except ProcessError as error:
            if not isinstance(error.__cause__, (OSError, ValueError)):
                raise too_much(self._max_output) from error
            bill.void()
            advice = how_to_install(error.__cause__, self._executable)
            raise LMError(f"the Claude CLI did not run: {error}{advice}") from error

    def _raise_problem(self, finished: ProcessResult, transcript: Transcript) -> None:
        found = problem_of(finished, transcript)
        if found is None:
            return
        said = shortened(mask(found.said, self.secrets))  # in this order: a part of a secret is not known again
        raise LMError(
            f"the Claude CLI {found.what}{quoted(said)}{found.advice}",
            status=found.status or finished.returncode or None,
            provider_message=said or None,
            retriable=found.retriable,
            request_id=session_of(transcript.result or {}),
        )

    def _environment(self) -> dict[str, str]:
        # Inside of a session of Claude Code this variable is set, and the program refuses to run where it is.
        inherited = {name: value for name, value in os.environ.items() if name != "CLAUDECODE"}
        return inherited | {name: value.reveal() for name, value in self._env.items()}

    def _masked(self, error: ProcessError) -> str:
        """Mask the secrets in what an error quotes: it stays in sight as the cause of ours."""
        secrets = self.secrets
        error.args = (mask(str(error), secrets),)
        error.stderr = mask(error.stderr, secrets)
        return error.stderr

    @contextmanager
    def _folder(self) -> Iterator[str]:
        if self._cwd is not None:
            yield os.fspath(self._cwd)
            return
        # The program reads what it finds in its folder, and a user's project has instructions for it.
        with tempfile.TemporaryDirectory(prefix="dagflow-claude-", ignore_cleanup_errors=True) as folder:
            yield folder


@attrs.frozen
class Question:
    """A request as the program takes it; `schema` is empty where it has to make do without one."""

    prompt: str
    system: str
    schema: str

    def arguments(self, model: str | None, *, stream: bool) -> list[str]:
        """The arguments of the program."""
        form = ["stream-json", "--verbose", "--include-partial-messages"] if stream else ["json"]
        return [
            "-p",
            *(["--model", model] if model is not None else []),
            "--output-format",
            *form,
            *(["--json-schema", self.schema] if self.schema else []),
            "--no-session-persistence",
            *("--tools", ""),
            "--strict-mcp-config",
            *("--setting-sources", ""),
            *("--system-prompt", self.system),
        ]


def ask(request: LMRequest) -> Question:
    """Write a request for the program: what cannot be an argument becomes a part of the prompt.

    A schema that is too long, or is not of an object, is left out: `request.system` has it in words.
    """
    schema = ""
    if request.schema is not None and request.schema.get("type") == "object":
        text = json.dumps(without_format(dict(request.schema)))
        schema = text if fits_argument(text) else ""
    system = encodable(request.native_system if schema else request.system)
    turns = [(message.role, encodable(message.content)) for message in request.messages]
    if fits_argument(system):
        return Question(conversation(turns), system, schema)
    return Question(conversation([("system", system), *turns]), _SYSTEM_IN_PROMPT, schema)


def conversation(turns: Sequence[tuple[str, str]]) -> str:
    """One text of several messages, since the program takes one: a lone message is the text itself."""
    if len(turns) == 1:
        return turns[0][1]
    sections = [f"<{role}>\n{content}\n</{role}>" for role, content in turns]
    return "\n\n".join([*sections, "Give the assistant's answer to the last message of this conversation."])


def fits_argument(text: str) -> bool:
    return len(text.encode()) <= _LONGEST_ARGUMENT and "\0" not in text


def encodable(text: str) -> str:
    # A lone surrogate has no encoding; written as JSON escapes it, it stays what it is inside of JSON.
    return text.encode(errors="backslashreplace").decode()


@attrs.define
class Transcript:
    """What matters of the program's output: its result, the model that it named, and what was no JSON.

    `unread` is the first text that was none.
    """

    result: Mapping[str, Any] | None = None
    model: str = ""
    unread: str = ""

    def add(self, item: Any) -> None:
        """Take one object of the output; of several results the last one counts."""
        if not isinstance(item, dict):
            return
        if item.get("type") == "result":
            self.result = item
        elif item.get("type") == "system" and isinstance(item.get("model"), str):
            self.model = item["model"]

    def add_line(self, line: bytes) -> Any:
        """Take one line of the output and give the value in it."""
        try:
            item = json.loads(line) if line.strip() else None
        except (ValueError, RecursionError):
            self.unread = self.unread or line.decode(errors="replace").strip()
            return None
        self.add(item)
        return item


def read_transcript(stdout: bytes) -> Transcript:
    """Read what the program printed: an object, a list of objects, or an object a line."""
    transcript = Transcript()
    try:
        whole = json.loads(stdout)
    except (ValueError, RecursionError):
        for line in stdout.splitlines():
            transcript.add_line(line)
        return transcript
    for item in whole if isinstance(whole, list) else [whole]:
        transcript.add(item)
    return transcript


class StreamReader:
    """Reads the lines that the program prints while it works, and streams the pieces of the answer."""

    def __init__(self, tokens: TokenStream, bill: Bill, question: Question, max_line: int) -> None:
        self._tokens = tokens
        self._bill = bill
        self._structured = bool(question.schema)
        self._max_line = max_line
        self._transcript = Transcript()
        self._line = bytearray()
        self._in_answer = False
        self._sent = False

    async def __call__(self, chunk: bytes) -> None:
        """Take the next piece of output; raises `LMError` for a line that is too long."""
        *ended, rest = chunk.split(b"\n")
        for part in ended:
            self._add(part)
            await self._end_line()
        self._add(rest)

    async def finish(self) -> Transcript:
        """Give what was read, at the end of the output."""
        await self._end_line()
        return self._transcript

    async def send_whole(self, text: str) -> None:
        """Stream an answer of which no piece has come."""
        if not self._sent:
            await self._tokens.send(text)

    def _add(self, part: bytes) -> None:
        self._line += part
        if len(self._line) > self._max_line:
            raise too_much(self._max_line)

    async def _end_line(self) -> None:
        item = self._transcript.add_line(bytes(self._line))
        self._line.clear()
        piece = self._piece(item)
        if piece:
            self._sent = True
            self._bill.text(piece)
            await self._tokens.send(piece)

    def _piece(self, item: Any) -> str:
        """The piece of the answer in an object of the stream, which is often none.

        The events inside are those of Anthropic's messages. With a schema the answer is the input of a tool,
        and other text is not part of it.
        """
        event = part_of(item, "event") if part_of(item, "type") == "stream_event" else None
        kind = part_of(event, "type")
        if kind == "content_block_start":
            self._begin_block(part_of(event, "content_block"))
        elif kind == "content_block_delta" and self._in_answer:
            piece = part_of(part_of(event, "delta"), "partial_json" if self._structured else "text")
            return piece if isinstance(piece, str) else ""
        return ""

    def _begin_block(self, block: Any) -> None:
        if not self._structured:
            self._in_answer = part_of(block, "type") == "text"
            return
        self._in_answer = part_of(block, "name") == _ANSWER_TOOL
        if self._in_answer and self._sent:
            # The program turned down what the model gave first; what follows is another answer.
            self._tokens = token_stream() or self._tokens


@attrs.frozen
class Problem:
    """Why there is no answer; `status` is that of Anthropic's interface, where the program tells it."""

    what: str
    said: str = ""
    retriable: bool = False
    status: int | None = None
    advice: str = ""


def problem_of(finished: ProcessResult, transcript: Transcript) -> Problem | None:
    """Find out why a run of the program gave no answer; `None` where it gave one."""
    result = transcript.result
    stderr = finished.stderr.decode(errors="replace").strip()
    if result is not None and (result.get("is_error") or result.get("subtype", "success") != "success"):
        return refusal(result)
    if finished.returncode != 0:
        said = stderr or transcript.unread
        status = status_in(said)
        return Problem(describe_exit(finished.returncode), said, worth_another(status, said), status, advice_for(said))
    if result is not None:
        text = result.get("result")
        if result.get("structured_output") is None and not (isinstance(text, str) and text):
            return Problem("gave a result without an answer", stderr, retriable=True)
        return None
    if transcript.unread.startswith(('{"', "[{")):
        return Problem("broke off: its output is cut-off JSON", transcript.unread, retriable=True)
    if transcript.unread:
        return Problem("printed what is no JSON", transcript.unread, advice="; is program= the Claude CLI?")
    return Problem("ended without a result", stderr, retriable=True)


def refusal(result: Mapping[str, Any]) -> Problem:
    """What an error result says: it may call itself a success, and still be an error."""
    errors = result.get("errors")
    said = "; ".join(str(error) for error in errors) if isinstance(errors, list) else ""
    said = said or str(result.get("result") or "")
    status = result.get("api_error_status")
    status = status if isinstance(status, int) else status_in(said)
    kind = result.get("subtype")
    what = f"failed with {kind}" if kind != "success" and isinstance(kind, str) else "failed"
    # The model gave nothing that fits the schema, in all the attempts that the program makes itself.
    retriable = worth_another(status, said) or kind == "error_max_structured_output_retries"
    return Problem(what, said, retriable, status, advice_for(said, status))


def status_in(said: str) -> int | None:
    """The status of Anthropic's interface in a text such as `API Error: 529 Overloaded`."""
    found = _API_STATUS.search(said)
    return int(found[1]) if found else None


def worth_another(status: int | None, said: str) -> bool:
    """Tell whether an error may be gone the next time; a limit of the account stays for hours."""
    if _USED_UP.search(said):
        return False
    return status in (408, 429) or (status or 0) >= 500 or _PASSING.search(said) is not None


def advice_for(said: str, status: int | None = None) -> str:
    if status in (401, 403) or "/login" in said or "API key" in said:
        return "; log in by running it, or give it a key as env={'ANTHROPIC_API_KEY': ...}"
    return ""


def too_much(limit: int) -> LMError:
    return LMError(
        f"the Claude CLI printed more than {limit} bytes for one answer and was ended; "
        f"raise max_output= if answers that long are expected"
    )


def how_to_install(cause: BaseException, program: str) -> str:
    # The other file that may not be there is the folder to run in.
    if isinstance(cause, OSError) and cause.errno in _NOT_RUNNABLE and cause.filename == program:
        return (
            "; install it with `npm install -g @anthropic-ai/claude-code`, "
            "or say where it is with ClaudeCLIBackend(program=...)"
        )
    return ""


def answer_of(transcript: Transcript, model: str | None) -> LMResponse:
    """The answer in a result that has one."""
    result = transcript.result or {}
    value = result.get("structured_output")
    reasons: dict[str, Literal["length", "refusal"]] = {"max_tokens": "length", "refusal": "refusal"}
    return LMResponse(
        text=str(result.get("result")) if value is None else json.dumps(value, ensure_ascii=False),
        usage=usage_of(result),
        model=transcript.model or largest_model(result) or model or "",
        finish_reason=reasons.get(str(result.get("stop_reason")), "stop"),
        request_id=session_of(result),
    )


def usage_of(result: Mapping[str, Any]) -> Usage:
    """What a result says that the request used; input that was read from a cache or written to one counts."""
    usage = result.get("usage")
    kinds = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
    cost = result.get("total_cost_usd")
    return Usage(
        requests=1,
        input_tokens=sum(count(part_of(usage, kind)) for kind in kinds),
        output_tokens=count(part_of(usage, "output_tokens")),
        cost=float(cost) if isinstance(cost, (int, float)) and not isinstance(cost, bool) else None,
    )


def largest_model(result: Mapping[str, Any]) -> str:
    """The model that wrote most of the answer: the program uses a small one beside it."""
    used = result.get("modelUsage")
    if not isinstance(used, dict) or not used:
        return ""
    return str(max(used, key=lambda name: count(part_of(used[name], "outputTokens"))))


def session_of(result: Mapping[str, Any]) -> str | None:
    found = result.get("session_id") or result.get("uuid")
    return found if isinstance(found, str) else None


def part_of(data: Any, key: str) -> Any:
    return data.get(key) if isinstance(data, dict) else None


def count(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def quoted(said: str) -> str:
    return f": {said}" if said else ""


def shortened(text: str) -> str:
    return text if len(text) <= 2 * _QUOTED else f"{text[:_QUOTED]} [...] {text[-_QUOTED:]}"
