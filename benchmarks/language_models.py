"""Measure calls of language models beside bare httpx, the official SDKs and pydantic-ai, on a local server."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import anyio

from benchmarks.lm_contenders import AGENT, HTTPX, OURS, PROVIDERS, PYDANTIC_AI, SDK, contenders
from benchmarks.lm_outside import microseconds
from benchmarks.lm_rounds import Rounds, Turn, calls_in_rounds, ratio, streams_in_rounds, typical
from benchmarks.lm_server import serving
from benchmarks.lm_work import ANSWER, LONG_ANSWER, PIECES
from benchmarks.section import Section, Table, Verdict, at_most

BACKENDS = ("asyncio", "trio")
CALLS = {1: 30, 10: 30, 100: 100}
"""How many calls a turn makes, by how many of them are made at once."""
STREAMS = {1: 1, 10: 10}
RIVALS = (SDK, PYDANTIC_AI, AGENT)
HTTPX_LIMIT = 1.3
USE_LIMIT = 200.0  # microseconds
TEXT = """\
The server is dagflow's own test server, on this machine, in a process of its own. It answers at once, so a call
costs what the libraries make of it; with a real provider all of them wait far longer than that. Everybody keeps
connections open, has room for 100 of them, and asks for the same order with the same prompts and a schema.

`plain` is a request and its answer as the library represents it: `complete` of an adapter, `post(json=...)` and
`response.json()` of bare httpx, `create` of the SDK, `model_request` of pydantic-ai. `typed` ends with an object of
a class: `fill` of an adapter (which makes prompts and schema as well), the same as before of bare httpx (which reads
no order), `parse` of the SDK, and with pydantic-ai `model_request` with the class's validation after it, or
`Agent.run`, which needs asyncio. `stream` is a text of 1,000 pieces, which the server sends without pauses:
`Graph.stream` with its events, `aiter_lines` and `json.loads` with bare httpx, `create(stream=True)`, and
`model_request_stream`. The SDKs and pydantic-ai use httpx2; dagflow uses httpx.

