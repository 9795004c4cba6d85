"""From the events of a text to plain data with the place of everything, with all that is wrong on the way.

Events come one at a time, and each limit is asked before more is read or kept. Nothing that YAML has beyond JSON's
data is taken: no anchors and aliases, tags, merge keys, second documents, or keys that are no texts.
"""

from __future__ import annotations

import re
from contextlib import suppress
from itertools import islice
from typing import Any, NoReturn, TypeAlias

import attrs

from dagflow.source.limits import Limits
from dagflow.source.problems import Enough, Problem, Problems
from dagflow.source.scalars import CONSTANTS, FIRST_OF_NUMBER, Unwanted, excerpt, read_plain
from dagflow.source.scan import MakeParser, yaml_library
from dagflow.source.syntax import ALIAS, DIRECTIVE, NO_KEY, TAB, TAG, Malformed, explain, is_too_deep
from dagflow.source.text import Lines
from dagflow.source.texts import check_block, check_surrogates, span, tabs_outside

__all__ = ["Composed", "Composer", "Place"]

Place: TypeAlias = Any
"""Where a value is: an offset; of a list `(offset, [place, ...])`, of a mapping `(offset, {key: (offset, place)})`."""

_DIRECTIVE = re.compile(r"(?<![^\r\n])%[^\r\n]*")
_ALLOWED_DIRECTIVE = re.compile(r"%YAML +1\.2 *(?: #.*)?")
# Possessive: a comment is never taken apart to find a colon in it.
_COLON = re.compile(r"(?:\s|#[^\r\n]*+)*+:")
_DOCUMENT_MARKS = ("\n---", "\r---", "\n...", "\r...")
_OPENING = re.compile(r"[\[{]")
_LONGEST_SHOWN = 40

_FIRST_OF_OTHERS = FIRST_OF_NUMBER | {word[:1] for word in CONSTANTS}
_KINDS = {int: "an integer", float: "a number", bool: "a boolean", type(None): "null"}


@attrs.frozen
class Composed:
    """What a text holds, where everything is, and what is wrong; data and places count only if nothing is."""

    data: Any
    places: Place
    problems: tuple[Problem, ...]


