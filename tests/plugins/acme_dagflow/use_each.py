"""Finds each plug-in of this package by its name and runs with it: a program that tests start on a backend."""

from __future__ import annotations

import json
import sys
from typing import Any

import anyio

from dagflow import Graph, Node, plugins
from dagflow.catalog import Catalog
from dagflow.pipeline.pipeline import Pipeline
from dagflow.pipeline.tasks import PythonTask


class Ask(Node):
    question: str

    async def __call__(self) -> Answer: ...


class Answer(Node):
    text: str

    async def __call__(self) -> None: ...


def greet(token: str, name: str) -> str:
    assert "acme-s3cret" == token
    return f"hello {name}"


async def use_each() -> dict[str, Any]:
    executor = plugins.load("executors", "counting")()
    store = plugins.load("stores", "shelf")()
    catalog = plugins.load("catalogs", "logging")()
    shout_type = plugins.load("tasks", "shout")
    # Imported only now: the registered class is the one that the package's own step works with.
    from acme_dagflow import ShoutTask  # type: ignore[import-not-found]  # installed where this runs

    pipeline = Pipeline(
        [
            PythonTask(greet, returns=["word"], secrets={"token": "TOKEN"}, catalog=Catalog(put=["*.txt"])),
            ShoutTask(word="word", name="shout", returns=["shouted"]),
        ],
    )
    ran = await pipeline.execute(
        parameters={"name": "ada"},
        executor=executor,
        store=store,
        catalog=catalog,
        secrets=plugins.load("secrets", "vault")(),
        run_id="r1",
    )
    answered = await Graph(start=Ask).run(Ask(question="who?"), lm=plugins.load("lms", "parrot")("pieces"))
    return {
        "task": ran.parameters["shouted"],
        "same": ShoutTask(word="word").task_type(None).__class__ is shout_type,
        "executor": executor.tasks,
        "store": store.opened,
        "catalog": catalog.put_globs,
        "lm": answered.node.text,
        "distribution": plugins.find("lms", "parrot").distribution,
    }


if __name__ == "__main__":
    print(json.dumps(anyio.run(use_each, backend=sys.argv[1])))