Contenders take turns, and ratios are medians of the ratios within the rounds. Time a call is from its begin to its
end, while others are made at once; `client, us a call` is what this process computes for a call, without what the
server does. A target for several numbers at once is met where the worst of them is.
"""


Found = Mapping[tuple[str, int], Rounds]
"""What was measured, by its kind and by how many are made at once."""


def measure(*, short: bool) -> Section:
    call_rows: list[list[str]] = []
    stream_rows: list[list[str]] = []
    verdicts: list[Verdict] = []
    with serving(ANSWER, pieces=1) as url, serving(LONG_ANSWER, pieces=PIECES) as long_url:
        for provider in PROVIDERS:
            for backend in BACKENDS:
                label = f"{provider}, {backend}"
                found = anyio.run(_calls, provider, url, backend, short, backend=backend)
                call_rows += _call_rows(label, found)
                verdicts += _call_verdicts(label, found)
                found = anyio.run(_streams, provider, long_url, backend, short, backend=backend)
                stream_rows += _stream_rows(label, found)
                verdicts += _stream_verdicts(label, found)
    outside = {provider: anyio.run(microseconds, provider, 5 if short else 25) for provider in PROVIDERS}
    verdicts += [
        at_most(f"second use of a class, without the wire: {provider}", found["second"], USE_LIMIT, " us")
        for provider, found in outside.items()
    ]
    call_header = ["", "at once", "", "ms a call", "calls a second", "/ httpx", "client, us a call", "/ httpx"]
    stream_header = ["", "at once", "", "tokens a second", "/ httpx", "ms to the first token", "/ httpx"]
    outside_rows = [[provider, *(f"{value:.0f}" for value in found.values())] for provider, found in outside.items()]
    outside_header = ["", "first use of a class, us", "second", "later"]
    tables = [
        Table(call_header, call_rows, "Calls"),
        Table(stream_header, stream_rows, "Streams"),
        Table(outside_header, outside_rows, "A typed answer without the wire"),
    ]
    return Section("Language models", TEXT, tables, verdicts)


async def _calls(provider: str, url: str, backend: str, short: bool) -> Found:
    found: dict[tuple[str, int], Rounds] = {}
    async with contenders(provider, url, backend) as calls:
        for kind, variants in (("plain", calls.plain), ("typed", calls.typed)):
            for at_once, number in CALLS.items():
                if short and at_once == 100 and (provider, backend) != ("openai", "asyncio"):
                    continue
                total = max(10, at_once) if short else number
                found[kind, at_once] = await calls_in_rounds(
                    variants, rounds=3 if short else 7, number=total, at_once=at_once
                )
    return found


async def _streams(provider: str, url: str, backend: str, short: bool) -> Found:
    found: dict[tuple[str, int], Rounds] = {}
    async with contenders(provider, url, backend) as calls:
        for at_once, number in STREAMS.items():
            if at_once > 1 and (short or provider == "anthropic"):
                continue  # they take long
            found["stream", at_once] = await streams_in_rounds(
                calls.streams, rounds=3 if short else 7, number=at_once if short else number, at_once=at_once
            )
    return found


def _call_rows(label: str, found: Found) -> list[list[str]]:
    return [
        [
            f"{label}, {kind}",
            str(at_once),
            name,
            f"{typical(turns[name]) * at_once * 1e3:.2f}",
            f"{1 / typical(turns[name]):,.0f}",
            f"{ratio(turns, name, HTTPX):.2f}",
            f"{typical(turns[name], _work) * 1e6:,.0f}",
            f"{ratio(turns, name, HTTPX, _work):.2f}",
        ]
        for (kind, at_once), turns in found.items()
        for name in turns
    ]


def _stream_rows(label: str, found: Found) -> list[list[str]]:
    return [
        [
            label,
            str(at_once),
            name,
            f"{PIECES / typical(turns[name]):,.0f}",
            f"{ratio(turns, name, HTTPX):.2f}",
            f"{typical(turns[name], _first_token) * 1e3:.1f}",
            f"{ratio(turns, name, HTTPX, _first_token):.2f}",
        ]
        for (_, at_once), turns in found.items()
        for name in turns
    ]


def _call_verdicts(label: str, found: Found) -> Iterator[Verdict]:
    for kind in ("plain", "typed"):
        of_kind = {at_once: turns for (other, at_once), turns in found.items() if other == kind}
        yield from _verdicts(f"time of a {kind} call", label, of_kind)


def _stream_verdicts(label: str, found: Found) -> Iterator[Verdict]:
    streams = {at_once: turns for (_, at_once), turns in found.items()}
    yield from _verdicts("time of a stream", label, streams)
    yield from _verdicts("time to the first token", label, streams, _first_token)


def _verdicts(
    what: str, label: str, found: Mapping[int, Rounds], figure: Callable[[Turn], float] = lambda turn: turn.each
) -> Iterator[Verdict]:
    """Judge ours beside bare httpx, and beside whichever of the others is the fastest each time."""
    numbers = ", ".join(map(str, found))
    to_httpx = [ratio(turns, OURS, HTTPX, figure) for turns in found.values()]
    to_rivals = [max(ratio(turns, OURS, name, figure) for name in turns if name in RIVALS) for turns in found.values()]
    claim = f"{what}, {numbers} at once"
    yield _below(f"{claim}, / {HTTPX}: {label}", to_httpx, HTTPX_LIMIT)
    yield _below(f"{claim}, / the fastest of {SDK} and {PYDANTIC_AI}: {label}", to_rivals, 1.0)


def _below(claim: str, ratios: Sequence[float], limit: float) -> Verdict:
    measured = ", ".join(f"{value:.2f}" for value in ratios)
    return Verdict(claim, measured, f"at most {limit:g}", max(ratios) <= limit)


def _work(turn: Turn) -> float:
    return turn.work


def _first_token(turn: Turn) -> float:
    return turn.first_token
