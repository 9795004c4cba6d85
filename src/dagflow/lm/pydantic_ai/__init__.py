"""Any model that Pydantic AI knows, as a language model for nodes; nothing else here knows Pydantic AI."""

try:
    import pydantic_ai.direct  # noqa: F401
except ImportError as _error:
    raise ImportError(f"PydanticAIBackend needs Pydantic AI: pip install 'dagflow[pydantic-ai]' ({_error})") from _error

from dagflow.lm.pydantic_ai.backend import PydanticAIBackend

__all__ = ["PydanticAIBackend"]
