"""What goes wrong on the way to a provider, and what is told of it."""

import socket
import ssl
from collections.abc import Callable
from typing import Any

import anyio
import httpx
import httpx2
import pytest
import trustme

from dagflow import (
    AnthropicBackend,
    Graph,
    LMError,
    LMRequest,
    Message,
    Node,
    NodeConfig,
    OpenAIBackend,
    Retry,
    Usage,
    load_lm,
)
from dagflow.lm.billing import losses
from dagflow.lm.http import read_retry_after
from dagflow.lm.provider import HTTPBackend
from dagflow.testing import assert_no_leaks, sweep_cancellations
from dagflow.testing.lm_server import LMServer, Reply

KEY = "sk-test-key-0123456789"
REQUEST = LMRequest(system="Be brief.", messages=(Message("user", "Hello?"),))
AT_ONCE = Retry(attempts=3, delay=0.0, on=(LMError,))

Make = Callable[..., HTTPBackend]


def openai(url: str, **options: Any) -> HTTPBackend:
    return OpenAIBackend("model", base_url=f"{url}/v1", **{"api_key": KEY, "retry": AT_ONCE, **options})


def anthropic(url: str, **options: Any) -> HTTPBackend:
    return AnthropicBackend("model", base_url=url, **{"api_key": KEY, "retry": AT_ONCE, **options})


@pytest.fixture(params=[openai, anthropic], ids=["openai", "anthropic"])
def make(request: pytest.FixtureRequest) -> Make:
    """Makes the backend of one of the two providers."""
    made: Make = request.param
    return made


async def refused(lm: HTTPBackend) -> LMError:
    """Ask, and give the error."""
    with pytest.raises(LMError) as caught:
        await lm.complete(REQUEST)
    assert KEY not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("status", "requests", "said"),
    [
        (400, 1, "answered 400"),
        (401, 1, "the API key is missing, wrong, or may not do this"),
        (403, 1, "the API key is missing, wrong, or may not do this"),
        (404, 1, "is the model's name right, and the base URL?"),
        (408, 3, "answered 408"),
        (422, 1, "answered 422"),
        (429, 3, "answered 429"),
        (500, 3, "answered 500"),
        (503, 3, "answered 503"),
        (529, 3, "answered 529"),
    ],
)
async def test_a_status_is_told_and_retried_where_that_can_help(
    make: Make, status: int, requests: int, said: str
) -> None:
    """Only 408, 429 and 5xx are asked again; the error has status, message and request id."""
    async with LMServer(Reply.error(status, "no luck today")) as server, make(server.url) as lm:
        with losses() as lost:
            error = await refused(lm)
        assert requests == server.received
    assert (status, "no luck today") == (error.status, error.provider_message)
    assert said in str(error)
    assert "no luck today" in str(error)
    assert server.requests[-1].request_id == error.request_id
    assert str(error.request_id) in str(error)
    assert (requests > 1) == error.retriable
    assert Usage(requests=requests) == lost.usage


async def test_what_fails_once_is_asked_again(make: Make) -> None:
    """An answer after two failures is an answer."""
    script = [Reply.error(529), Reply.error(500), Reply("fine")]
    async with LMServer(script) as server, make(server.url) as lm:
        assert "fine" == (await lm.complete(REQUEST)).text


async def test_without_a_retry_nothing_is_asked_again(make: Make) -> None:
    """`retry=None` sends one request."""
    async with LMServer(Reply.error(500)) as server, make(server.url, retry=None) as lm:
        await refused(lm)
        assert 1 == server.received


async def test_retry_after_is_waited_for(make: Make) -> None:
    """A provider that says when to come back is believed."""
    times: list[float] = []

    def answer(request: object) -> Any:
        times.append(anyio.current_time())
        return Reply.error(429, retry_after=0.05) if len(times) == 1 else Reply("fine")

    async with LMServer(answer) as server, make(server.url) as lm:
        assert "fine" == (await lm.complete(REQUEST)).text
    assert times[1] - times[0] >= 0.05


async def test_a_wait_beyond_the_longest_is_not_waited_for(make: Make) -> None:
    """A provider that asks for an hour gets an error at once, which says so."""
    async with LMServer(Reply.error(429, retry_after=3600)) as server, make(server.url) as lm:
        error = await refused(lm)
        assert 1 == server.received
    assert 3600 == error.retry_after
    assert ["not retried: the provider asks to wait 3600 s, above max_delay=30"] == error.__notes__


