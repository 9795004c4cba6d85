"""A pipeline whose tasks print, log and yield, for the command line."""

import logging
from collections.abc import AsyncIterator

from dagflow import Map, Pipeline, PythonTask, Returned, ShellTask

SAY = """printf 'out %s\\n' "$DAGFLOW_INPUT_word"; printf 'e\\033[1m\\0\\377 %s\\n' "$DAGFLOW_INPUT_word" >&2"""


def split(text: str) -> list[str]:
    logging.getLogger("cli.speaking").warning("splitting\nin lines")
    return text.split()


async def spell(words: list[str]) -> AsyncIterator[str | Returned]:
    for word in words:
        yield word * 200
    yield Returned(len(words))


pipeline = Pipeline(
    [
        PythonTask(split, returns=["words"]),
        Map(name="each", over="words", as_="word", branch=ShellTask(SAY, name="say", shell=True, takes=["word"])),
        PythonTask(spell, returns=["n"]),
    ],
)
