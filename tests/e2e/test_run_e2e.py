"""The end-to-end tests themselves: they run against servers and a program of ours, and say what they skipped."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import anyio.from_thread
import pytest

from dagflow.testing import LMServer
from e2e.made_up_answers import install_claude, made_up_answer

ROOT = Path(__file__).parents[2]
KEY = "sk-canary-5d1c0f9e8b7a6d43"
PATIENCE = 120
"""Seconds after which a run of the tests is taken to hang."""

pytestmark = [pytest.mark.slow, pytest.mark.one_backend("a process, which runs its tests on both")]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A server that speaks both protocols, in a thread of its own."""
    with (
        anyio.from_thread.start_blocking_portal() as portal,
        portal.wrap_async_context_manager(LMServer(made_up_answer, api_key=KEY)) as server,
    ):
        yield server.url


def run_pytest(folder: Path, *options: str, **environment: str) -> tuple[int, str]:
    """Run the tests of real services with nothing in the environment but what is given; `folder` is the PATH."""
    found = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "-m", "e2e", "tests/e2e", *options],
        cwd=ROOT,
        # DSPy's prices come with it; the newest would come from the net.
        env={"PATH": str(folder), "HOME": str(folder), "LITELLM_LOCAL_MODEL_COST_MAP": "True", **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert KEY not in found.stdout + found.stderr
    return found.returncode, found.stdout


def told(stdout: str) -> dict[str, str]:
    """What the summary says of each service."""
    section = (
        stdout.partition("end-to-end tests against real services")[2].partition("=====\n")[2].partition("=====")[0]
    )
    return dict(line.split(": ", 1) for line in section.splitlines() if ": " in line)


def test_what_is_there_runs_and_the_rest_is_told(url: str, tmp_path: Path) -> None:
    """With a server alone, its tests pass on both event loops, and the summary says what the others would need."""
    environment = {
        "DAGFLOW_E2E_OPENAI_BASE_URL": f"{url}/v1",
        "DAGFLOW_E2E_OPENAI_MODEL": "local",
        "DAGFLOW_E2E_OPENAI_API_KEY": KEY,
    }
    status, stdout = run_pytest(tmp_path, "--run-e2e", **environment)
    assert 0 == status, stdout
    assert {
        "OpenAIBackend, a compatible server": f"10 passed (local at {url.removeprefix('http://')})",
        "OpenAIBackend, OpenAI": "10 skipped (set OPENAI_API_KEY, and OPENAI_MODEL if it is not to be gpt-5-mini)",
        "AnthropicBackend": "10 skipped (set ANTHROPIC_API_KEY, and ANTHROPIC_MODEL if it is not to be "
        "claude-haiku-4-5)",
        "ClaudeCLIBackend": "8 skipped (put the program `claude` on the PATH, and log in with it)",
        "PydanticAIBackend": "10 skipped (set OPENAI_API_KEY or ANTHROPIC_API_KEY)",
        "DSPyBackend": "6 skipped (set OPENAI_API_KEY or ANTHROPIC_API_KEY)",
    } == told(stdout)


def test_every_service_can_pass(url: str, tmp_path: Path) -> None:
    """With keys, a server and a program, all of the tests pass; nothing is skipped."""
    install_claude(tmp_path)
    environment = {
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": f"{url}/v1",
        "ANTHROPIC_API_KEY": KEY,
        "ANTHROPIC_BASE_URL": url,
        "DAGFLOW_E2E_OPENAI_BASE_URL": f"{url}/v1",
        "DAGFLOW_E2E_OPENAI_MODEL": "local",
        "DAGFLOW_E2E_OPENAI_API_KEY": KEY,
        "DAGFLOW_NO_SKIPS": "1",
    }
    status, stdout = run_pytest(tmp_path, "--run-e2e", **environment)
    assert 0 == status, stdout
    assert 6 == len(told(stdout))
    assert all(re.match(r"\d+ passed \(", line) for line in told(stdout).values()), stdout


def test_a_service_that_fails_is_told(url: str, tmp_path: Path) -> None:
    """A key that is refused fails the tests, and the summary says of which service."""
    environment = {"OPENAI_API_KEY": "sk-wrong", "OPENAI_BASE_URL": f"{url}/v1"}
    status, stdout = run_pytest(tmp_path, "--run-e2e", "-k", "fills and OpenAI", **environment)
    assert 1 == status, stdout
    assert "answered 401" in stdout
    assert told(stdout)["OpenAIBackend, OpenAI"].startswith("2 failed (gpt-5-mini at ")


def test_without_the_flag_nothing_is_asked(url: str, tmp_path: Path) -> None:
    """Without `--run-e2e` the tests are left out, whatever keys there are; none is skipped."""
    status, stdout = run_pytest(tmp_path, OPENAI_API_KEY=KEY, OPENAI_BASE_URL=f"{url}/v1", DAGFLOW_NO_SKIPS="1")
    assert pytest.ExitCode.NO_TESTS_COLLECTED == status, stdout
    assert re.search(r"\d+ deselected in", stdout)
    assert "skipped" not in stdout
    assert "real services" not in stdout
