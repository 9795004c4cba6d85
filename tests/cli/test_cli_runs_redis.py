"""Recorded runs on the command line, with a real Redis server as the store."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.cli_program import CommandLine
from dagflow.testing.redis_server import RedisServer

pytestmark = pytest.mark.slow
on_both = pytest.mark.parametrize("backend", ["asyncio", "trio"])
PASSWORD = "s3cret"


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    if reason := RedisServer.missing():
        pytest.skip(reason)
    with RedisServer(tcp=True, password=PASSWORD) as server:
        yield server


@on_both
def test_a_run_is_listed_shown_answered_and_followed(backend: str, server: RedisServer) -> None:
    """What works on a file works on a server: run, list, show, tail, resume, fork, delete; no password is told."""
    dagflow = CommandLine(server.url)
    name = f"t-{backend}"
    asked = dagflow.process("run", "cli_orders:orders", "--thread", name, "--backend", backend, status=3)
    shown = dagflow("runs", "show", name)
    tailed = dagflow("runs", "tail", name, status=3)
    listed = dagflow("runs", "list", "--json").json
    assert "interrupted" == {thread["thread_id"]: thread["status"] for thread in listed}[name]
    command = shlex.split(asked.told[2].replace('"..."', '"L"'))
    answered = dagflow.process(*command[1:])
    assert {"text": "hat L for 20"} == answered.json
    dagflow("runs", "fork", name, "--at", "8", "--to", f"{name}-fork")
    assert f"{name}\n{name}-fork\n" == dagflow("runs", "delete", name, f"{name}-fork", "--yes").stdout
    assert PASSWORD not in "".join(done.stdout + done.stderr for done in (asked, shown, tailed, answered))


@on_both
def test_a_run_is_followed_while_it_works(backend: str, server: RedisServer, tmp_path: Path) -> None:
    """From another process, each event of a run comes once, up to its last."""
    dagflow = CommandLine(server.url)
    gate, name = tmp_path / "gate", f"slow-{backend}"
    given = json.dumps({"gate": str(gate)})
    with dagflow.started("run", "cli_orders:slow", "--thread", name, "-i", given, "--backend", backend) as running:
        running.stderr.wait_for("Slow#5 started")
        with dagflow.started("runs", "tail", name, "--events", "jsonl") as following:
            following.stdout.wait_for("NodeSucceeded", times=20)
            gate.touch()
            assert 0 == running.finish().status
            done = following.finish()
    assert (0, "") == (done.status, done.stderr)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    records = dagflow("runs", "show", name, "--json").json["records"]
    assert list(range(1, records + 1)) == [event["seq"] for event in events]


def test_a_server_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """A server that cannot be reached is told in a line, with status 1."""
    done = CommandLine(f"unix://{tmp_path}/none.sock")("runs", "list", status=1)
    assert re.fullmatch(r"error: .*none\.sock.*\n", done.stderr)


def test_a_wrong_password_is_an_error(server: RedisServer) -> None:
    """A password that is wrong is told with status 1, and not shown."""
    done = CommandLine(server.url.replace(PASSWORD, "wr0ng"))("runs", "list", status=1)
    assert done.stderr.startswith("error: ")
    assert "wr0ng" not in done.stderr
