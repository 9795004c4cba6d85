"""Serving: signals stop a server in order, and what is wrong is told before or instead of serving."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from starlette.applications import Starlette

from dagflow import SQLiteStore
from dagflow.testing import assert_no_leaks
from dagflow.web.asgi import Receive, Scope, Send, send_answer
from dagflow.web.serving import run_server, serve
from dagflow.web.sockets import cut_connections, listen, url_of
from web import stopping
from web.served import KINDS, Client, Kind, ask, environment, serving

PROGRAM = Path(__file__).with_name("stopping.py")


@pytest.fixture(params=KINDS, ids=str)
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    return found


@pytest.fixture
def anyio_backend(kind: Kind) -> str:
    return kind.backend


async def plain(scope: Scope, receive: Receive, send: Send) -> None:
    """An app that knows no lifespan."""
    assert scope["type"] == "http"
    await send_answer(scope, send, 200, '"fine"')


class Program:
    """The server of its own process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    async def line(self) -> str:
        assert self.process.stdout is not None
        return str(await anyio.to_thread.run_sync(self.process.stdout.readline)).strip()

    async def end(self) -> tuple[int, str, str]:
        output, errors = await anyio.to_thread.run_sync(self.process.communicate)
        return self.process.returncode, output, errors


@contextmanager
def program(kind: Kind, store: Path, how: str = "orderly") -> Iterator[Program]:
    command = [sys.executable, "-W", "error", str(PROGRAM), kind.server, kind.backend, str(store), how]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())
    with process:
        try:
            yield Program(process)
        finally:
            process.kill()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_the_runs_and_then_the_server(kind: Kind, number: int, tmp_path: Path) -> None:
    """The run is cleaned up and recorded, its client is told, the program leaves with 0; the run can be resumed."""
    store = tmp_path / "runs.db"
    with program(kind, store) as server:
        url = await server.line()
        async with Client(int(url.rpartition(":")[2])) as client:
            await client.ask()
            while '"Second#1"' not in (await client.event()).data:
                pass
            server.process.send_signal(number)
            while (event := await client.event()).event != "end":
                pass
        assert '{"outcome":"cancelled"}' == event.data
        status, output, errors = await server.end()
        assert (0, ["stopping", "cleaned up"]) == (status, output.split("\n")[:-1])
        assert [] == [line for line in errors.splitlines() if "without Lifespan support" not in line]
    thread = stopping.graph.thread("t", store=SQLiteStore(store))
    summary = await thread.summary()
    assert ("cancelled", False) == (summary.status, summary.leased)
    result = await stopping.graph.resume("t", store=SQLiteStore(store))
    assert ("complete", 2) == (result.status, len(result.trace))


@pytest.mark.slow
async def test_a_second_signal_ends_the_waiting(kind: Kind, tmp_path: Path) -> None:
    """Whoever insists does not wait for what does not end; the status says that it was cut short."""
    with program(kind, tmp_path / "runs.db", "stubborn") as server:
        await server.line()
        server.process.send_signal(signal.SIGTERM)
        assert "stopping" == await server.line()
        server.process.send_signal(signal.SIGTERM)
        status, output, _ = await server.end()
    assert (1, "") == (status, output)


@pytest.mark.parametrize("fails", [False, True])
async def test_a_cancelled_server_stops_in_order(kind: Kind, fails: bool) -> None:
    """What is to be done on stopping is done while requests are answered; the port is free; its failure is told."""
    seen: list[Any] = []

    async def stop() -> None:
        seen.append((await ask(port)).status)
        if fails:
            raise LookupError("not found")

    async with assert_no_leaks():
        try:
            async with serving(plain, kind, on_stop=stop) as port:
                assert "fine" == (await ask(port)).json
        except* LookupError:
            seen.append("failed")
    assert ([200, "failed"] if fails else [200]) == seen
    with pytest.raises(ConnectionRefusedError):
        await ask(port)


async def test_what_takes_too_long_on_stopping_is_cut_short(kind: Kind) -> None:
    """The server stops all the same, and its status says so."""
    statuses = []

    async def run() -> None:
        statuses.append(await serve(plain, port=0, server=kind.server, on_stop=anyio.sleep_forever, grace=0.01))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(run)
            await anyio.sleep(0.05)
            os.kill(os.getpid(), signal.SIGTERM)
    assert [1] == statuses


