"""`dagflow run --lm`: real adapters against a local server and program, and what is told where they cannot be asked."""

import io
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio.from_thread
import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from dagflow.cli.app import app
from dagflow.cli.display import describe_event
from dagflow.cli.live import LiveTree
from dagflow.events import Event, LMCalled, NodeStarted, Token
from dagflow.testing import LMServer, Reply
from dagflow.types import Usage
from e2e.made_up_answers import install_claude, made_up_answer

OOTD = str(Path(__file__).parents[2] / "examples" / "ootd.py")
MODELS = str(Path(__file__).parent / "graphs" / "cli_models.py")
KEY = "sk-canary-2b4d6f8a0c1e3579"
OUTFIT = {"weather", "agenda", "top", "bottom", "shoes", "extras", "reason"}

pytestmark = [
    # What libraries do when they are imported, and no business of ours.
    pytest.mark.filterwarnings("ignore::DeprecationWarning:litellm"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:pydantic"),
    # The SDKs leave what they do not read of a stream to the garbage collector, and trio tells of it.
    pytest.mark.filterwarnings(
        r"ignore:Async generator '(openai|anthropic|pydantic_ai|httpx2|httpcore2)\.:ResourceWarning"
    ),
]
on_both = pytest.mark.parametrize("backend", ["asyncio", "trio"])


@pytest.fixture(autouse=True)
def _own_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """What the command line finds: keys, nothing on the PATH; its targets are forgotten at the end."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # or DSPy would load prices from the net
    before, known = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = before
    for name in set(sys.modules) - known:
        if name in ("ootd", "cli_models"):
            del sys.modules[name]


@contextmanager
def serving(script: Any) -> Iterator[LMServer]:
    """A server in a thread of its own, because the command line has the event loop of this one."""
    with (
        anyio.from_thread.start_blocking_portal() as portal,
        portal.wrap_async_context_manager(LMServer(script, api_key=KEY)) as server,
    ):
        yield server


def dagflow(*arguments: str) -> Result:
    """Run the command line; whatever comes of it, the key is not told."""
    result = CliRunner().invoke(app, list(arguments))
    assert KEY not in result.output
    return result


def ask(*options: str) -> Result:
    return dagflow("run", MODELS, "-i", '{"question": "?"}', *options)


def refused(*options: str, status: int = 2) -> str:
    """Run a command line that cannot work; what it says at its end comes back."""
    result = ask(*options)
    assert (status, "") == (result.exit_code, result.stdout), result.output
    assert "Traceback" not in result.stderr
    assert result.stderr.count("error: ") >= 1
    return result.stderr[result.stderr.rindex("\nerror: ") + 1 :] if "\nerror: " in result.stderr else result.stderr


class TestRuns:
    @on_both
    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("spec", "path", "streams"),
        [
            ("openai:gpt-5-mini", "/v1", True),
            ("anthropic:claude-haiku-4-5", "", True),
            ("pydantic-ai:openai-chat:gpt-5-mini", "/v1", True),
            ("dspy:openai/gpt-5-mini", "/v1", False),
        ],
    )
    def test_the_example_with_a_server(self, spec: str, path: str, streams: bool, backend: str) -> None:
        """The example is run with a model at a URL: typed JSON on standard output, what it used on standard error."""
        with serving(made_up_answer) as server:
            url = f"{server.url}{path}"
            given = ("-i", '{"message": "Off to work"}', "--lm", spec, "--base-url", url, "--backend", backend)
            result = dagflow("run", OOTD, *given)
            assert 0 == result.exit_code, result.output
            found = json.loads(result.stdout)
            assert set(found) == OUTFIT
            assert ("Reykjavik", "x", ["x"]) == (found["weather"]["city"], found["top"], found["extras"])
            assert f"language model: {spec}\n" in result.stderr
            assert "language model: 2 requests, 20 tokens in, 10 out" in result.stderr
            assert [streams] * 2 == [request.streamed for request in server.requests]
            assert all(KEY in str(dict(request.headers)) for request in server.requests)

    @on_both
    @pytest.mark.slow
    def test_the_example_with_a_program(self, backend: str, tmp_path: Path) -> None:
        """`--lm claude-cli` finds the program on the PATH, and its cost is told."""
        install_claude(tmp_path)
        result = dagflow("run", OOTD, "-i", '{"message": "Off"}', "--lm", "claude-cli", "--backend", backend)
        assert 0 == result.exit_code, result.output
        assert OUTFIT == set(json.loads(result.stdout))
        assert "language model: 2 requests, 250 tokens in, 14 out, $0.0250\n" in result.stderr

    def test_what_a_server_charges_is_told(self) -> None:
        """The cost that a server states is told, also where no price is known here."""
        chunks: list[dict[str, Any]] = [
            {"choices": [{"index": 0, "delta": {"content": '{"text": "hi"}'}, "finish_reason": "stop"}]},
            {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "cost": 0.0125}},
        ]
        stream = [f"data: {json.dumps({'model': 'm', **chunk})}\n\n".encode() for chunk in chunks]
        with serving(Reply.raw(200, [*stream, b"data: [DONE]\n\n"], content_type="text/event-stream")) as server:
            result = ask("--lm", "openai:m", "--base-url", f"{server.url}/v1")
        assert {"text": "hi"} == {"text": json.loads(result.stdout)["text"]}
        assert "language model: 1 request, 3 tokens in, 2 out, $0.0125\n" in result.stderr


class TestProgress:
    def test_tokens_are_no_lines_for_people(self) -> None:
        """Standard error has a line for an answer, and none for each of its pieces."""
        with serving({"text": "a long answer"}) as server:
            result = ask("--lm", "openai:m", "--base-url", f"{server.url}/v1")
        assert 1 == sum("m answered (fill)" in line for line in result.stderr.splitlines())
        assert "a long" not in result.stderr

    @on_both
    def test_tokens_are_lines_for_machines(self, backend: str) -> None:
        """With `--events jsonl` every piece of an answer is a line, before the call that it belongs to is over."""
        with serving({"text": "a long answer"}) as server:
            url = f"{server.url}/v1"
            result = ask("--lm", "openai:m", "--base-url", url, "--backend", backend, "--events", "jsonl")
        assert (0, "language model: openai:m\n") == (result.exit_code, result.stderr)
        events = [json.loads(line) for line in result.stdout.splitlines()]
        tokens = [event for event in events if event["event"] == "Token"]
        assert {"text": "a long answer"} == json.loads("".join(token["text"] for token in tokens))
        kinds = [event["event"] for event in events]
        assert len(kinds) - 1 - kinds[::-1].index("Token") < kinds.index("LMCalled")

    def test_the_tree_counts_what_has_come(self) -> None:
        """A node that waits for an answer shows how much of it has come, until it is there."""
        tree = LiveTree(Console(file=io.StringIO(), width=100, height=20))
        told: dict[str, Any] = {"run": "r", "wall": 0.0, "elapsed": 0.0, "node": "A", "activation": "A#1"}
        tree.show(NodeStarted(seq=1, attempt=1, parents=(), **told))
        for text in ("four", "more"):
            tree.show(Token(seq=1, text=text, request=1, **told))
        assert "8 characters of an answer" in drawn(tree)
        tree.show(LMCalled(seq=2, model="m", purpose="fill", usage=Usage(requests=1), duration=1.5, **told))
        assert "✓ m: fill  1.50 s" in drawn(tree)
        assert "characters" not in drawn(tree)

    def test_a_request_without_an_answer_is_not_told_as_one(self) -> None:
        """A request that was not answered is told as that, and marked as failed."""
        told: dict[str, Any] = {"run": "r", "wall": 0.0, "elapsed": 0.0, "node": "A", "activation": "A#1"}
        asked: dict[str, Any] = {"purpose": "fill", "usage": Usage(requests=1), "duration": 1.5}
        failed = LMCalled(seq=2, model="", answered=False, **asked, **told)
        assert "A#1: the language model was asked (fill) for 1.50 s" == describe_event(failed)
        tree = LiveTree(Console(file=io.StringIO(), width=100, height=20))
        events: list[Event] = [NodeStarted(seq=1, attempt=1, parents=(), **told), failed]
        for event in events:
            tree.show(event)
        assert "✗ language model: fill  1.50 s" in drawn(tree)


def drawn(tree: LiveTree) -> str:
    console = Console(file=io.StringIO(), width=100, height=20)
    console.print(tree.draw())
    text: str = console.file.getvalue()  # type: ignore[attr-defined]  # the StringIO from above
    return text


class TestSpecs:
    @pytest.mark.parametrize(
        ("spec", "told"),
        [
            ("openai", "--lm openai: 'openai' names no model; write openai:MODEL"),
            ("anthropic:", "'anthropic:' names no model; write anthropic:MODEL"),
            ("dspy:", "'dspy:' names no model; write dspy:PROVIDER/MODEL"),
            ("pydantic-ai:nothing", "--lm pydantic-ai:nothing: 'nothing' cannot be used: Unknown model: nothing"),
            ("claude", "--lm claude is unknown; did you mean 'claude-cli'?\nthere is scripted ("),
            ("gpt-5", "--lm gpt-5 is unknown\nthere is scripted ("),
            ("OpenAI:gpt-5", "--lm OpenAI:gpt-5: there is no module OpenAI"),
        ],
    )
    def test_a_wrong_one_is_a_usage_error(self, spec: str, told: str) -> None:
        """A spec that names no model says how one is written; nothing runs."""
        assert told in refused("--lm", spec)

    @pytest.mark.parametrize(
        ("spec", "variable", "told"),
        [
            ("openai:m", "OPENAI_API_KEY", "OpenAIBackend needs an API key: set OPENAI_API_KEY\n"),
            ("anthropic:m", "ANTHROPIC_API_KEY", "AnthropicBackend needs an API key: set ANTHROPIC_API_KEY\n"),
            ("pydantic-ai:openai-chat:m", "OPENAI_API_KEY", "Set the `OPENAI_API_KEY` environment variable"),
        ],
    )
    def test_a_missing_key_is_told_before_anything_runs(
        self, spec: str, variable: str, told: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Without its key a provider is not asked; the variable to set is named."""
        monkeypatch.delenv(variable)
        assert told in refused("--lm", spec)

    def test_a_missing_program_is_told_before_anything_runs(self) -> None:
        """Without the program, `--lm claude-cli` says how to install it."""
        told = refused("--lm", "claude-cli")
        assert told.endswith("which is not on the PATH; install it with `npm install -g @anthropic-ai/claude-code`\n")

    @pytest.mark.parametrize(
        ("spec", "library", "told"),
        [
            ("dspy:openai/m", "dspy", "DSPyBackend needs dspy: pip install 'dagflow[dspy]'"),
            (
                "pydantic-ai:openai:m",
                "pydantic_ai",
                "PydanticAIBackend needs Pydantic AI: pip install 'dagflow[pydantic-ai]'",
            ),
        ],
    )
    def test_a_missing_library_is_told_with_its_extra(
        self, spec: str, library: str, told: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An adapter whose library is not installed says what to install."""
        monkeypatch.delitem(sys.modules, f"dagflow.lm.{library}", raising=False)
        monkeypatch.setitem(sys.modules, library, None)
        assert f"error: --lm {spec}: {told}" in refused("--lm", spec)


class TestBaseURL:
    def test_it_goes_with_a_model(self) -> None:
        """A URL without a model says that both are needed."""
        assert "--base-url says where a model is, and --lm which: give both" in refused("--base-url", "http://a")

    @pytest.mark.parametrize("spec", ["scripted", "claude-cli", f"{MODELS}:made"])
    def test_it_goes_with_http(self, spec: str) -> None:
        """A URL for what is not asked over HTTP is refused, rather than left out."""
        told = refused("--lm", spec, "--base-url", "http://a")
        assert f"error: --base-url goes with an adapter that speaks HTTP, not with --lm {spec}\n" == told

    @pytest.mark.parametrize("spec", ["openai:m", "anthropic:m", "pydantic-ai:openai-chat:m", "dspy:openai/m"])
    @pytest.mark.parametrize("url", ["", "localhost:1234", "ftp://host", "http://", "http://[::1", "http://a:b"])
    def test_what_is_no_url_is_refused(self, spec: str, url: str) -> None:
        """A URL that is none, or is empty, never means the provider's own server."""
        told = refused("--lm", spec, "--base-url", url)
        assert f"error: --base-url begins with http:// or https:// and a host, not {url!r}\n" == told


class TestFailures:
    @pytest.mark.slow
    @pytest.mark.parametrize("spec", ["openai:m", "anthropic:m"])
    def test_a_server_that_is_not_there(self, spec: str, unused_port: int) -> None:
        """A connection that fails is told with its URL after the retries, and the status is 1."""
        told = refused("--lm", spec, "--base-url", f"http://127.0.0.1:{unused_port}", "--timeout", "20", status=1)
        assert f"LMError: cannot connect to http://127.0.0.1:{unused_port}: " in told
        assert "is the server running?" in told

    @on_both
    @pytest.mark.parametrize(
        ("spec", "path", "said"),
        [("openai:m", "/v1", "Incorrect API key provided."), ("anthropic:m", "", "invalid x-api-key")],
    )
    def test_a_key_that_is_refused(
        self, spec: str, path: str, said: str, backend: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A 401 is told with what the server said and which node it was, not retried, and without the key."""
        for variable in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
            monkeypatch.setenv(variable, "sk-canary-wrong")
        with serving("never said") as server:
            url = f"{server.url}{path}"
            told = refused("--lm", spec, "--base-url", url, "--backend", backend, status=1)
            assert 1 == server.received
            result = ask("--lm", spec, "--base-url", url, "--traceback", "--events", "jsonl")
        assert f"LMError: {url} answered 401 (the API key is missing, wrong, or may not do this): {said}" in told
        assert "in node Answer#1" in told
        assert "Traceback" in result.stderr
        assert "sk-canary-wrong" not in told + result.output

    def test_an_answer_that_stays_wrong(self) -> None:
        """An answer without a field is repaired in vain, and told with the field."""
        with serving({"txt": "?"}) as server:
            told = refused("--lm", "openai:m", "--base-url", f"{server.url}/v1", status=1)
        assert "FillError: no valid Answer in 3 answers of the language model; the last one has:" in told
        assert "$.text: missing" in told


@pytest.fixture
def unused_port() -> int:
    """A port that nobody listens on."""
    with serving("") as server:
        return int(server.url.rpartition(":")[2])
