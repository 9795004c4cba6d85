"""Measure runs that are recorded, beside LangGraph with its checkpointers: time, bytes, and going on."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import durable_bytes, durable_resume, durable_times
from benchmarks.section import Section
from dagflow.testing.redis_server import RedisServer

SHARED_MEMORY = Path("/dev/shm")
TEXT = """\
Runs of no-op nodes that carry a text of 200 characters along, each on a store that is new and open. One after another:
a node that follows itself (with a thousand nodes of their own, LangGraph takes two or three times as long a node). At
once: a node that leads to a hundred, and one that joins them; LangGraph's add to one key with a reducer, and ours
each write a key of their own. With `sync`, in both engines, a node is in the store before anything follows from it.

SQLite is a file on a disk, in WAL mode and with `synchronous=FULL`, for both: that is what LangGraph's
`AsyncSqliteSaver` has (it sets WAL itself, and FULL is SQLite's default; checked at each run). On tmpfs it is the same
without what the disk takes. Redis is a server on a Unix socket with `appendfsync always`; LangGraph's saver for Redis
needs a server with modules. pydantic-graph keeps nothing, and stands here for scale.

Bytes are those of the file after `VACUUM`, by node; `records and values` is what was handed to it. LangGraph runs with
`sync`, where it keeps every step. With nodes of their own it writes down, at each step, what every node has seen.

Resume goes on with a journal that lacks its last node: opening the store, reading and replaying it, and running that
node, with the result typed.
"""


def measure(*, short: bool) -> Section:
    repeats = 3 if short else 7
    turns, width = (100, 100) if short else (1_000, 100)
    with ExitStack() as stack:
        disk = Path(stack.enter_context(TemporaryDirectory(prefix="dagflow-bench-")))
        tmpfs = None
        if SHARED_MEMORY.is_dir():
            tmpfs = Path(stack.enter_context(TemporaryDirectory(prefix="dagflow-bench-", dir=SHARED_MEMORY)))
        missing = RedisServer.missing()
        url = None
        if missing is None:
            (disk / "redis").mkdir()
            url = stack.enter_context(RedisServer(disk / "redis", aof="always")).url
        places = durable_times.Places(disk, tmpfs, url)
        tables, verdicts = durable_times.measure(places, turns=turns, width=width, repeats=repeats)
        sizes, longest = ((20, 100), 1_000) if short else ((100, 1_000), 10_000)
        stored, judged = durable_bytes.measure(tmpfs or disk, sizes=sizes, longest=longest)
        nodes = 2_000 if short else 10_000
        resumed, in_time = durable_resume.measure(disk, url, nodes=nodes, repeats=repeats)
    text = f"{TEXT}\nNot measured on Redis: {missing}.\n" if missing else TEXT
    return Section("Durable runs", text, [*tables, stored, *resumed], [*verdicts, *judged, *in_time])
