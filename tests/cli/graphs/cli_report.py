"""A pipeline for the command line."""

import os

from dagflow import Map, Metric, Pipeline, PythonTask


def split(text: str) -> list[str]:
    return text.split()


async def shout(word: str) -> str:
    if word == "bad" and not os.environ.get("ALL_IS_WELL"):
        raise ValueError("a bad word")
    return word.upper()


def count(loud: list[str]) -> int:
    return len(loud)


pipeline = Pipeline(
    [
        PythonTask(split, returns=["words"]),
        Map(name="each", over="words", as_="word", branch=PythonTask(shout, returns=["loud"])),
        PythonTask(count, returns=[Metric("n")]),
    ],
    name="report",
)
