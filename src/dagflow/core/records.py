"""The text of a journal's records: one JSON object a line, versioned, with a checksum after it.

A record's text is ``{"v":1,"kind":"NodeStarted","seq":7,...} 1c291ca3``: the event's fields by name, those that
have their defaults left out, then the CRC-32 of the JSON in hexadecimal. Values of nodes and dependencies stand in
it as JSON that the run's front end wrote. One that is longer than `LARGE` characters is stored once, under the
SHA-256 of its text, and the record says ``{"$value": digest}`` in its place.

Records of version 1 stay readable for ever (tests/durable/journals).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from hashlib import sha256
from typing import Any
from zlib import crc32

import attrs

from dagflow import events
from dagflow.core.encodable import is_encodable
from dagflow.core.storage import Record
from dagflow.errors import CheckpointError, describe
from dagflow.events import Event

__all__ = ["LARGE", "VERSION", "parse", "references", "to_events", "write"]

VERSION = 1
LARGE = 1_000
REFERENCE = "$value"

KINDS: dict[str, type[Event]] = {
    kind.__name__: kind
    for kind in (getattr(events, name) for name in events.__all__)
    if kind is not Event and not kind.live
}
PAYLOAD = frozenset({"value", "result", "writes", "input", "answer"})
"""The fields that hold values of the user's types, which a front end writes."""

Data = Mapping[str, Any]
"""The payload of an event, as JSON-able data by field."""

_to_text = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
_to_ascii = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def write(event: Event, payload: Data, values: dict[str, str]) -> Record:
    """Write an event with its payload; the texts of large values go to `values`, by digest."""
    kind: Any = type(event)
    fields = {"v": VERSION, "kind": kind.__name__, **_writer(kind)(event)}
    for name, data in payload.items():
        fields[name] = _without_large_items(data, values)
    text = _text_of(fields)
    return Record(event.seq, f"{text} {_checksum(text)}")


def _text_of(data: Any) -> str:
    text = _to_text(data)
    # The text of an error may have lone surrogates (of file names, say), which no store can hold.
    return text if is_encodable(text) else _to_ascii(data)


def _checksum(text: str) -> str:
    return f"{crc32(text.encode(errors='replace')):08x}"


def _without_large_items(data: Any, values: dict[str, str]) -> Any:
    """Put large values out, each item of an object on its own: nodes share fields more often than all of them."""
    if type(data) is dict and REFERENCE not in data:
        return {key: _without_large(item, values) for key, item in data.items()}
    return _without_large(data, values)


def _without_large(data: Any, values: dict[str, str]) -> Any:
    if type(data) is str:
        if len(data) < LARGE:
            return data
    elif type(data) is not dict and type(data) is not list:
        return data
    text = _text_of(data)
    if len(text) < LARGE and not (type(data) is dict and REFERENCE in data):
        return data
    digest = sha256(text.encode()).hexdigest()
    values[digest] = text
    return {REFERENCE: digest}


def parse(records: Iterable[Record], *, thread_id: str, after: int = 0) -> list[dict[str, Any]]:
    """Take records apart, in order, and check that they are whole and follow on `after` without a gap.

    Raises `CheckpointError` naming the record that is damaged, missing or of a version that is not known.
    """
    texts: list[str] = []
    for number, record in enumerate(records, after + 1):
        if record.seq != number:
            raise CheckpointError(
                f"thread {thread_id}: record {number} is missing ({record.seq} follows {number - 1}){_advice(number)}",
                thread_id=thread_id,
            )
        text, _, checksum = record.text.rpartition(" ")
        if _checksum(text) != checksum:
            raise CheckpointError(
                f"thread {thread_id}: record {number} is damaged (its checksum does not match){_advice(number)}",
                thread_id=thread_id,
            )
        texts.append(text)
    parsed = _objects(texts)
    if parsed is None:
        number = next(number for number, text in enumerate(texts, after + 1) if _objects([text]) is None)
        raise CheckpointError(
            f"thread {thread_id}: record {number} is damaged (it is no JSON object){_advice(number)}",
            thread_id=thread_id,
        )
    for number, fields in enumerate(parsed, after + 1):
        if fields.get("v") != VERSION or fields.get("kind") not in KINDS or fields.get("seq") != number:
            raise CheckpointError(_unknown(thread_id, number, fields) + _advice(number), thread_id=thread_id)
    return parsed


def _objects(texts: Sequence[str]) -> list[dict[str, Any]] | None:
    """Read texts that are a JSON object each; `None` where one is not."""
    try:
        # One document is read several times faster than as many as there are records.
        found = json.loads(f"[{','.join(texts)}]")
    except ValueError:
        return None
    return found if len(found) == len(texts) and all(type(item) is dict for item in found) else None


