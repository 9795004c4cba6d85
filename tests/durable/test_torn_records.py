"""What is damaged in a store is told, with its place, and never taken for something else; forks lead on before it."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from zlib import crc32

import anyio.lowlevel
import attrs
import pytest

from dagflow.core.storage import Head, Record, Store
from dagflow.errors import CheckpointError, NodeError
from dagflow.events import NodeFailed
from dagflow.kernel.thread import Thread
from dagflow.store.memory import MemoryStore
from dagflow.testing.redis_server import RedisServer
from durable.killed.damage import Damageable, RedisFiles, SQLiteFiles
from durable.plain_graph import Here, PlainGraph, State

pytestmark = [pytest.mark.slow, pytest.mark.chaos]

SCALE = int(os.environ.get("DAGFLOW_CAMPAIGN", "1"))
SAMPLE = 12 * min(SCALE, 10)
"""How many ways to damage one text are tried where each opens a real store."""


@attrs.frozen
class Journal:
    """A journal as records and values, whose last record is a node's success, with a node to go."""

    records: tuple[Record, ...]
    values: dict[str, str]

    @property
    def newest(self) -> int:
        return len(self.records)


async def work(here: Here, calls: list[str]) -> State:
    await anyio.lowlevel.checkpoint()
    node = here.activation.node
    calls.append(node)
    if node == "end" and len(calls) == 5:
        raise RuntimeError("stop here")
    return {node: "wide " * 300 if node == "wide" else [node, *here.state]}


EDGES = {"start": ("left", "right"), "left": ("wide",), "right": ("wide",), "wide": ("end",), "end": ()}
STATE = {
    "start": ["start"],
    "left": ["left", "start"],
    "right": ["right", "start"],
    "wide": "wide " * 300,
    "end": ["end", "left", "right", "start", "wide"],
}


def graph(calls: list[str] | None = None) -> PlainGraph:
    """Make the graph; its last node fails where it is the fifth call of the same `calls`."""
    return PlainGraph(EDGES, {}, partial(work, calls=[] if calls is None else calls))


async def begin(store: Store, thread: str) -> Journal:
    """Run the graph up to its last node, as if killed there: what came after its fourth success is not kept."""
    memory = MemoryStore()
    with pytest.raises(Exception, match="stop here"):
        await graph(calls=[]).run(memory, thread)
    async with memory.open() as session:
        records = [*await session.read(thread)]
        last = max(record.seq for record in records if '"kind":"NodeSucceeded"' in record.text)
        digests = {text.partition('"')[0] for record in records for text in record.text.split('{"$value":"')[1:]}
        journal = Journal(tuple(records[:last]), dict(await session.read_values(thread, digests)))
    await write(store, thread, journal.records, journal.values)
    return journal


async def write(store: Store, thread: str, records: tuple[Record, ...], values: dict[str, str]) -> None:
    async with store.open() as session:
        lease = await session.acquire(thread)
        await session.append(lease, records, values=values, head=Head("plain", "running"))
        await session.release(lease)


async def refusal(store: Store, thread: str) -> str:
    """Resume a damaged thread, and give the message of the error that this must come to; no node is run."""
    calls: list[str] = []
    with pytest.raises(CheckpointError) as caught:
        await graph(calls).resume(store, thread)
    assert [] == calls
    assert thread in str(caught.value)
    assert thread == caught.value.thread_id
    return str(caught.value)


async def check_fork(store: Store, thread: str, at: int) -> None:
    """Fork a damaged thread before the damage, and go on to where the run always leads."""
    before = await Thread(thread, store).state(at)
    forked = await Thread(thread, store).fork(f"{thread} before {at}", at=at)
    ended = await graph().resume(store, forked.thread_id)
    assert ("complete", STATE) == (ended.outcome, ended.state)
    assert len(before.trace) <= len(STATE)


def flipped(data: bytes, bit: int) -> bytes:
    place, number = divmod(bit, 8)
    return data[:place] + bytes([data[place] ^ (1 << number)]) + data[place + 1 :]


def sealed(fields: dict[str, Any]) -> str:
    """Write a record whose checksum is right."""
    text = json.dumps(fields, separators=(",", ":"))
    return f"{text} {crc32(text.encode()):08x}"


async def test_undamaged(anyio_backend: str) -> None:
    """The journal that is damaged below leads on to the end, undamaged, and its last node alone is run."""
    store = MemoryStore()
    journal = await begin(store, "t")
    assert 1 == len(journal.values)
    calls: list[str] = []
    ended = await graph(calls).resume(store, "t")
    assert ("complete", STATE) == (ended.outcome, ended.state)
    assert ["end"] == calls


