"""A pipeline whose plug-ins a configuration file names: as a program, and as a target of the command line."""

from __future__ import annotations

import json
import sys
from typing import Any

import anyio

# Installed where this runs.
from acme_dagflow import ShoutTask  # type: ignore[import-not-found]
from dagflow import Catalog, Pipeline, PythonTask


def greet(token: str, name: str) -> str:
    assert "acme-s3cret" == token
    if name == "nobody":
        raise ValueError("nobody is there")
    return f"hello {name}"


pipeline = Pipeline(
    [
        PythonTask(greet, returns=["word"], secrets={"token": "TOKEN"}, catalog=Catalog(put=["*.txt"])),
        ShoutTask(word="word", name="shout", returns=["shouted"]),
    ],
)


async def execute() -> dict[str, Any]:
    result = await pipeline.execute(configuration_file="dagflow.yaml", parameters={"name": "ada"}, run_id="r1")
    return {"shouted": result.parameters["shouted"], "put": [file["path"] for file in result.log.steps[0].files["put"]]}


if __name__ == "__main__":
    print(json.dumps(anyio.run(execute, backend=sys.argv[1])))
