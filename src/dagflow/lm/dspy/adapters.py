"""The adapter that is used unless another is given."""

from __future__ import annotations

from functools import cache
from typing import Any

from dagflow.lm.dspy.library import load_dspy

__all__ = ["default_adapter"]


@cache
def default_adapter() -> Any:
    """Give DSPy's `ChatAdapter`, which asks once more in JSON where its answer cannot be read.

    That second request asks for a JSON object of any form: DSPy would make a strict schema of the signature, which
    providers refuse for keywords that strict schemas do not have (`default`, `minLength`), and a request that is
    refused can be repaired by nobody.
    """
    dspy = load_dspy("DSPyBackend")

    class JSONAdapter(dspy.JSONAdapter):  # type: ignore[misc, name-defined]  # DSPy is untyped
        def _prepare_response_format(self, lm: Any, lm_kwargs: dict[str, Any], signature: Any) -> None:
            if "response_format" in lm.supported_params:
                lm_kwargs["response_format"] = {"type": "json_object"}

    class ChatAdapter(dspy.ChatAdapter):  # type: ignore[misc, name-defined]  # DSPy is untyped
        def _make_json_adapter_fallback(self) -> Any:
            return JSONAdapter(use_native_function_calling=False)

    return ChatAdapter()
