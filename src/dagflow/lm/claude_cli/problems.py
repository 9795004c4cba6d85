"""Why the program gave no answer, told from what it printed and how it ended."""

from __future__ import annotations

import errno
import re
from collections.abc import Mapping
from typing import Any, Final

import attrs

from dagflow.kernel.process import ProcessResult, describe_exit
from dagflow.lm.claude_cli.transcript import Transcript

__all__ = ["Problem", "how_to_install", "problem_of", "quoted", "shortened"]

_QUOTED: Final = 500  # characters that an error shows of the beginning of its output, and of the end
_NOT_RUNNABLE: Final = (errno.ENOENT, errno.EACCES, errno.ENOEXEC)
_API_STATUS: Final = re.compile(r"API Error:?\s*\(?(?:Repeated\s+)?(\d{3})\b")
_PASSING: Final = re.compile(r"overloaded|connection error|unable to connect|temporarily limiting", re.IGNORECASE)
_USED_UP: Final = re.compile(
    r"(hit|reached) your\b.*\blimit|(?<!not your )usage limit|limit reached|credit", re.IGNORECASE
)


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


def how_to_install(cause: BaseException, program: str) -> str:
    """What to do about a program that cannot be started, where that is known."""
    # The other file that may not be there is the folder to run in.
    if isinstance(cause, OSError) and cause.errno in _NOT_RUNNABLE and cause.filename == program:
        return (
            "; install it with `npm install -g @anthropic-ai/claude-code`, "
            "or say where it is with ClaudeCLIBackend(program=...)"
        )
    return ""


def quoted(said: str) -> str:
    """What was said, as it stands in a message."""
    return f": {said}" if said else ""


def shortened(text: str) -> str:
    """The beginning and the end of a long text."""
    return text if len(text) <= 2 * _QUOTED else f"{text[:_QUOTED]} [...] {text[-_QUOTED:]}"
