"""Hamilton's async driver."""

from __future__ import annotations

import logging
from typing import Any

from hamilton import ad_hoc_utils, async_driver

from benchmarks.measure import Call
from benchmarks.shapes import Shape, statement, with_names_only

NAME = "Hamilton"
logging.getLogger("hamilton").setLevel(logging.CRITICAL)  # it advertises a chat room when a run fails


async def build(shape: Shape, work: str) -> Call:
    functions = with_names_only(shape, statement(work, "asyncio"))
    module = ad_hoc_utils.create_temporary_module(*functions.each, functions.target)
    driver = await async_driver.Builder().with_modules(module).build()

    async def run() -> Any:
        return (await driver.execute(["target"]))["target"]

    return run