async def test_a_deadline_before_the_next_attempt_ends_the_waiting_at_once(make: Make) -> None:
    """A timeout that is shorter than the sleep before a retry gives the provider's error, and does not sleep."""
    async with LMServer(Reply.error(429, retry_after=20)) as server, make(server.url) as lm:
        with anyio.fail_after(10):
            error = await refused(lm)
        assert 1 == server.received
    assert "not retried: the next attempt would begin in 20 s, the deadline is in" in error.__notes__[0]


async def test_advice_of_the_provider_counts(make: Make) -> None:
    """`x-should-retry` overrides the status, either way; an empty account is not asked again."""
    async with LMServer(Reply.error(500, headers={"x-should-retry": "false"})) as server, make(server.url) as lm:
        await refused(lm)
        assert 1 == server.received
    async with LMServer(Reply.error(409, headers={"x-should-retry": "true"})) as server, make(server.url) as lm:
        await refused(lm)
        assert 3 == server.received
    async with LMServer(Reply.error(429, code="insufficient_quota")) as server, openai(server.url) as lm:
        await refused(lm)
        assert 1 == server.received


@pytest.mark.parametrize(
    ("milliseconds", "seconds", "expected"),
    [
        (None, None, None),
        (None, "2", 2.0),
        (None, "0.5", 0.5),
        ("1500", "9", 1.5),
        ("soon", "9", 9.0),
        (None, "Thu, 01 Jan 1970 00:01:40 GMT", 40.0),
        (None, "Thu, 01 Jan 1970 00:00:10 GMT", 0.0),
        (None, "-1", None),
        (None, "nan", None),
        (None, "inf", None),
        (None, "tomorrow", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(
    milliseconds: str | None, seconds: str | None, expected: float | None
) -> None:
    """Both forms of the header are read, and nonsense is passed over."""
    assert expected == read_retry_after(milliseconds, seconds, now=60.0)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def test_a_connection_that_is_refused_is_told(make: Make) -> None:
    """Where nobody listens the error says so, names the URL, and nothing was used."""
    url = f"http://127.0.0.1:{free_port()}"
    with losses() as lost:
        error = await refused(make(url))
    assert f"cannot connect to {url}" in str(error)
    assert "is the server running?" in str(error)
    assert error.retriable
    assert Usage() == lost.usage


async def test_an_unknown_host_is_told(make: Make) -> None:
    """A name that cannot be resolved is told as that."""
    error = await refused(make("http://no-such-host.invalid"))
    assert "the host of http://no-such-host.invalid" in str(error)
    assert "is not known" in str(error)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """A certificate authority that nobody trusts but who asks it to."""
    return trustme.CA()


@pytest.fixture
def tls(authority: trustme.CA) -> ssl.SSLContext:
    """The server's side of a connection for 127.0.0.1."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


async def test_a_certificate_that_nobody_trusts_is_told(make: Make, tls: ssl.SSLContext) -> None:
    """A certificate that cannot be verified ends the request, without another try."""
    async with LMServer(Reply("fine"), tls=tls) as server:
        error = await refused(make(server.url))
        assert 0 == server.received
    assert "no secure connection" in str(error)
    assert not error.retriable


async def test_no_tls_where_it_is_expected_is_told(make: Make) -> None:
    """A plain server behind an https URL is told as that."""
    async with LMServer(Reply("fine")) as server:
        error = await refused(make(server.url.replace("http:", "https:")))
    assert "no secure connection" in str(error)


@pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])
async def test_a_client_of_ones_own_is_used(
    make: Make, library: Any, tls: ssl.SSLContext, authority: trustme.CA
) -> None:
    """A client of either family is used as it is, errors included, and stays open."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    async with library.AsyncClient(verify=context, timeout=5.0) as client:
        async with LMServer(Reply("fine"), tls=tls) as server:
            assert "fine" == (await make(server.url, client=client).complete(REQUEST)).text
        error = await refused(make(server.url, client=client))
        assert "cannot connect" in str(error)
        assert error.retriable
        assert not client.is_closed
    with pytest.raises(LMError, match="has been closed; keep it open as long as the model"):
        await make(server.url, client=client).complete(REQUEST)


async def test_a_connection_that_breaks_in_the_midst_is_told(make: Make) -> None:
    """An answer that is cut off, by an end or a reset, is an error that may be gone the next time."""
    for reply in (Reply("fine", cut_after=30), Reply("fine", cut_after=30, cut="reset"), Reply.garbage(b"")):
        async with LMServer(reply) as server, make(server.url) as lm:
            error = await refused(lm)
            assert 3 == server.received
        assert "broke off" in str(error), error
        assert error.retriable


async def test_what_is_not_http_is_told(make: Make) -> None:
    """Garbage in place of an answer is a connection that broke off, with what the parser said."""
    async with LMServer(Reply.garbage(b"220 mail.example ESMTP\r\n")) as server, make(server.url) as lm:
        error = await refused(lm)
    assert "broke off" in str(error)
    assert error.__cause__ is not None


async def test_a_proxy_that_fails_is_told(make: Make) -> None:
    """A proxy that answers a tunnel with an error is told as the proxy's fault."""
    async with LMServer(Reply.raw(407, b"who are you?")) as proxy, httpx.AsyncClient(proxy=proxy.url) as client:
        error = await refused(make("https://127.0.0.1:9", client=client))
    assert "the proxy on the way to https://127.0.0.1:9" in str(error)
    assert not error.retriable


async def test_a_redirect_is_told_and_not_followed(make: Make) -> None:
    """A key is not sent where it was not meant to go."""
    elsewhere = {"location": "https://elsewhere.example/"}
    async with LMServer(Reply.raw(301, b"", headers=elsewhere)) as server, make(server.url) as lm:
        error = await refused(lm)
        assert 1 == server.received
    assert "a redirect, which is not followed" in str(error)


@pytest.mark.slow
async def test_an_answer_that_takes_too_long_is_told(make: Make) -> None:
    """The timeout ends a request that hangs, closes its connection, counts it, and does not try again."""
    async with LMServer(Reply.hang()) as server, make(server.url, timeout=0.3) as lm:
        with losses() as lost:
            error = await refused(lm)
        assert (1, True) == (lost.usage.requests, lost.usage.estimated)
        await server.closed_early(1)
        assert 1 == server.received
    assert "gave no whole answer within the timeout of 0.3 s" in str(error)
    assert not error.retriable


async def test_a_cancelled_request_closes_its_connection(make: Make) -> None:
    """The server sees that nobody waits any more, and what was asked counts as used."""
    async with LMServer(Reply.hang()) as server, make(server.url) as lm:
        with losses() as lost:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(lm.complete, REQUEST)
                await server.arrived(1)
                tasks.cancel_scope.cancel()
        await server.closed_early(1)
        await server.until(lambda: not server.open_connections)
    assert 1 == lost.usage.requests
    assert lost.usage.estimated


async def test_a_stream_that_is_cancelled_closes_its_connection(make: Make) -> None:
    """The same in the midst of a streamed answer, whose text so far is in the estimate."""
    stalled = Reply(pieces=["a" * 40] * 5, cut_after=3, cut="stall")
    async with LMServer(stalled) as server, make(server.url, stream=True) as lm:
        with losses() as lost, anyio.move_on_after(0.1):
            await lm.complete(REQUEST)
        await server.closed_early(1)
    assert lost.usage.estimated
    assert 30 == lost.usage.output_tokens


async def test_an_answer_that_is_too_long_is_ended(make: Make) -> None:
    """Memory is bounded: more than `max_answer_bytes` is an error, streamed or not."""
    for stream in (False, True):
        async with (
            LMServer(Reply("x" * 100_000)) as server,
            make(server.url, stream=stream, max_answer_bytes=20_000) as lm,
        ):
            error = await refused(lm)
        assert "answered with more than 20000 bytes" in str(error)


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("localhost:8000", "begins with http:// or https:// and a host"),
        ("ftp://host/", "begins with http:// or https:// and a host"),
        ("http://", "begins with http:// or https:// and a host"),
        ("https://user:sk-canary@host/v1", "give keys as api_key= or headers="),
        ("https://host/v1?api-key=sk-canary", "give keys as api_key= or headers="),
        ("http://[::1", "base_url"),
    ],
)
def test_a_base_url_is_checked_when_the_backend_is_made(url: str, fault: str) -> None:
    """A URL that cannot work, or that would carry a secret into logs, is refused, and not quoted."""
    with pytest.raises(ValueError, match=fault) as caught:
        OpenAIBackend("model", base_url=url, api_key=KEY)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("adapter", "variable"), [(OpenAIBackend, "OPENAI_API_KEY"), (AnthropicBackend, "ANTHROPIC_API_KEY")]
)
def test_a_missing_key_is_told(adapter: Any, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a key the backend cannot be made, and the error says which variable to set."""
    monkeypatch.delenv(variable, raising=False)
    with pytest.raises(LMError, match=f"set {variable}, or pass api_key="):
        adapter("model")
    monkeypatch.setenv(variable, KEY)
    assert KEY not in repr(adapter("model"))


def test_a_client_must_be_one() -> None:
    """What is no async client of either family is refused when the backend is made."""
    with pytest.raises(TypeError, match="an AsyncClient of httpx or httpx2, not a Client"):
        OpenAIBackend("model", api_key=KEY, client=httpx.Client())


@pytest.mark.parametrize(
    ("spec", "options", "fault"),
    [
        ("gpt:5", {}, "'gpt:5' names no language model; there is openai:MODEL"),
        ("openai", {}, "'openai' names no model; write openai:MODEL"),
        ("openai:gpt", {"colour": 1}, "openai takes no colour; it takes"),
        ("claude-cli", {"base_url": "http://x"}, "claude-cli takes no base_url"),
    ],
)
def test_a_spec_that_names_no_model_is_refused(spec: str, options: dict[str, Any], fault: str) -> None:
    """A name that is wrong is told with what there is."""
    with pytest.raises(ValueError, match=fault):
        load_lm(spec, **options)


class Question(Node):
    text: str

    async def __call__(self) -> "Reply_": ...


class Reply_(Node):  # `Reply` is the server's
    words: str

    async def __call__(self) -> None: ...


GRAPH = Graph(start=Question)


async def test_connections_live_as_long_as_their_run(make: Make) -> None:
    """A run opens one connection for its calls and closes it; `async with` keeps it for the next run."""
    async with assert_no_leaks(), LMServer({"words": "hi"}) as server:
        lm = make(server.url)
        await GRAPH.run(Question(text="?"), lm=lm)
        await GRAPH.run(Question(text="?"), lm=lm)
        assert 2 == server.connections
        await server.until(lambda: not server.open_connections)
        async with lm:
            for _ in range(3):
                await GRAPH.run(Question(text="?"), lm=lm)
        assert 3 == server.connections
        await server.until(lambda: not server.open_connections)


async def test_a_backend_can_be_opened_twice(make: Make) -> None:
    """Two users of one open backend share its connections, until the last is done."""
    async with LMServer(Reply("fine")) as server:
        lm = make(server.url)
        async with lm:
            async with lm:
                await lm.complete(REQUEST)
            await lm.complete(REQUEST)
        assert 1 == server.connections


async def test_a_node_may_have_a_model_of_its_own(make: Make) -> None:
    """A node's own backend is closed with the run, too."""
    async with assert_no_leaks(), LMServer({"words": "mine"}) as server:

        class Own(Node):
            node_config = NodeConfig(lm=make(server.url))
            words: str

            async def __call__(self) -> None: ...

        class Ask(Node):
            async def __call__(self) -> Own: ...

        result = await Graph(start=Ask, namespace=locals()).run(Ask())
        assert "mine" == result.node.words
        await server.until(lambda: not server.open_connections)


@pytest.mark.slow
@pytest.mark.parametrize("stream", [False, True])
async def test_a_call_that_is_cancelled_anywhere_leaves_nothing(make: Make, stream: bool) -> None:
    """Cancelled at each of its steps, a run with a backend leaves no socket, task or thread."""
    async with assert_no_leaks(), LMServer({"words": "hi"}) as server:

        async def one_run() -> str:
            lm = make(server.url, stream=stream)
            return str((await GRAPH.run(Question(text="?"), lm=lm)).node.words)

        outcomes = await sweep_cancellations(one_run)
        assert "hi" == outcomes[-1].value
        await server.until(lambda: not server.open_connections)


async def test_a_deadline_of_the_caller_reaches_the_wire(make: Make) -> None:
    """A deadline around the call ends it as any deadline does: it is not turned into an error of the model."""
    async with assert_no_leaks(), LMServer(Reply.hang()) as server:
        with anyio.move_on_after(0.05) as scope:
            await make(server.url).complete(REQUEST)
        assert scope.cancelled_caught


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy of the machine's has nothing to do with loopback."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.mark.parametrize(
    ("make", "event"),
    [
        (openai, '{"choices": [{"delta": {"content": "fine"}}]}'),
        (anthropic, '{"type": "message_start", "message": {"model": "m", "usage": {"input_tokens": 1}}}'),
    ],
)
async def test_a_stream_that_ends_early_is_no_answer(make: Make, event: str) -> None:
    """A stream that ends as if all were well, but before the answer does, may come whole the next time."""
    body = f"data: {event}\n\ndata: [DONE]\n\n" if make is openai else f"data: {event}\n\n"
    async with (
        LMServer(Reply.raw(200, body.encode(), content_type="text/event-stream")) as server,
        make(server.url, stream=True) as lm,
    ):
        error = await refused(lm)
        assert 3 == server.received
    assert "ended its stream before the answer was whole" in str(error)
    assert error.retriable
