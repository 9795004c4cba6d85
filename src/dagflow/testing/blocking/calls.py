"""The functions that block a thread: when each of them does, and what to do instead."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from typing import Any

import attrs

__all__ = ["BlockingFunction", "blocking_functions"]

IN_A_THREAD = "call it in a worker thread: anyio.to_thread.run_sync(...)"
ADVICE = {
    "time.": "await anyio.sleep(...)",
    "sqlite3.": "call it in a worker thread, one at a time for each connection",
    "socket.": "use anyio's streams, or " + IN_A_THREAD,
    "ssl.SSLSocket": "use anyio.streams.tls",
    "ssl.": "it reads files: prepare the context once, before the event loop runs or in a worker thread",
    "subprocess.": "await anyio.run_process(...), or where the program may start others dagflow's kernel.process",
    "os.wait": "await the process; a pidfd tells when it ends",
    "threading.Thread": "run the thread with anyio.to_thread.run_sync(...) and await that",
    "threading.": "use anyio's locks and events, or wait for it in a worker thread",
    "queue.": "use anyio.create_memory_object_stream, or " + IN_A_THREAD,
}
"""What to do instead of a function, by the beginning of its name."""

NOT_BLOCKING = frozenset({"os.getcwd", "os.path.abspath", "os.path.samestat"})
"""What blockbuster lists though no disk is read for it."""

Exemptions = tuple[tuple[str, frozenset[str]], ...]


@attrs.frozen
class BlockingFunction:
    """A function that can block: the object it is an attribute of, and when it does not block after all."""

    name: str
    owner: Any
    attribute: str
    harmless: Callable[..., bool]
    """Whether a call with these arguments returns at once."""
    exempt: Exemptions = ()
    """Library functions, as ends of file names and names, that call it and are known to do no harm."""

    @property
    def advice(self) -> str:
        """What to do instead."""
        return next((advice for start, advice in ADVICE.items() if self.name.startswith(start)), IN_A_THREAD)


def blocking_functions() -> list[BlockingFunction]:
    """List what can block: the functions that blockbuster knows, and more.

    Raises `ImportError`, which names the extra, where blockbuster is not installed.
    """
    found = {function.name: function for function in (*known_to_blockbuster(), *known_to_us())}
    return list(found.values())


def known_to_blockbuster() -> Iterator[BlockingFunction]:
    # Only its list is used. Its own check knows no trio, and raises where the call is made, which a handler of the
    # code under test can swallow and a clean-up may not survive.
    try:
        from blockbuster import BlockBuster
    except ImportError as error:
        raise ImportError("the blocking detector needs blockbuster: pip install 'dagflow[testing]'") from error
    for name, function in BlockBuster().functions.items():
        if function.original_func is not None and name not in NOT_BLOCKING:
            exempt = tuple((file, frozenset(names)) for file, names in function.can_block_functions)
            yield BlockingFunction(name, function.module, function.func_name, function.can_block_predicate, exempt)


def known_to_us() -> Iterator[BlockingFunction]:
    import builtins
    import fcntl
    import importlib
    import io
    import queue
    import select
    import ssl
    import threading

    for owner, name, attributes in (
        (builtins, "builtins", "open"),
        (io, "io", "open"),
        (os, "os", "open lstat fsync fdatasync system wait"),
        (socket, "socket", "gethostbyname gethostbyname_ex gethostbyaddr getfqdn"),
        (ssl.SSLContext, "ssl.SSLContext", "load_verify_locations load_default_certs load_cert_chain"),
    ):
        for attribute in attributes.split():
            if hasattr(owner, attribute):
                yield BlockingFunction(f"{name}.{attribute}", owner, attribute, never)
    # By name, because only a few modules of ours may import these.
    sqlite3, subprocess = map(importlib.import_module, ("sqlite3", "subprocess"))
    yield BlockingFunction("sqlite3.connect", sqlite3, "connect", never)
    yield BlockingFunction("subprocess.Popen", vars(subprocess)["Popen"], "__init__", never)
    yield BlockingFunction("fcntl.flock", fcntl, "flock", lock_is_not_waited_for)
    yield BlockingFunction("fcntl.lockf", fcntl, "lockf", lock_is_not_waited_for)
    yield BlockingFunction("os.waitpid", os, "waitpid", child_has_ended)
    yield BlockingFunction("select.select", select, "select", lambda r, w, x, timeout=None: timeout == 0)
    yield BlockingFunction("socket.getaddrinfo", socket, "getaddrinfo", address_is_numeric)
    yield BlockingFunction("threading.Thread.join", threading.Thread, "join", thread_has_ended)
    yield BlockingFunction("queue.SimpleQueue.get", queue.SimpleQueue, "get", item_is_there)


def never(*args: object, **kwargs: object) -> bool:
    return False


def lock_is_not_waited_for(descriptor: object, operation: int, *args: object, **kwargs: object) -> bool:
    import fcntl

    return bool(operation & (fcntl.LOCK_NB | fcntl.LOCK_UN))


def child_has_ended(process: int, options: int) -> bool:
    if options & os.WNOHANG:
        return True
    if process <= 0 or not hasattr(os, "waitid"):
        return False
    try:
        return os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:  # and so will the call
        return True


def address_is_numeric(
    host: object, port: object, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
) -> bool:
    return host is None or bool(flags & socket.AI_NUMERICHOST)


def thread_has_ended(thread: Any, timeout: float | None = None) -> bool:
    return timeout == 0 or not thread.is_alive()


def item_is_there(queue: Any, block: bool = True, timeout: float | None = None) -> bool:
    return not block or timeout == 0 or not queue.empty()