def _advice(number: int) -> str:
    return f"; fork the thread at {number - 1} to go on from before it" if number > 1 else ""


def _unknown(thread_id: str, number: int, fields: dict[str, Any]) -> str:
    where = f"thread {thread_id}: record {number}"
    if fields.get("v") != VERSION:
        return f"{where} has version {fields.get('v')}, and this dagflow reads version {VERSION}; update dagflow"
    if fields.get("kind") not in KINDS:
        return f"{where} is of the unknown kind {fields.get('kind')!r}; update dagflow"
    return f"{where} says that it is record {fields.get('seq')}; the thread was damaged"


def references(parsed: Iterable[Data]) -> set[str]:
    """The digests of the large values that records refer to."""
    return {
        digest
        for fields in parsed
        for name in _payload_of(fields["kind"])
        if name in fields
        for digest in _references(fields[name])
    }


def _references(data: Any) -> Iterator[str]:
    if type(data) is not dict:
        return
    if REFERENCE in data:
        yield data[REFERENCE]
        return
    for item in data.values():
        if type(item) is dict and REFERENCE in item:
            yield item[REFERENCE]


def to_events(parsed: Sequence[dict[str, Any]], texts: Mapping[str, str], *, thread_id: str) -> list[Event]:
    """Make the events of parsed records, which it uses up; payloads stay JSON-able data.

    `texts` are those of their large values.

    Raises `CheckpointError` for a value that is missing or damaged, and for fields that no such event has.
    """
    values = {digest: _value(digest, text) for digest, text in texts.items()}
    made: list[Event] = []
    first = parsed[0]["seq"] if parsed else 0
    for fields in parsed:
        try:
            for name in _payload_of(fields["kind"]):
                if name in fields:
                    fields[name] = _with_large_items(fields[name], values)
            made.append(_reader(fields["kind"])(fields))
        except Exception as error:
            reason = f"its value {error} is not stored" if isinstance(error, KeyError) else describe(error)
            reason = str(error) if isinstance(error, DamagedValue) else reason
            where = f"thread {thread_id}: record {len(made) + first}"
            advice = _advice(len(made) + first)
            raise CheckpointError(f"{where} cannot be read: {reason}{advice}", thread_id=thread_id) from error
    return made


class DamagedValue(ValueError):
    """Stands for a value whose text is not the one that its digest is of, until somebody asks for it."""


def _value(digest: str, text: str) -> Any:
    if sha256(text.encode(errors="replace")).hexdigest() != digest:
        return DamagedValue(f"the value {digest[:12]}... is damaged")
    return json.loads(text)


def _looked_up(digest: str, values: Mapping[str, Any]) -> Any:
    value = values[digest]
    if isinstance(value, DamagedValue):
        raise value
    return value


def _with_large_items(data: Any, values: Mapping[str, Any]) -> Any:
    if type(data) is not dict:
        return data
    if REFERENCE in data:
        return _looked_up(data[REFERENCE], values)
    return {
        key: _looked_up(item[REFERENCE], values) if type(item) is dict and REFERENCE in item else item
        for key, item in data.items()
    }


@cache
def _converter() -> Any:
    import cattrs  # a run without a store never needs it

    return cattrs.Converter(detailed_validation=False, omit_if_default=True)


@cache
def _writer(kind: type[Event]) -> Callable[[Any], dict[str, Any]]:
    from cattrs.gen import make_dict_unstructure_fn, override

    left_out: dict[str, Any] = {name: override(omit=True) for name in PAYLOAD & _names(kind)}
    return make_dict_unstructure_fn(kind, _converter(), _cattrs_omit_if_default=True, **left_out)


@cache
def _reader(name: str) -> Callable[[dict[str, Any]], Event]:
    """A reader of the records of one kind, which uses up the fields that it is given.

    The checksum has told that the fields are what a dagflow wrote, so that plain ones are not looked at one by one.
    """
    kind = KINDS[name]
    attrs.resolve_types(kind)
    readers = [
        (attribute.name, _field_reader(attribute.type))
        for attribute in attrs.fields(kind)
        if attribute.name not in PAYLOAD and attribute.type not in (str, int, float, bool)
    ]

    def read(fields: dict[str, Any]) -> Event:
        del fields["v"], fields["kind"]
        for key, make in readers:
            if key in fields:
                fields[key] = make(fields[key])
        return kind(**fields)

    return read


def _field_reader(hint: Any) -> Callable[[Any], Any]:
    from dagflow.core.structure import reader_of

    if hint == tuple[str, ...]:
        return tuple
    return reader_of(hint)


@cache
def _payload_of(name: str) -> tuple[str, ...]:
    return tuple(sorted(PAYLOAD & _names(KINDS[name])))


def _names(kind: type[Event]) -> set[str]:
    return {attribute.name for attribute in attrs.fields(kind)}
