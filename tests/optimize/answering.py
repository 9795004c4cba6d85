"""A model that answers for the wardrobe, in whichever format it is asked."""

import json
from typing import Any

from dagflow import LMRequest

RIGHT: dict[str, dict[str, Any]] = {
    "Outfit": {"top": "coat", "layers": 3},
    "Refusal": {"reason": "no"},
    "Mood": {"text": "calm"},
    "Advice": {"text": "stay warm"},
    "choose": {"choice": "Outfit"},
}


def in_sections(fields: dict[str, Any]) -> str:
    lines = []
    for name, value in fields.items():
        lines += [f"[[ ## {name} ## ]]", value if isinstance(value, str) else json.dumps(value), ""]
    return "\n".join([*lines, "[[ ## completed ## ]]"])


def answer(request: LMRequest) -> str:
    """Answer rightly: in DSPy's format where the request is in it, else as JSON."""
    fields = RIGHT[request.target or "choose"]
    return json.dumps(fields) if "[[ ## " not in request.system else in_sections(fields)


SCRIPT = dict.fromkeys(RIGHT, answer)
