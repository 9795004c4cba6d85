"""A graph that needs a language model, and language models of several kinds."""

from dagflow import Graph, Node
from dagflow.testing import ScriptedLM


class Ask(Node):
    question: str

    async def __call__(self) -> "Answer": ...


class Answer(Node):
    text: str

    async def __call__(self) -> None: ...


def scripted_lm() -> ScriptedLM:
    return ScriptedLM({"Answer": {"text": "scripted"}})


class OwnLM(ScriptedLM):
    def __init__(self) -> None:
        super().__init__({"Answer": {"text": "own"}})


made = OwnLM()
no_model = 42


def broken_lm() -> ScriptedLM:
    raise RuntimeError("no key")


graph = Graph(start=Ask)
also = graph