async def test_an_app_that_does_not_start_is_told(kind: Kind, caplog: pytest.LogCaptureFixture) -> None:
    """The error says why, and nothing is left of the server."""

    async def broken(app: Starlette) -> Any:
        raise LookupError("no configuration")
        yield

    started: list[str] = []
    app = Starlette(lifespan=asynccontextmanager(broken))
    async with assert_no_leaks():
        with pytest.raises(RuntimeError, match="the app did not start: LookupError: no configuration"):
            await serve(app, port=0, server=kind.server, on_start=started.append)
    assert [] == started


async def test_a_server_tells_once_it_has_started(kind: Kind) -> None:
    """The URL is told when the lifespan has begun, and requests are answered then."""
    order: list[str] = []

    @asynccontextmanager
    async def lifespan(app: Starlette) -> Any:
        order.append("begins")
        yield
        order.append("ends")

    urls: list[str] = []

    def start(url: str) -> None:
        order.append("starts")
        urls.append(url)

    async with anyio.create_task_group() as group:

        async def run() -> None:
            await serve(Starlette(lifespan=lifespan), host="localhost", port=0, server=kind.server, on_start=start)

        group.start_soon(run)
        with anyio.fail_after(5):
            while not urls:  # noqa: ASYNC110  # nothing else tells
                await anyio.sleep(0.001)
        assert urls[0].startswith("http://127.0.0.1:")
        assert 404 == (await ask(int(urls[0].rpartition(":")[2]))).status
        group.cancel_scope.cancel()
    assert ["begins", "starts", "ends"] == order


async def test_an_address_that_cannot_be_had(kind: Kind) -> None:
    """A port that is taken, and a host that is not ours, are named by the error."""
    with await listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"cannot listen at 127.0.0.1, port {port}: Address already in use"):
            await serve(plain, port=port, server=kind.server)
    with pytest.raises(OSError, match="cannot listen at 192.0.2.1, port 0"):
        await serve(plain, host="192.0.2.1", port=0, server=kind.server)


async def test_connections_are_cut_by_the_port_that_took_them(kind: Kind) -> None:
    """Only what was accepted there is shut down: neither the listener, nor the client's end, nor another server's."""
    with await listen("::1", 0) as listener, await listen("127.0.0.1", 0) as other:
        assert url_of(listener).startswith("http://[::1]:")
        pairs = []
        for server in (listener, other):
            client = socket.socket(server.family)
            client.connect(server.getsockname())
            await anyio.wait_readable(server)
            pairs.append((client, server.accept()[0]))
        port = listener.getsockname()[1]
        assert 1 == await anyio.to_thread.run_sync(cut_connections, port)
        assert 0 == await anyio.to_thread.run_sync(cut_connections, 1)
        (client, accepted), (other_client, other_accepted) = pairs
        await anyio.wait_readable(client)
        assert b"" == client.recv(1)
        other_client.send(b"x")
        await anyio.wait_readable(other_accepted)
        assert b"x" == other_accepted.recv(1)
        for end in (client, accepted, other_client, other_accepted):
            end.close()


async def test_servers_that_do_not_go_with_the_event_loop(kind: Kind) -> None:
    """What cannot be served is refused before anything is opened."""
    with pytest.raises(ValueError, match="must be 'uvicorn' or 'hypercorn', not 'gunicorn'"):
        await serve(plain, server="gunicorn")  # type: ignore[arg-type]  # that is the point
    if kind.backend == "trio":
        with pytest.raises(ValueError, match="uvicorn runs on asyncio only; use server='hypercorn' on trio"):
            await serve(plain, server="uvicorn")
    with pytest.raises(RuntimeError, match="await serve"):
        run_server(plain)


@pytest.mark.slow
def test_what_is_not_installed_is_named() -> None:
    """Without the extra, streams and limits can be used, and the rest says what to install."""
    block = "import sys; sys.modules.update(dict.fromkeys(['uvicorn', 'hypercorn', 'starlette', 'fastapi']))"
    use = "import dagflow.web.streaming, dagflow.web.answering, dagflow.web.limits, dagflow.web.slots"
    subprocess.run([sys.executable, "-c", f"{block}; {use}"], check=True)
    for code, needed in {
        "from dagflow.web.serving import run_server; run_server(print)": "serving on asyncio needs hypercorn",
        "from dagflow.web.serving import run_server; run_server(print, backend='trio')": "trio needs hypercorn",
        "import dagflow.web.responses": "dagflow.web.responses needs starlette",
    }.items():
        told = subprocess.run([sys.executable, "-c", f"{block}; {code}"], capture_output=True, text=True).stderr
        assert f"{needed}: pip install 'dagflow[web]'" in told
