"""Every adapter, ready to be asked: the tests that all of them pass, and the table of the docs, go through these."""

import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest

from dagflow import AnthropicBackend, BaseLM, Graph, Node, NodeConfig, OpenAIBackend
from dagflow.testing.lm_server import LMServer, RecordedRequest, Reply, ToolCall

KEY = "sk-canary-7f3a9b2c4d5e6f70"
PROGRAM = Path(__file__).with_name("claude_program.py")


class Question(Node):
    text: str

    async def __call__(self) -> "Answer": ...


class Answer(Node):
    city: str
    sunny: bool

    async def __call__(self) -> None: ...


class Fork(Node):
    text: str

    async def __call__(self) -> "Answer | Apology": ...


class Apology(Node):
    words: str

    async def __call__(self) -> None: ...


async def weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"sunny in {city}"


class Research(Node):
    node_config = NodeConfig(tools=(weather,))
    city: str
    sunny: bool

    async def __call__(self) -> None: ...


class Asked(Node):
    text: str

    async def __call__(self) -> Research: ...


FILL, CHOOSE, TOOLS = Graph(start=Question), Graph(start=Fork), Graph(start=Asked)
VALUES: dict[str, Any] = {"Answer": {"city": "Faro", "sunny": True}, "Choice": {"choice": "Answer"}}


@attrs.frozen
class Place:
    """Where an adapter's model is: a server that is local, and a program in a folder."""

    server: LMServer
    folder: Path

    @property
    def program(self) -> Path:
        return self.folder / "claude"

    @property
    def closed_early(self) -> bool:
        return self.server.aborted > 0


@attrs.frozen
class Adapter:
    """An adapter, how it is made, and what it cannot do; `tools` and `tokens` say so for the table."""

    name: str
    make: Callable[[Place], BaseLM]
    tools: bool = True
    tokens: bool = True
    is_program: bool = False
    on_trio: str = "yes"


def pydantic_ai(provider: str, path: str) -> Callable[[Place], BaseLM]:
    def make(place: Place) -> BaseLM:
        from dagflow.lm.pydantic_ai import PydanticAIBackend

        return PydanticAIBackend(f"{provider}:model", base_url=f"{place.server.url}{path}", api_key=KEY)

    return make


def dspy_by_name(place: Place) -> BaseLM:
    from dagflow.lm.dspy import DSPyBackend

    return DSPyBackend("openai/model", base_url=f"{place.server.url}/v1", api_key=KEY)


def dspy_with_ours(place: Place) -> BaseLM:
    from dagflow.lm.dspy import DSPyBackend

    return DSPyBackend(openai(place))


def openai(place: Place) -> BaseLM:
    return OpenAIBackend("model", base_url=f"{place.server.url}/v1", api_key=KEY)


def anthropic(place: Place) -> BaseLM:
    return AnthropicBackend("model", base_url=place.server.url, api_key=KEY)


def claude_cli(place: Place) -> BaseLM:
    from dagflow.lm.claude_cli import ClaudeCLIBackend

    return ClaudeCLIBackend(program=place.program, grace=0.2, env={"ANTHROPIC_API_KEY": KEY})


ADAPTERS = (
    Adapter("`OpenAIBackend`", openai),
    Adapter("`AnthropicBackend`", anthropic),
    Adapter("`ClaudeCLIBackend`", claude_cli, tools=False, is_program=True),
    Adapter("`PydanticAIBackend`, OpenAI's models", pydantic_ai("openai-chat", "/v1")),
    Adapter("`PydanticAIBackend`, Anthropic's models", pydantic_ai("anthropic", "")),
    Adapter(
        "`DSPyBackend`, by name or with a `dspy.LM`",
        dspy_by_name,
        tools=False,
        tokens=False,
        on_trio="yes, through a thread with an asyncio loop",
    ),
    Adapter("`DSPyBackend`, with one of ours", dspy_with_ours, tools=False),
)


each = pytest.mark.parametrize("adapter", ADAPTERS, ids=lambda adapter: adapter.name.replace("`", ""))

OF_LIBRARIES = [
    # The SDKs leave what they do not read of a stream to the garbage collector, and trio tells of it.
    pytest.mark.filterwarnings(
        r"ignore:Async generator '(openai|anthropic|pydantic_ai|httpx2|httpcore2)\.:ResourceWarning"
    ),
    # What litellm does when it is imported, and no business of ours.
    pytest.mark.filterwarnings("ignore::DeprecationWarning:litellm"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:pydantic"),
]
"""What other libraries warn of, and is no business of ours."""


def answer(request: RecordedRequest) -> Any:
    """What the server's model says: what is asked for, by tools where there are some."""
    text = json.dumps(request.body).replace("\\", "")
    wanted = VALUES["Choice" if '"choice"' in text or "## choice ##" in text else "Answer"]
    if request.body.get("tools") and "sunny in Faro" not in text:
        return Reply(tool_calls=[ToolCall("call_1", "weather", '{"city": "Faro"}')])
    if "[[ ##" in text:  # DSPy's own form
        return "\n\n".join(f"[[ ## {name} ## ]]\n{value}" for name, value in {**wanted, "completed": ""}.items())
    return wanted


@asynccontextmanager
async def place_for(adapter: Adapter, folder: Path, script: Any = answer) -> AsyncIterator[Place]:
    """Set up what an adapter talks to; the program chooses in its first call, and fills in its others."""
    (folder / "claude").write_text(f"#!{sys.executable} -ISB\n{PROGRAM.read_text()}")
    (folder / "claude").chmod(0o755)
    async with LMServer(script, api_key=KEY) as server:
        yield Place(server, folder)


def program_does(place: Place, *steps: dict[str, Any]) -> None:
    """Set what the program does in its first call, its second, and so on."""
    (place.folder / "scenario.json").write_text(json.dumps(steps))
