"""Keep answers on disk, and give them again to who asks the same."""

from __future__ import annotations

import math
import os
import tempfile
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import attrs
from anyio.lowlevel import EventLoopToken, current_token

from dagflow.core.secrets import mask
from dagflow.kernel.context import token_stream
from dagflow.kernel.flight import Flight
from dagflow.lm.base import BaseLM
from dagflow.lm.billing import losses
from dagflow.lm.protocol import LMRequest, LMResponse
from dagflow.lm.wrappers.base import Wrapper, lm_name
from dagflow.lm.wrappers.cache_entry import asked_for, entry_name, read_entry, write_entry
from dagflow.types import Usage

__all__ = ["Cached", "cached"]


class Cached(Wrapper):
    """A language model whose answers are kept; `cached` makes it.

    `hits` counts the answers that came from disk, `misses` the requests that were sent, and `shared` those that
    got the answer of an equal one that was under way.
    """

    made_by = "cached"

    def __init__(self, lm: BaseLM, folder: Path, ttl: float | None, key: Any) -> None:
        super().__init__(lm)
        self.hits: int = 0
        self.misses: int = 0
        self.shared: int = 0
        self._lm = lm
        self._folder = folder
        self._ttl = math.inf if ttl is None else ttl
        self._key = key
        # An event of one loop cannot wake a waiter in another, so each loop has flights of its own.
        self._flights: dict[tuple[EventLoopToken, str], tuple[Flight, float]] = {}

    @property
    def identity(self) -> Mapping[str, Any] | None:
        """That of the wrapped language model, with `key` where it was given."""
        identity = super().identity
        if self._key is None:
            return identity
        return {"key": self._key} if identity is None else {**identity, "key": self._key}

    async def complete(self, request: LMRequest) -> LMResponse:
        """Give the answer that is kept, or ask for it; see `cached`."""
        asked = asked_for(request, self.identity)
        name = entry_name(asked)
        place = (current_token(), name)
        while place in self._flights:
            flight, deadline = self._flights[place]
            await flight.wait()
            # One who was cancelled, or had less time, does not speak for those who waited for him.
            impatient = flight.error is not None and deadline < anyio.current_effective_deadline()
            if flight.cancelled or impatient:
                continue
            if flight.error is not None:
                raise flight.error
            self.shared += 1
            return await _streamed(flight.value)
        return await self._lead(place, request, asked)

    async def _lead(
        self, place: tuple[EventLoopToken, str], request: LMRequest, asked: Mapping[str, Any]
    ) -> LMResponse:
        """Find the answer or ask for it, for all who want it."""
        flight = Flight(detached=False)
        self._flights[place] = flight, anyio.current_effective_deadline()
        failure: BaseException | None = None
        try:
            response = await self._find(place[1], request, asked)
            flight.value = response
        except BaseException as error:
            failure = error
            raise
        finally:
            del self._flights[place]
            flight.land(failure, cancelled=not isinstance(failure, Exception | None))
        return response

    async def _find(self, name: str, request: LMRequest, asked: Mapping[str, Any]) -> LMResponse:
        path = self._folder / name
        data = await anyio.to_thread.run_sync(_read, path)
        found = None if data is None else read_entry(data, asked, made_after=time.time() - self._ttl)
        if found is not None:
            self.hits += 1
            return await _streamed(found)
        self.misses += 1
        with losses() as lost:
            response = await self._lm.complete(request)
            try:
                await self._keep(path, asked, response)
            except BaseException:
                lost.add(response.usage)  # cancelled, with an answer that is paid for
                raise
        return response

    async def _keep(self, path: Path, asked: Mapping[str, Any], response: LMResponse) -> None:
        """Write an answer down, unless it is no whole answer or holds a secret."""
        if response.finish_reason not in ("stop", "tool_calls"):
            return
        text = write_entry(asked, response, time.time())
        if mask(text, self.secrets) != text:
            return
        try:
            await anyio.to_thread.run_sync(_write, path, text)
        except OSError as error:
            # The answer is there and paid for: worth more than an error that loses it.
            warnings.warn(f"the answer could not be kept in {path}: {error}", RuntimeWarning, stacklevel=1)


def cached(
    lm: BaseLM, folder: str | os.PathLike[str], *, ttl: float | None = None, key: Mapping[str, Any] | str | None = None
) -> Cached:
    """Keep answers in `folder`, one JSON file each, and give them again without asking.

    An answer belongs to all that decides it: the request (its texts, schema, tools, purpose and target), the
    `identity` of `lm` (its model and settings), and `key`, any JSON-able data of yours: a version, say. It is
    given for `ttl` seconds, or for ever. Only whole answers are kept, none that was cut off or refused, and none
    in whose file a secret of `lm` would stand. Files are written whole or not at all, so processes can share the
    folder; one that is damaged counts for nothing, and is written anew. They hold the requests too, in plain
    text, and only their owner may read them.

    An answer from disk used nothing: `Usage()`. Equal requests at the same time are sent once; one who is
    cancelled does not take the answer from the others, an error goes to all who waited for it. A run that is
    streamed gets a kept answer in one piece.

    Raises `ValueError` for a language model without an identity where no `key` stands for it, and for a folder
    that cannot be written. One that can no longer be written during a run is a `RuntimeWarning`, and the answer
    is given. Cancellation passes through.
    """
    if ttl is not None and not ttl > 0:
        raise ValueError(f"ttl must be a number of seconds above 0, not {ttl!r}")
    wrapper = Cached(lm, Path(folder), ttl, key)
    if wrapper.identity is None:
        raise ValueError(
            f"{lm_name(lm)} does not say what decides its answers (its identity is None), so answers of another model "
            f"could be taken for its own; pass key= with what tells it apart, or give it an `identity` property"
        )
    try:
        entry_name(wrapper.identity)
    except (TypeError, ValueError) as error:
        raise ValueError(f"the identity of {lm_name(lm)} and key= must be JSON-able data: {error}") from error
    try:
        wrapper._folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(f"no answers can be kept in {folder}: {error}; give a folder that can be written") from error
    return wrapper


async def _streamed(response: LMResponse) -> LMResponse:
    """Give an answer that is there already, in one piece to those who follow the run."""
    stream = token_stream()
    if stream is not None and response.text:
        await stream.send(response.text)
    return attrs.evolve(response, usage=Usage())


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:  # not there, or not to be read: both are a miss
        return None


def _write(path: Path, text: str) -> None:
    """Write a file so that nobody ever sees a part of it.

    It is not synced to disk: what a power cut leaves damaged is a miss.
    """
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
