"""A local server of language models: it speaks OpenAI's and Anthropic's protocols, and goes wrong on demand."""

from dagflow.lm.protocol import ToolCall
from dagflow.testing.lm_server.reply import Answer, ErrorReply, GarbageReply, RawReply, Reply
from dagflow.testing.lm_server.requests import RecordedRequest
from dagflow.testing.lm_server.script import ScriptError
from dagflow.testing.lm_server.server import LMServer

__all__ = [
    "Answer",
    "ErrorReply",
    "GarbageReply",
    "LMServer",
    "RawReply",
    "RecordedRequest",
    "Reply",
    "ScriptError",
    "ToolCall",
]
