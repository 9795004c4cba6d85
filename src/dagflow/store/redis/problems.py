"""Translate what Redis and coredis report into `CheckpointError`, with what to do about it."""

from __future__ import annotations

import re

import attrs
from coredis import exceptions

from dagflow.core.secrets import mask
from dagflow.errors import CheckpointError
from dagflow.store.redis.address import Address

__all__ = ["may_pass", "problem", "refused"]

UNREACHABLE = "start it, or check the URL"
CLUSTER = "it is a Redis Cluster, which this store cannot use: give the URL of a plain Redis"
OLD = "this store needs Redis 6.2 or later"


@attrs.frozen
class Advice:
    """What to do about an error, known by its class or by the code that its text begins with or holds."""

    kind: type[BaseException] | None
    code: str
    text: str


ADVICE = (
    Advice(exceptions.BusyLoadingError, "LOADING", "it still loads its data: wait until it has, and try again"),
    Advice(exceptions.AuthenticationRequiredError, "NOAUTH", "it asks for a password: put one into the URL"),
    Advice(exceptions.AuthenticationFailureError, "WRONGPASS", "check the user name and the password in the URL"),
    Advice(
        exceptions.AuthorizationError,
        "NOPERM",
        "let its user run EVAL, EVALSHA and the commands of the data types on all keys that begin with the prefix",
    ),
    Advice(exceptions.ReadOnlyError, "READONLY", "it is a replica, which cannot be written: give the primary's URL"),
    Advice(None, "OOM", "its memory is full: raise its maxmemory, or delete threads; nothing was written"),
    Advice(None, "MISCONF", "it cannot write to its disk: look at its log, and make room; nothing was written"),
    Advice(None, "NOREPLICAS", "it has too few replicas to be written to; nothing was written"),
    Advice(None, "BUSY", "a script of another client keeps it busy: wait, or end that with SCRIPT KILL"),
    Advice(exceptions.WrongTypeError, "WRONGTYPE", "another application uses keys of this prefix: choose another"),
    Advice(exceptions.MovedError, "MOVED", CLUSTER),
    Advice(exceptions.ClusterCrossSlotError, "CROSSSLOT", CLUSTER),
    Advice(exceptions.ClusterDownError, "CLUSTERDOWN", CLUSTER),
    Advice(exceptions.UnknownCommandError, "unknown command", OLD),
    Advice(exceptions.ProtocolError, "NOPROTO", OLD),
)

SILENT = "no answer in time"
UNKNOWN = "look at its log"


def refused(error: BaseException) -> bool:
    """Tell whether nobody listens at the address, so that only patience could help."""
    cause = error.__cause__
    return isinstance(cause, OSError) and not isinstance(cause, TimeoutError)


def may_pass(error: Exception) -> bool:
    """Tell whether an error is of the kind that a moment later may be gone."""
    if isinstance(error, exceptions.ProtocolError):
        return False
    if isinstance(error, exceptions.ResponseError):
        return coded(error, "BUSY")
    return isinstance(error, (exceptions.ConnectionError, TimeoutError, OSError))


def problem(address: Address, error: Exception, thread_id: str) -> CheckpointError:
    """Make the error that tells what is wrong, with which server, and what to do; it names no password."""
    about = f" for thread {thread_id!r}" if thread_id else ""
    reason = mask(reason_of(error), address.secrets)
    advice = advice_for(error)
    if advice is None and not isinstance(error, exceptions.ResponseError):
        return CheckpointError(f"cannot reach Redis at {address}{about}: {reason}; {UNREACHABLE}", thread_id=thread_id)
    return CheckpointError(
        f"Redis at {address} cannot be used{about}: {reason}; {advice or UNKNOWN}", thread_id=thread_id
    )


def advice_for(error: Exception) -> str | None:
    for advice in ADVICE:
        if (advice.kind is not None and isinstance(error, advice.kind)) or coded(error, advice.code):
            return advice.text
    return None


def coded(error: Exception, code: str) -> bool:
    """Find an error's code: at the beginning, or inside where Redis 6.2 tells of a script that failed."""
    return isinstance(error, exceptions.RedisError) and re.search(rf"(^|[-\s]){code}\b", str(error)) is not None


def reason_of(error: BaseException) -> str:
    """Say what is at the bottom of an error, as far down as anything is said."""
    reason = ""
    bottom: BaseException | None = error
    while bottom is not None:
        reason = str(bottom) or (SILENT if isinstance(bottom, TimeoutError) else reason)
        bottom = bottom.__cause__
    # Redis 7 adds where in the script.
    return re.sub(r" script: [0-9a-f]{40}, on @user_script:\d+\.$", "", reason) or type(error).__name__