@pytest.mark.parametrize("which", ["last", "middle"])
async def test_every_byte_and_bit_of_a_record(which: str) -> None:
    """A record that is cut off anywhere, or has any bit flipped, is refused by its number."""
    origin = MemoryStore()
    journal = await begin(origin, "t")
    seq = journal.newest if which == "last" else journal.newest // 2
    data = journal.records[seq - 1].text.encode()
    bits = range(0, 8 * len(data), 1 if SCALE > 1 else 7)
    torn = [data[:length] for length in range(len(data))] + [flipped(data, bit) for bit in bits]
    damaged = {*(text.decode(errors="replace") for text in torn), *(text.decode("latin-1") for text in torn)}
    for number, text in enumerate(sorted(damaged)):
        store = MemoryStore()
        records = (*journal.records[: seq - 1], Record(seq, text), *journal.records[seq:])
        await write(store, "t", records, journal.values)
        message = await refusal(store, "t")
        assert f"record {seq} is damaged" in message
        assert f"fork the thread at {seq - 1}" in message
        if not number % 100:
            await check_fork(store, "t", seq - 1)


async def test_every_byte_and_bit_of_a_value() -> None:
    """A large value that is cut off anywhere, or has any bit flipped, is refused."""
    origin = MemoryStore()
    journal = await begin(origin, "t")
    ((digest, whole),) = journal.values.items()
    seq = next(record.seq for record in journal.records if digest in record.text)
    data = whole.encode()
    bits = range(0, 8 * len(data), 3 if SCALE > 1 else 61)
    lengths = range(0, len(data), 1 if SCALE > 1 else 7)
    torn = [data[:length] for length in lengths] + [flipped(data, bit) for bit in bits]
    for text in torn:
        store = MemoryStore()
        await write(store, "t", journal.records, {digest: text.decode(errors="replace")})
        message = await refusal(store, "t")
        assert f"record {seq} cannot be read: the value {digest[:12]}... is damaged" in message
        assert f"fork the thread at {seq - 1}" in message


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    if reason := RedisServer.missing():
        pytest.skip(reason)
    with RedisServer() as server:
        yield server


@pytest.fixture(params=["sqlite", "redis"])
def kept(request: pytest.FixtureRequest, tmp_path: Path, anyio_backend: str) -> Damageable:
    """A store that keeps bytes."""
    if request.param == "sqlite":
        return SQLiteFiles(tmp_path / "runs.db")
    return RedisFiles(request.getfixturevalue("redis_server"), f"{request.node.name}:")


