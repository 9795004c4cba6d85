"""The Redis store: where it is, how long its leases and threads last, and whether the server keeps anything."""

from __future__ import annotations

import warnings
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import TYPE_CHECKING

import anyio
from anyio import to_thread

from dagflow.core.storage import Session
from dagflow.errors import CheckpointError
from dagflow.store.checks import check_ttl
from dagflow.store.redis.address import Address
from dagflow.store.redis.keys import Keys
from dagflow.store.redis.listing import sweep
from dagflow.store.redis.session import RedisSession, Terms

if TYPE_CHECKING:
    from dagflow.store.redis.link import Link

__all__ = ["RedisStore"]


class RedisStore:
    """Keeps journals in a Redis server (6.2 or later; no modules needed, no Redis Cluster).

    `url` is like `redis://localhost:6379/0`, `rediss://user:password@host/0` (TLS; the certificate and its name are
    checked) or `unix:///path/redis.sock?db=0`. All keys begin with `prefix`. `ttl` is how many seconds a thread is
    kept after its newest record, while nobody holds its lease; without it, for ever.

    `lease` is how many seconds a lease holds that is neither renewed nor written with: for so long nobody can go on
    with the run of a process that died. `timeout` is how many seconds a reply may take, `retry` for about how many
    seconds a command is tried again where the server cannot be reached, does not answer or is still loading: a restart
    of the server is survived where it takes less. Then the method raises `CheckpointError`.

    What survives is the server's to say. With `appendonly yes` and `appendfsync always` an append that has returned
    survives a crash of the server and a power cut. With `appendfsync everysec`, Redis's default for it, it survives a
    crash of the server, and a power cut takes about the last second; with `no`, about the last half minute. Without
    `appendonly`, a crash takes what came after the last snapshot (`save`), which can be an hour's work, and a run that
    goes on from an older record does that work again. With neither a restart loses every run, and opening the store
    gives a `RuntimeWarning`, once for each store object.

    A method that is cancelled waits for the reply to what was sent, up to `timeout` seconds, so that it has its whole
    effect or none. Leases that were not given back end with their session.

    Raises `ImportError` that names the extra where coredis is not installed, and `ValueError` for arguments that make
    no sense.
    """

    def __init__(
        self,
        url: str = "redis://localhost:6379/0",
        *,
        prefix: str = "dagflow:",
        ttl: float | None = None,
        lease: float = 10.0,
        timeout: float = 5.0,
        retry: float = 10.0,
    ) -> None:
        self._address = Address.of(url)
        for name, seconds in (("lease", lease), ("timeout", timeout)):
            if not seconds > 0:
                raise ValueError(f"{name} must be a number of seconds above 0, not {seconds!r}")
        if not retry >= 0:
            raise ValueError(f"retry must be a number of seconds, or 0, not {retry!r}")
        self._terms = Terms(Keys(prefix), milliseconds(lease), milliseconds(check_ttl(ttl) or 0))
        self._timeout = timeout
        self._retry = retry
        self._looked = False
        load_coredis()

    def __repr__(self) -> str:
        return f"RedisStore({str(self._address)!r}, prefix={self._terms.keys.prefix!r})"

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[Session]:
        """Connect, and give back at the end what leases are out.

        Raises `CheckpointError` at once where nobody listens at the address or the password is wrong; a server that
        does not answer or is still loading is waited for, up to `retry` seconds. Closing is shielded from
        cancellation and takes up to `timeout` seconds.
        """
        from dagflow.store.redis.link import Link, connections

        failure: BaseException | None = None
        try:
            async with anyio.create_task_group() as tasks:
                make = await to_thread.run_sync(connections, self._address)
                link = Link(self._address, make, tasks, timeout=self._timeout, retry=self._retry)
                try:
                    await link.open()
                    await self._look(link)
                    if self._terms.ttl:
                        await sweep(link, self._terms.keys)
                    session = RedisSession(link, self._terms)
                    try:
                        yield session
                    finally:
                        with anyio.move_on_after(self._timeout, shield=True):
                            await session.close()
                except BaseException as error:
                    failure = error
                    raise
                finally:
                    await link.close()
        except BaseExceptionGroup:
            if failure is None or isinstance(failure, anyio.get_cancelled_exc_class()):
                raise
        else:
            return
        raise failure  # out here, so that its own cause and context stay as they are, and no group is seen

    async def _look(self, link: Link) -> None:
        """Warn where the server keeps nothing on disk, the first time it is asked."""
        if self._looked:
            return
        try:
            settings = {
                **as_settings(await link.look("", b"CONFIG GET", b"appendonly")),
                **as_settings(await link.look("", b"CONFIG GET", b"save")),
            }
        except CheckpointError as error:
            if not is_denied(error):
                raise
            settings = {}  # Managed services allow no CONFIG, and INFO does not tell whether there are save points.
        self._looked = True
        if settings.get("appendonly") == "no" and settings.get("save") == "":
            warnings.warn(
                f"Redis at {self._address} keeps nothing on disk: a restart loses every run; set appendonly yes",
                RuntimeWarning,
                stacklevel=4,
            )


def milliseconds(seconds: float) -> int:
    """Convert a duration; one above 0 stays above 0."""
    return max(round(seconds * 1000), int(seconds > 0))


def as_settings(reply: object) -> dict[str, str]:
    """Read the reply to CONFIG GET."""
    assert isinstance(reply, dict), reply
    return {name.decode(): value.decode() for name, value in reply.items()}


def is_denied(error: CheckpointError) -> bool:
    from coredis.exceptions import ResponseError

    return isinstance(error.__cause__, ResponseError)


def load_coredis() -> None:
    """Import coredis, which takes its time, before a run begins; raises `ImportError` that names the extra."""
    try:
        import_module("dagflow.store.redis.link")
    except ModuleNotFoundError as error:
        if error.name != "coredis":
            raise
        raise ImportError("RedisStore needs coredis: pip install 'dagflow[redis]'", name="coredis") from error
