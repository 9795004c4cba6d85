"""Finding what `--store` names, and looking at a thread in it."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from difflib import get_close_matches
from typing import Any, Final, TypeVar, cast
from urllib.parse import urlsplit

import attrs

from dagflow.cli.options import STORE_VARIABLE
from dagflow.cli.problems import BrokenTarget, UsageProblem
from dagflow.cli.targets import find_attribute, load_module, parse
from dagflow.core.storage import Session, Store, check_thread_id
from dagflow.errors import describe
from dagflow.kernel.entry import run_to_completion
from dagflow.kernel.thread import Thread

__all__ = ["Place", "ask", "existing_place", "find_place", "in_store", "on_thread", "thread_name"]

T = TypeVar("T")

FORMS: Final = (
    "runs.db or sqlite:PATH (a file), redis://HOST, rediss://HOST or unix:///PATH (a Redis server), "
    "module:name or file.py:name (a store of your own)"
)
SERVERS: Final = ("redis", "rediss", "unix")
NOT_FILES: Final = (*SERVERS, "sqlite", "memory", ":memory:")
MASK: Final = "***"
SUGGESTED_AMONG: Final = 1_000
"""How many of a store's newest threads are compared with the name of one that is not there."""


@attrs.frozen(eq=False)
class Place:
    """A store, and how it was named, empty where the target names it; `path` is that of its file, if it has one."""

    store: Store
    spec: str
    path: str = ""

    @property
    def shown(self) -> str:
        """The store as `--store` takes it, without a password."""
        if not self.spec:
            return "its own store"
        scheme, separator, rest = self.spec.partition("://")
        login, at, host = rest.rpartition("@")
        if not separator or not at:
            return self.spec
        user, colon, _ = login.partition(":")
        return f"{scheme}://{user}{colon}{MASK if colon else ''}@{host}"

    @property
    def options(self) -> tuple[str, ...]:
        """What names the store on a further command line; a password that the environment has stays there."""
        if not self.spec:  # the graph itself says where
            return ()
        if self.shown != self.spec and os.environ.get(STORE_VARIABLE) == self.spec:
            return ()
        return ("--store", self.shown)


def find_place(spec: str) -> Place:
    """Find the store that a spec names; one in a file need not be there.

    Raises `UsageProblem` for a spec that names none, listing what there is, and `BrokenTarget` where importing or
    making it fails. No message has a part of what may be a password.
    """
    scheme, separator, rest = spec.partition("://")
    if separator:
        if scheme not in SERVERS:
            raise UsageProblem(f"--store begins with {scheme}://, which is no store; there is {FORMS}")
        return Place(_redis(spec), spec)
    if spec in NOT_FILES or not spec.strip():
        raise UsageProblem(f"--store {spec!r} is no store; there is {FORMS}")
    kind, colon, rest = spec.partition(":")
    if kind in SERVERS and colon:
        raise UsageProblem(f"a Redis server is named as {kind}://..., and not as {kind}:...")
    if not colon or kind == "sqlite":
        return _file(spec, rest if colon else spec)
    return Place(_named(spec), spec)


def existing_place(spec: str | None) -> Place:
    """Find a store that is there already, and make none; raises `UsageProblem` where there is none."""
    if spec is None:
        raise UsageProblem(f"which store? give one with --store, or in {STORE_VARIABLE}; there is {FORMS}")
    place = find_place(spec)
    if place.path and not os.path.exists(place.path):
        raise UsageProblem(f"there is no store {place.path}; `dagflow run TARGET --store {place.spec}` makes one")
    return place


def _file(spec: str, path: str) -> Place:
    from dagflow.store.sqlite import SQLiteStore

    if path.endswith(".py"):
        raise UsageProblem(f"--store {spec} does not say which store of the file; write {spec}:name")
    try:
        return Place(SQLiteStore(path), spec, path)
    except ValueError as error:
        raise UsageProblem(f"--store {spec}: {error}") from None


def _redis(url: str) -> Store:
    from dagflow.store.redis import RedisStore

    try:
        urlsplit(url)
        return RedisStore(url)
    except (ImportError, ValueError) as error:
        raise UsageProblem(f"--store: {error}") from None


def _named(spec: str) -> Store:
    target = parse(spec)
    try:
        if not target.name:
            raise UsageProblem("the name of the store is missing")
        found = find_attribute(load_module(target), target)
    except UsageProblem as problem:
        raise UsageProblem(f"--store {spec}: {problem}\nthere is {FORMS}") from None
    return _make(found, spec)


def _make(found: Any, spec: str) -> Store:
    """Take a store as it is, and call what makes one."""
    if isinstance(found, type) or (callable(found) and not hasattr(found, "open")):
        try:
            found = found()
        except Exception as error:
            raise BrokenTarget(f"--store {spec} could not be made: {describe(error)}") from error
    if not callable(getattr(found, "open", None)):
        raise UsageProblem(f"--store {spec} is no store but {found!r}; one has the method open")
    return cast("Store", found)


def thread_name(given: str) -> str:
    """Check the name of a thread; raises `UsageProblem` for one that no store can hold."""
    try:
        return check_thread_id(given)
    except ValueError as error:
        raise UsageProblem(str(error).replace("thread_id", "the name of a thread")) from None


def ask(work: Callable[[], Awaitable[T]]) -> T:
    """Do something with a store, in an event loop of its own."""
    return run_to_completion(work, backend="asyncio", instead="the store itself")


def in_store(place: Place, work: Callable[[Session], Awaitable[T]]) -> T:
    """Do something with an open store."""

    async def main() -> T:
        async with place.store.open() as session:
            return await work(session)

    return ask(main)


def on_thread(place: Place, thread_id: str, work: Callable[[Thread], Awaitable[T]]) -> T:
    """Do something with a thread; raises `UsageProblem`, with names that are like it, where there is none."""
    name = thread_name(thread_id)

    async def main(session: Session) -> T:
        if await session.find(name) is None:
            raise await unknown(place, session, name)
        return await work(Thread(name, place.store))

    return in_store(place, main)


async def unknown(place: Place, session: Session, name: str) -> UsageProblem:
    """Say that there is no such thread, and which are like it."""
    page = await session.list(limit=SUGGESTED_AMONG)
    near = get_close_matches(name, [thread.thread_id for thread in page.threads], 3)
    advice = f"did you mean {' or '.join(near)}?" if near else "`dagflow runs list` has what there is"
    return UsageProblem(f"there is no thread {name} in the store {place.shown}; {advice}")