def ways(data: bytes, seed: str) -> list[bytes]:
    """Give a sample of the ways to cut a text off, and to flip a bit of it; some are no UTF-8 any more."""
    generator = random.Random(seed)
    cut = [data[: generator.randrange(len(data))] for _ in range(SAMPLE // 2)]
    flips = [flipped(data, generator.randrange(8 * len(data))) for _ in range(SAMPLE // 2)]
    return [b"", *cut, *flips, flipped(data, 7), flipped(data, 8 * len(data) - 1)]


@pytest.mark.parametrize("which", ["last", "middle"])
async def test_records_on_a_disk(kept: Damageable, which: str) -> None:
    """A record whose bytes were changed behind the store's back is refused; a fork before it goes on."""
    journal = await begin(kept.store, "t")
    seq = journal.newest if which == "last" else journal.newest // 2
    data = kept.records("t")[seq - 1]
    assert journal.records[seq - 1].text.encode() == data
    for torn in ways(data, which):
        kept.write_record("t", seq, torn)
        message = await refusal(kept.store, "t")
        assert is_text(torn) <= (f"record {seq} is damaged" in message)
    await check_fork(kept.store, "t", seq - 1)
    kept.write_record("t", seq, data)
    ended = await graph().resume(kept.store, "t")
    assert ("complete", STATE) == (ended.outcome, ended.state)


def is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


async def test_values_on_a_disk(kept: Damageable) -> None:
    """A value whose bytes were changed, or that is gone, is refused; a fork before its record goes on."""
    journal = await begin(kept.store, "t")
    ((digest, data),) = kept.values("t").items()
    seq = next(record.seq for record in journal.records if digest.decode() in record.text)
    for torn in ways(data, "value"):
        kept.write_value("t", digest, torn)
        message = await refusal(kept.store, "t")
        assert is_text(torn) <= (f"record {seq} cannot be read: the value" in message)
    kept.write_value("t", digest, None)
    message = await refusal(kept.store, "t")
    assert f"record {seq} cannot be read: its value '{digest.decode()}' is not stored" in message
    await check_fork(kept.store, "t", seq - 1)


@pytest.mark.parametrize("which", ["middle", "first"])
async def test_a_record_that_is_missing(kept: Damageable, which: str) -> None:
    """A gap in a journal is refused by the number that is missing."""
    journal = await begin(kept.store, "t")
    seq = journal.newest // 2 if which == "middle" else 1
    kept.drop_record("t", seq)
    message = await refusal(kept.store, "t")
    assert f"record {seq} " in message
    if which == "middle":
        await check_fork(kept.store, "t", seq - 1)


async def test_a_record_that_is_there_twice(kept: Damageable) -> None:
    """A record in another's place is refused by the number of the place, whole as it is."""
    journal = await begin(kept.store, "t")
    for seq in (journal.newest, journal.newest // 2):
        whole = kept.records("t")[seq - 1]
        kept.write_record("t", seq, kept.records("t")[seq - 2])
        message = await refusal(kept.store, "t")
        assert f"record {seq} says that it is record {seq - 1}" in message
        await check_fork(kept.store, "t", seq - 1)
        kept.write_record("t", seq, whole)
    twice = Record(journal.newest + 1, journal.records[-1].text)
    await write(kept.store, "u", (*journal.records, twice), journal.values)
    assert f"record {twice.seq} says that it is record {journal.newest}" in await refusal(kept.store, "u")
    await check_fork(kept.store, "u", journal.newest)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"v": 2}, "has version 2, and this dagflow reads version 1; update dagflow"),
        ({"v": None}, "has version None, and this dagflow reads version 1; update dagflow"),
        ({"kind": "NodeForgotten"}, "is of the unknown kind 'NodeForgotten'; update dagflow"),
        ({"kind": "Token"}, "is of the unknown kind 'Token'; update dagflow"),
        ({"seq": 1}, "says that it is record 1"),
        ({"colour": "red"}, "cannot be read"),
        ({"interrupts": []}, "cannot be read"),
        ({"writes": {"wide": {"$value": "0" * 64}}}, "cannot be read"),
    ],
)
async def test_whole_records_of_another_make(changes: dict[str, Any], problem: str) -> None:
    """A record that is whole, and not as this version writes it, is refused by its number, with what to do."""
    store = MemoryStore()
    journal = await begin(MemoryStore(), "t")
    for seq in (journal.newest, journal.newest - 1):
        fields = json.loads(journal.records[seq - 1].text.rpartition(" ")[0])
        assert "activation" in fields
        records = list(journal.records)
        records[seq - 1] = Record(seq, sealed({**fields, **changes}))
        await write(store, f"t{seq}", tuple(records), journal.values)
        message = await refusal(store, f"t{seq}")
        assert f"record {seq} {problem}" in message
        await check_fork(store, f"t{seq}", seq - 1)


NOTHING = ["", "[]", "7", "null", '"text"', "{},{}", "},{", "{}]", "NaN"]


@pytest.mark.parametrize("body", NOTHING)
async def test_no_record_at_all(body: str) -> None:
    """What is no record at all is refused by its number, even where its checksum happens to be right."""
    store = MemoryStore()
    journal = await begin(MemoryStore(), "t")
    for seq in (journal.newest, journal.newest // 2):
        records = list(journal.records)
        records[seq - 1] = Record(seq, f"{body} {crc32(body.encode()):08x}")
        await write(store, f"t{seq}", tuple(records), journal.values)
        message = await refusal(store, f"t{seq}")
        assert f"record {seq} is damaged" in message
        await check_fork(store, f"t{seq}", seq - 1)


async def test_text_that_utf8_does_not_have(kept: Damageable) -> None:
    """A run that fails with text which no file can hold, a lone surrogate, is recorded and fails as any other."""

    async def fail(here: Here) -> State:
        raise ValueError("caf\udce9")

    failing = PlainGraph({"a": ()}, {}, fail)
    for act in (failing.run, failing.resume):
        with pytest.raises(NodeError, match="caf\udce9"):
            await act(kept.store, "t")
    state = await Thread("t", kept.store).state()
    assert "failed" == state.outcome
    errors = [event.error for event in await Thread("t", kept.store).events() if isinstance(event, NodeFailed)]
    assert ["ValueError: caf\udce9"] * 2 == errors