class Composer:
    """Composes the one document of a text; `make_parser` is one of those of the package `scan`."""

    def __init__(self, lines: Lines, text: str, limits: Limits, make_parser: MakeParser) -> None:
        self._lines = lines
        self._text = text
        self._limits = limits
        self._max_scalar = limits.max_scalar
        self._max_digits = limits.max_digits
        self._make_parser = make_parser
        self._next = make_parser(text).get_event
        library = yaml_library()
        self._error: type[Exception] = library.YAMLError
        self._events = library.events
        self._scalar_event = library.events.ScalarEvent
        self._mapping_end = library.events.MappingEndEvent
        self._sequence_end = library.events.SequenceEndEvent
        self._problems = Problems()
        self._path: list[str | int] = []
        self._left = limits.max_nodes
        self._root = 0
        # What a file has none of is not looked for in each of its texts.
        self._has_backslash = "\\" in text
        self._has_question = "?" in text
        self._has_tab = "\t" in text
        self._has_unusual = "&" in text or "!" in text or self._has_tab
        self._spans: list[tuple[int, int]] = []
        self._end = 0
        self._last: Any = None

    def compose(self) -> Composed:
        """Read the document. Nothing is raised for what is wrong with it: it is in the answer."""
        data: Any = None
        places: Place = 0
        with suppress(Enough):
            try:
                data, places = self._document()
                self._end = len(self._text)
            except Malformed as error:
                self._problems.add(error.offset, error.problem)
            except self._error as error:
                self._refuse_malformed(error)
            if self._has_tab:
                for offset in tabs_outside(self._text, self._spans, self._end):
                    self._problems.add(offset, TAB)
        return Composed(data, places, self._problems.found)

    # What is wrong.

    def _refuse(self, offset: int, text: str) -> None:
        """Note a problem of what is being read, and read on unless there are enough."""
        self._problems.add(offset, text, tuple(self._path))

    def _refuse_malformed(self, error: Exception) -> None:
        if is_too_deep(error):
            # libyaml looks ahead, and has seen some hundreds of brackets in a row that it gave no events for.
            seen = self._last.end_mark.index if self._last is not None else 0
            brackets = islice(_OPENING.finditer(self._text, seen), self._limits.max_depth - len(self._path) + 1)
            offset, problem = max((found.start() for found in brackets), default=seen), self._too_deep()
        else:
            offset, problem = explain(self._lines, self._text, error)
        self._problems.add(offset, problem)

    def _too_deep(self) -> str:
        most = self._limits.max_depth
        return f"lists and mappings are more than {most} deep inside of each other, the limit set by max_depth"

    # The document.

    def _document(self) -> tuple[Any, Place]:
        events = self._events
        self._next()
        start = self._next()
        if type(start) is events.StreamEndEvent:
            self._problems.add(0, "there is nothing in the file")
            raise Enough
        self._check_directives(start.end_mark.index)
        root = self._next()
        self._root = root.start_mark.index
        self._count_ahead()
        found = self._node(root)
        self._next()
        end = self._next()
        if type(end) is not events.StreamEndEvent:
            behind = end.start_mark.index
            told = "a second document begins here; write one document in a file"
            self._problems.add(behind, DIRECTIVE if self._text.startswith("%", behind) else told)
        return found

    def _check_directives(self, end: int) -> None:
        for found in _DIRECTIVE.finditer(self._text, 0, end):
            if _ALLOWED_DIRECTIVE.fullmatch(found[0]) is None:
                raise Malformed(found.start(), DIRECTIVE)

    def _count_ahead(self) -> None:
        """Refuse a file with far too many nodes at a tenth of the time: libyaml counts events without making them.

        There are at most two events for a node, and four around the document.
        """
        if len(self._text) <= self._limits.max_nodes:
            return
        if any(mark in self._text for mark in _DOCUMENT_MARKS):
            return
        count = getattr(self._make_parser(self._text), "raw_parse", None)
        if count is None:
            return
        try:
            events = count()
        except self._error:
            return
        if events - 4 > 2 * self._limits.max_nodes:
            self._refuse_many()

    def _refuse_many(self) -> NoReturn:
        # It is told alone, so that it does not matter whether the nodes were counted before they were read.
        most = self._limits.max_nodes
        self._problems.only(self._root, f"the file has more than {most} nodes, the limit set by max_nodes")
        raise Enough

    # Nodes.

    def _node(self, event: Any) -> tuple[Any, Place]:
        kind = type(event)
        if kind is self._scalar_event:
            return self._scalar(event), event.start_mark.index
        self._left -= 1
        if self._left < 0:
            self._refuse_many()
        self._last = event
        offset = event.start_mark.index
        if kind is self._events.AliasEvent:
            self._refuse(offset, ALIAS)
            return None, offset
        if self._has_unusual:
            self._check_properties(event)
        if len(self._path) >= self._limits.max_depth:
            self._problems.add(offset, self._too_deep())
            raise Enough
        if kind is self._events.MappingStartEvent:
            return self._mapping(offset, flow=event.flow_style)
        return self._sequence(offset)

    def _sequence(self, offset: int) -> tuple[Any, Place]:
        data: list[Any] = []
        places: list[Place] = []
        path, read, scalar, scalar_event = self._path, self._next, self._scalar, self._scalar_event
        path.append(0)
        while (kind := type(event := read())) is not self._sequence_end:
            path[-1] = len(data)
            if kind is scalar_event:  # as in `_node`, at a third less
                data.append(scalar(event))
                places.append(event.start_mark.index)
                continue
            value, place = self._node(event)
            data.append(value)
            places.append(place)
        path.pop()
        return data, (offset, places)

    def _mapping(self, offset: int, *, flow: bool) -> tuple[Any, Place]:
        data: dict[str, Any] = {}
        places: dict[str, tuple[int, Place]] = {}
        path, read, scalar, scalar_event = self._path, self._next, self._scalar, self._scalar_event
        path.append("")
        while (kind := type(key_event := read())) is not self._mapping_end:
            key = scalar(key_event) if kind is scalar_event else None
            if type(key) is not str or key == "<<" or (flow and self._has_question):
                key = self._odd_key(key_event, key, flow=flow)
            event = read()
            if key is None:
                self._node(event)
                continue
            at = key_event.start_mark.index
            if key in data:
                self._refuse_key(at, f"the key {excerpt(key)} is there twice, first in {self._line(places[key][0])}")
            path[-1] = key
            if type(event) is scalar_event:  # as in `_node`, at a third less
                data[key] = value = scalar(event)
                places[key] = (at, event.start_mark.index)
                if value is None and not event.value:
                    places[key] = (at, at)  # what is left empty is told where its key is
                    if flow:
                        self._check_colon(key_event, key)
                continue
            data[key], place = self._node(event)
            places[key] = (at, place)
        path.pop()
        return data, (offset, places)

    def _scalar(self, event: Any) -> Any:
        self._last = event
        self._left -= 1
        if self._left < 0:
            self._refuse_many()
        text = event.value
        if len(text) > self._max_scalar:
            self._refuse_long(event)
        if self._has_unusual:
            self._check_properties(event)
            if self._has_tab:
                self._note_text(event)
        if event.style:  # quoted, or a block
            self._check_text(event)
            return text
        if text[:1] not in _FIRST_OF_OTHERS:
            return text
        try:
            return read_plain(text, self._max_digits)
        except Unwanted as error:
            self._refuse(event.start_mark.index, str(error))
            return text

    def _refuse_long(self, event: Any) -> None:
        told = f"the text has more than {self._max_scalar} characters, the limit set by max_scalar"
        self._refuse(event.start_mark.index, told)
        raise Enough

    def _check_properties(self, event: Any) -> None:
        """Refuse anchors and tags, a lone `!` too."""
        offset = event.start_mark.index
        if event.anchor is not None:
            self._refuse(offset, ALIAS)
        if event.tag is not None:
            self._refuse(offset, TAG)

    # Keys.

    def _odd_key(self, event: Any, value: Any, *, flow: bool) -> str | None:
        """Refuse a key that is no text, or may not be one; `None` where nothing can be called by it."""
        offset = event.start_mark.index
        if type(event) is not self._scalar_event:
            self._refuse_key_node(event, offset)
            return None
        key: str = event.value
        if flow and self._text.startswith("?", offset - 1) and offset:
            self._refuse_key(offset - 1, "text cannot begin with '?' inside of [] and {}; put it in quotes")
        if not event.style and key == "<<":
            self._refuse_key(offset, "merge keys (<<) are not allowed; write the keys out")
        if type(value) is not str:
            shown = key if len(key) <= _LONGEST_SHOWN else f"{key[:_LONGEST_SHOWN]}..."
            told = f"the key {shown} is {_KINDS[type(value)]}, and keys are texts; put it in quotes"
            self._refuse_key(offset, told if key else NO_KEY)
        return key

    def _refuse_key(self, offset: int, text: str) -> None:
        last = self._path.pop()  # the mapping is meant, and not the key before
        self._refuse(offset, text)
        self._path.append(last)

    def _refuse_key_node(self, event: Any, offset: int) -> None:
        events = self._events
        if type(event) is events.AliasEvent:
            self._refuse_key(offset, ALIAS)
            return
        what, bracket = ("mapping", "{") if type(event) is events.MappingStartEvent else ("list", "[")
        self._refuse_key(offset, f"a key is a text, not a {what}; put text that begins with {bracket} in quotes")
        known = len(self._problems)
        self._node(event)
        self._problems.keep(known)  # what is wrong inside of it is the same mistake

    def _check_colon(self, event: Any, key: str) -> None:
        """Refuse `{state.x}`, which YAML takes for a mapping, and `{type:llm}`."""
        behind = event.end_mark.index
        if _COLON.match(self._text, behind) is not None or not self._text[behind:].strip():
            return  # at the end of the text a bracket is missing, which is told
        if ":" in key:
            told = f"there is no space after the colon in {excerpt(key)}; write `key: value`"
        else:
            told = f"{excerpt(key)} has no value; put text that holds braces in quotes, or write `key: value`"
        self._refuse_key(event.start_mark.index, told)

    def _line(self, offset: int) -> str:
        return f"line {self._lines.mark(offset).line}"

    # Texts.

    def _check_text(self, event: Any) -> None:
        """Check a text in quotes or in a block."""
        if event.style in "|>":
            check_block(self._text, event.start_mark.index, event.value)
        elif event.style == '"' and self._has_backslash:
            if "\0" in event.value:
                self._refuse(event.start_mark.index, "a text cannot hold a NUL character; leave it out")
            check_surrogates(self._text, event.start_mark.index, event.end_mark.index, event.value)

    def _note_text(self, event: Any) -> None:
        """Keep in mind where tabs may stand."""
        start, self._end = event.start_mark.index, event.end_mark.index
        if event.style:
            self._spans.append(span(self._text, start, self._end, event.style))
