"""The web service of the examples, started as its docstring says, and driven from outside."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path
from textwrap import dedent
from typing import Any

import httpx
import pytest

from cli.cli_program import Program
from dagflow.core.sse import ServerSentEvent, SSEParser

pytestmark = [pytest.mark.slow, pytest.mark.one_backend("each server has its own event loop")]

ROOT = Path(__file__).parents[2]
PATIENCE = 20
CLEAR = "It crashes on save. The log is empty."
ADVICE = "2 causes: “It crashes on save.” points to a lost write; “The log is empty.” is a symptom"
SERVERS = {
    "uvicorn on asyncio": ("uvicorn", "--port", "0", "examples.fastapi_app:app"),
    "hypercorn on trio": ("hypercorn", "-k", "trio", "--bind", "127.0.0.1:0", "examples.fastapi_app:app"),
}

SLOW_PROGRAM = '''
    """The service with a language model that never answers; whether it is asked, and was left, is in a file."""

    import os
    from pathlib import Path

    import anyio

    from dagflow import BaseLM, LMRequest, LMResponse
    from examples import fastapi_app


    class Never(BaseLM):
        async def complete(self, request: LMRequest) -> LMResponse:
            asked = Path(os.environ["ASKED"])
            asked.write_text("asked")
            try:
                await anyio.sleep_forever()
            finally:
                asked.write_text("left")
            raise AssertionError("it goes on")


    fastapi_app.language_model = lambda environment: Never()
    app = fastapi_app.make_app(os.environ)
'''


@contextmanager
def served(command: tuple[str, ...], environment: Mapping[str, str]) -> Iterator[str]:
    """Serve in a process of its own, on a port that is free; gives the URL. It leaves in order when it is asked to."""
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
        start_new_session=True,  # hypercorn serves from a child of its own, which a kill of the parent would leave
    )
    with process:
        program = Program(process)
        try:
            program.stderr.wait_for("unning on http")
            text = "".join(program.stderr.lines)
            found = re.search(r"http://[\d.]+:\d+", text)
            assert found, text
            yield found.group()
            program.send_signal(signal.SIGTERM)
            told = program.finish()
            assert "Traceback" not in told.stderr
            assert "ERROR" not in told.stderr
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture(params=SERVERS)
def command(request: pytest.FixtureRequest) -> tuple[str, ...]:
    found: tuple[str, ...] = SERVERS[request.param]
    return found


def stream(client: httpx.Client, path: str, **request: Any) -> list[ServerSentEvent]:
    """All events that a request is answered with."""
    parser = SSEParser()
    found: list[ServerSentEvent] = []
    with client.stream("POST", path, **request) as answer:
        assert 200 == answer.status_code, answer.read()
        for data in answer.iter_raw():
            found += parser.feed(data)
    return found


def test_the_service_asks_is_answered_and_streams(command: tuple[str, ...], tmp_path: Path) -> None:
    """A message is asked about, the next one answers; streams tell every event; runs without a thread; health."""
    environment = {"TRIAGE_STORE": str(tmp_path / "triage.db")}
    with served(command, environment) as url, httpx.Client(base_url=url, timeout=PATIENCE) as client:
        assert {"status": "ok", "graph": "triage", "running": 0, "max_runs": 50} == client.get("/health").json()
        asked = client.post("/message", json={"session_id": "me", "message": "It crashes."}).json()
        assert ("Tell me more about “It crashes.”.", False) == (asked["response"], asked["complete"])
        done = client.post("/message", json={"session_id": "me", "message": CLEAR}).json()
        assert (ADVICE, True, "complete") == (done["response"], done["complete"], done["status"])

        events = stream(client, "/message/stream", json={"session_id": "you", "message": CLEAR})
        assert {"NodeStarted", "LMCalled", "NodeSucceeded", "RunEnded"} <= {event.event for event in events}
        assert ["result", "end"] == [event.event for event in events[-2:]]
        assert ADVICE == client.get("/runs/you").json()["state"]["advice"]

        assert ADVICE == client.post("/triage", params={"ticket": CLEAR}).json()["state"]["advice"]
        assert "end" == stream(client, "/triage/stream", params={"ticket": CLEAR})[-1].event
        assert "/triage/stream" in client.get("/openapi.json").json()["paths"]


@pytest.mark.parametrize("path", ["/message/stream", "/message", "/triage/stream?ticket=a", "/triage?ticket=a"])
def test_a_client_that_hangs_up_ends_its_run(command: tuple[str, ...], path: str, tmp_path: Path) -> None:
    """The language model is left at once, no run is counted any more, and what is recorded says it was cancelled."""
    (tmp_path / "never.py").write_text(dedent(SLOW_PROGRAM), encoding="utf-8")
    asked = tmp_path / "asked"
    environment = {"TRIAGE_STORE": str(tmp_path / "t.db"), "ASKED": str(asked), "PYTHONPATH": str(tmp_path)}
    program = (*command[:-1], "never:app")
    with served(program, environment) as url, httpx.Client(base_url=url, timeout=PATIENCE) as client:
        connection = HTTPConnection(url.removeprefix("http://"))
        body = json.dumps({"session_id": "me", "message": CLEAR})
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        wait_until(lambda: asked.exists() and asked.read_text() == "asked")
        connection.close()
        wait_until(lambda: asked.read_text() == "left")
        wait_until(lambda: client.get("/health").json()["running"] == 0)
        if path.startswith("/message"):
            assert "cancelled" == client.get("/runs/me").json()["status"]


def wait_until(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.01)


def test_a_token_is_needed_where_one_is_set(tmp_path: Path) -> None:
    """`TRIAGE_TOKEN` guards every path but `/health`."""
    environment = {"TRIAGE_STORE": str(tmp_path / "triage.db"), "TRIAGE_TOKEN": "s3cret-token"}
    with served(SERVERS["uvicorn on asyncio"], environment) as url, httpx.Client(base_url=url) as client:
        body = {"session_id": "me", "message": "It crashes."}
        assert 401 == client.post("/message", json=body).status_code
        assert 200 == client.post("/message", json=body, headers={"Authorization": "Bearer s3cret-token"}).status_code
        assert 200 == client.get("/health").status_code
