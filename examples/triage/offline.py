"""A language model for the triage graph, by rules and offline: `--lm examples/triage/offline.py:model`."""

from dagflow import LMRequest
from dagflow.testing import ScriptedLM


def sort(request: LMRequest) -> dict[str, str]:
    ticket = request.messages[0].content.split("\n\n", 1)[1].strip()
    return {"kind": "bug" if len(ticket.split()) > 3 else "unclear"}


def study(request: LMRequest) -> str:
    part = request.messages[0].content.split("\n\n")[1].strip()
    return f"“{part}” points to a lost write" if "save" in part else f"“{part}” is a symptom"


def grade(request: LMRequest) -> dict[str, object]:
    convincing = "lost write" in request.messages[0].content
    return {"score": 0.9 if convincing else 0.4, "why": "a cause is named" if convincing else "no cause is named"}


def model() -> ScriptedLM:
    return ScriptedLM({"sort": sort, "study": study, "grade": grade})
