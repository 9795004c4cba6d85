"""Count the runs that go on after their client has hung up, of dagflow and of LangGraph, behind the same server."""

from __future__ import annotations

import json
import random
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from urllib.request import urlopen

from benchmarks import rivals_langgraph
from benchmarks.section import Section, Table, Verdict

LATEST = 0.1
"""Seconds after a client has hung up within which a node may still start."""

AT_ONCE = 5
LONGEST = 0.3
PATIENCE = 20
SETTLED = 1.0
ENGINES = {
    "dagflow": "dagflow",
    "langgraph": rivals_langgraph.NAME,
    "langgraph-subgraphs": f"{rivals_langgraph.NAME}, subgraphs=True",
}
STALLED = 20_000
"""Characters that a node writes where a client does not read: it takes few to fill the buffers of a connection."""

WAYS = {"reads": (0, "reads"), "stalled": (STALLED, "has stopped reading")}
"""What each node writes, and what the client does until it hangs up."""

TEXT = """\
A server-sent event stream of an endless run under uvicorn, in a process of its own: dagflow's `EventStreamResponse`,
and LangGraph's `compiled.astream(...)` in a `StreamingResponse` of Starlette, over the same graph: in each round, two
branches at once, each a graph of a hundred nodes that sleep 20 ms. dagflow streams the events of those too, LangGraph
does with `subgraphs=True`. A client stays for up to 0.3 s, then closes its socket, half of them with an RST;
five are there at once. Every node notes when it starts. Counted are the runs in which one started more than 100 ms
after its client had closed; what starts later than a second after the last client has left is not seen.
"""


def measure(*, short: bool) -> Section:
    clients = 10 if short else 50
    rows, verdicts = [], []
    for engine, name in ENGINES.items():
        with _served(engine) as port:
            for way, (_, told) in WAYS.items():
                late, latest, after = _hang_ups(port, way, clients)
                rows.append([name, told, str(clients), str(late), str(after), f"{latest * 1000:.1f}"])
                if engine == "dagflow":
                    claim = f"runs that go on after their client hung up, which {told}"
                    verdicts.append(Verdict(claim, f"{late} of {clients}", "0", late == 0))
    header = ["engine", "the client", "clients", "runs that went on", "nodes started after 100 ms", "latest start, ms"]
    return Section("Clients that hang up", TEXT, [Table(header, rows)], verdicts)


def _hang_ups(port: int, way: str, clients: int) -> tuple[int, float, int]:
    """Let clients come and go; gives the runs that went on, the latest start in seconds, and the starts too late."""
    generator = random.Random(way)
    first = len(_starts(port))
    base = list(WAYS).index(way) * 1000
    with ThreadPoolExecutor(AT_ONCE) as pool:
        visits = [(port, way, base + number, generator.uniform(0.02, LONGEST)) for number in range(clients)]
        left = dict(pool.map(lambda visit: _visit(*visit), visits))
    time.sleep(SETTLED)
    starts = _starts(port)[first:]
    begun = {run for run, _ in starts}
    if not begun >= left.keys():
        raise RuntimeError(f"{len(left.keys() - begun)} runs never began")
    delays = [(run, (moment - left[run]) / 1e9) for run, moment in starts if run in left]
    late = [(run, delay) for run, delay in delays if delay > LATEST]
    return len({run for run, _ in late}), max([0.0, *(delay for _, delay in delays)]), len(late)


def _visit(port: int, way: str, run: int, seconds: float) -> tuple[int, int]:
    """Read a stream for a while and hang up; gives the run and when that was."""
    size, _ = WAYS[way]
    stalls = size > 0
    with socket.socket() as connection:
        connection.settimeout(PATIENCE)
        if stalls:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", port))
        connection.sendall(f"GET /stream/{run}?size={size} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
        if not connection.recv(65536).startswith(b"HTTP/1.1 200"):
            raise RuntimeError("the server refused")
        until = time.monotonic() + seconds
        if stalls:
            time.sleep(seconds)
        while time.monotonic() < until:
            if not connection.recv(65536):
                raise RuntimeError("the stream ended")
        if run % 2:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        left = time.monotonic_ns()
    return run, left


def _starts(port: int) -> list[tuple[int, int]]:
    with urlopen(f"http://127.0.0.1:{port}/starts", timeout=PATIENCE) as answer:
        return [(run, moment) for run, moment in json.load(answer)]


@contextmanager
def _served(engine: str) -> Iterator[int]:
    command = [sys.executable, "-m", "benchmarks.hangup_server", engine]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            assert server.stdout is not None
            url = server.stdout.readline().strip()
            if not url:
                raise RuntimeError(f"the server of {engine} did not start")
            port = int(url.rpartition(":")[2])
            _await_server(port)
            yield port
        finally:
            server.kill()


def _await_server(port: int) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except ConnectionRefusedError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)


if __name__ == "__main__":
    from benchmarks.report import markdown

    began = time.perf_counter()
    section = measure(short="--short" in sys.argv)
    print(section.text, *map(markdown, section.tables), sep="\n")
    for verdict in section.verdicts:
        print(f"{verdict.word:6}  {verdict.claim}: {verdict.measured} ({verdict.target})")
    print(f"{time.perf_counter() - began:.0f} s")
