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
a node that follows itself (with a thousand nodes of their own LangGraph takes twice the time a node). At once: a node that
leads to a hundred, and one that joins them; LangGraph's add to one key with a reducer, and ours each write a key of their
own. `sync` has a node's record in the store before anything follows from it, in both engines.

SQLite is a file on a disk, in WAL mode and with `synchronous=FULL`, for both: that is what LangGraph's `AsyncSqliteSaver`
gets (it sets WAL itself, and FULL is SQLite's default; checked while it runs). On `tmpfs` the same without what the disk
takes: the rest is the engines' own. Redis is a server on a Unix socket with `appendfsync always`. LangGraph's saver for
Redis needs a server with modules, and pydantic-graph keeps nothing: it stands here for scale.

Bytes: the file after VACUUM, by node. What carries a text of 10,000 characters along unchanged has it once with us.
Nodes of their own: LangGraph writes down, with each step, what every node has seen.

Resume: the journal lacks the last node; opening the store, reading, replaying and running that node are counted in.
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
        url = None if missing else stack.enter_context(RedisServer(aof="always")).url
        places = durable_times.Places(disk, tmpfs, url)
        tables, verdicts = durable_times.measure(places, turns=turns, width=width, repeats=repeats)
        sizes, longest = ((20, 100), 1_000) if short else ((100, 1_000), 10_000)
        stored, judged = durable_bytes.measure(tmpfs or disk, sizes=sizes, longest=longest)
        nodes = 2_000 if short else 10_000
        resumed, in_time = durable_resume.measure(disk, url, nodes=nodes, repeats=repeats)
    text = f"{TEXT}\nNot measured on Redis: {missing}.\n" if missing else TEXT
    return Section("Durable runs", text, [*tables, stored, *resumed], [*verdicts, *judged, *in_time])
