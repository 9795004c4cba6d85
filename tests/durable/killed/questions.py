"""A graph whose parallel branches ask a question each, beside one that does not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from durable.plain_graph import Here, PlainGraph, State

__all__ = ["ACTIVATIONS", "COLOUR", "SIZE", "questions"]

COLOUR = "painter#1.colour"
SIZE = "tailor#1.size"
ACTIVATIONS = ["start#1", "painter#1", "tailor#1", "cook#1", "baker#1", "end#1"]


def questions(note: Callable[[str], Awaitable[None]]) -> PlainGraph:
    """Make the graph; a body that has its answers, or needs none, tells `note`."""

    async def work(here: Here) -> State:
        await note(here.activation.id)
        return {here.activation.node: sorted(here.state)}

    def asks(field: str) -> Callable[[Here], Awaitable[dict[str, Any]]]:
        async def ask(here: Here) -> dict[str, Any]:
            answers = here.ask(field)
            await note(here.activation.id)
            return {here.activation.node: answers}

        return ask

    edges = {
        "start": ("painter", "tailor", "cook"),
        "painter": ("end",),
        "tailor": ("end",),
        "cook": ("baker",),
        "baker": ("end",),
        "end": (),
    }
    bodies = {"painter": asks("colour"), "tailor": asks("size")}
    return PlainGraph(edges=edges, bodies=bodies, default=work, name="questions")
