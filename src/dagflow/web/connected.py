"""Work that ends when its client hangs up.

**Theory of operation.** ASGI tells that a client has left in two ways: `receive` gives `http.disconnect`, and `send`
raises `OSError`. Some servers do only the first, and only to who asks; so a listener asks all the time, beside the
work. It throws away what is left of the request's body, because a server that cannot hand that over does not read on,
and then does not see the connection end. The listener and the work share one task group: whichever ends first cancels
the other, and nothing of either is left when the response is over.

A server may shield its `send` from cancellation (hypercorn on trio does), and a client that does not read makes that
wait for ever. What must end with the connection therefore runs in a task of its own, `beside` the one that sends.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import anyio

from dagflow.web.asgi import Receive

__all__ = ["CLIENT_GONE", "while_connected"]

CLIENT_GONE = (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError)
"""What `send` raises, on one server or another, for a connection that is no more."""

Work = Callable[[], Coroutine[Any, Any, None]]


async def while_connected(receive: Receive, work: Work, *beside: Work) -> bool:
    """Do `work`, with others `beside` it, until it is done or the client leaves; then cancel what is left.

    Returns whether the work was done. Raises what one of them raises as it is, and what several raise in a group.
    Cancelled, it cancels all of it and passes that on.

    The last part of an answer is to be sent afterwards, where nobody listens: servers say that the client has left
    as soon as they have got that part, and would be cancelled in what they do about it.
    """
    done = False
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(_cancel_when_gone, receive, group.cancel_scope)
            for part in beside:
                group.start_soon(part)
            await work()
            done = True
            group.cancel_scope.cancel()
    except BaseExceptionGroup as error:
        if len(error.exceptions) != 1:
            raise
        [alone] = error.exceptions
        raise alone from alone.__cause__
    return done


async def _cancel_when_gone(receive: Receive, scope: anyio.CancelScope) -> None:
    with suppress(*CLIENT_GONE):
        while (await receive())["type"] != "http.disconnect":
            pass
    scope.cancel()
