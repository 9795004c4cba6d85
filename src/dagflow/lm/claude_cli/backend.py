"""Claude through its command line program, `claude -p`: a process for each request.

The program is kept from the user's own settings, tools, sessions and folder. What is asked goes through its
standard input: an argument can be seen by everybody on the machine, and has a limit.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

import anyio
from anyio.to_thread import run_sync

from dagflow.core.secrets import Secret, mask
from dagflow.errors import LMError, ProcessError, ProcessTimeout
from dagflow.kernel.context import token_stream
from dagflow.kernel.process import ProcessResult, run_process
from dagflow.lm.base import BaseLM
from dagflow.lm.billing import Bill, billed
from dagflow.lm.claude_cli.problems import how_to_install, problem_of, quoted, shortened
from dagflow.lm.claude_cli.question import Question, ask
from dagflow.lm.claude_cli.transcript import (
    StreamReader,
    Transcript,
    answer_of,
    read_transcript,
    session_of,
    too_much,
    usage_of,
)
from dagflow.lm.protocol import LMRequest, LMResponse

__all__ = ["ClaudeCLIBackend"]

_SECRET_NAME: Final = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|PASSWD)(_|$)", re.IGNORECASE)


class ClaudeCLIBackend(BaseLM):
    """Asks Claude through the `claude` program, with the login that the program has, or a key from its environment.

    `model` is a name or an alias that the program knows, `None` for its default; `program` its name on the
    PATH, or where it is. A request that takes longer than `timeout` seconds is ended, and `grace` is how many
    seconds the program has then, and when it is cancelled, before it is killed with all that it started.

    The program inherits the environment; `env` adds to it. It runs in `cwd`, or in an empty folder of its own
    for each request. More than `max_output` bytes of output are an error; where the answer is streamed, in a line.

    It cannot serve requests with tools. Choosing a type takes a request, and filling it another.

    Raises `LMError` where the program is not on the PATH.
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
        if shutil.which(self._executable, path=(env or {}).get("PATH")) is None and os.sep not in self._program:
            raise LMError(
                f"ClaudeCLIBackend needs the program {self._program!r}, which is not on the PATH; install it with "
                f"`npm install -g @anthropic-ai/claude-code`, or say where it is with program="
            )
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
        async with self._folder() as folder:
            return await self._complete(request, folder)

    async def _complete(self, request: LMRequest, folder: str) -> LMResponse:
        tokens = token_stream()
        question = ask(request)
        with billed(request) as bill:
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

    @asynccontextmanager
    async def _folder(self) -> AsyncIterator[str]:
        if self._cwd is not None:
            yield os.fspath(self._cwd)
            return
        # The program reads what it finds in its folder, and a user's project has instructions for it.
        folder = await run_sync(partial(tempfile.mkdtemp, prefix="dagflow-claude-"))
        try:
            yield folder
        finally:
            with anyio.CancelScope(shield=True):  # removing an empty folder takes no time
                await run_sync(partial(shutil.rmtree, folder, ignore_errors=True))
