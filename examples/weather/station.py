"""A weather station that gives its records over HTTP, a month at a time: what the example fetches from.

    python examples/weather/station.py [--port 8000] [--fail 2013-07]

`/months` lists the months, and `/months/2012-01` gives the days of one as CSV. It serves until it is cancelled.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import Self

import anyio
import anyio.abc
import attrs
import h11

RECORDS = Path(__file__).parent / "seattle-weather.csv"


@attrs.define
class Station:
    """Serves records. Months in `failing` are answered with an error; `asked` are the months that were asked for."""

    months: Mapping[str, str]
    failing: set[str] = attrs.field(factory=set)
    asked: list[str] = attrs.field(factory=list)

    @classmethod
    def read(cls, failing: Iterable[str] = (), records: Path = RECORDS) -> Self:
        """Read the records of all months; a row begins with its date, as in 2012/01/31."""
        header, *rows = records.read_text(encoding="utf-8").splitlines(keepends=True)
        months: dict[str, str] = {}
        for row in rows:
            month = row[:7].replace("/", "-")
            months[month] = months.get(month, header) + row
        return cls(months, set(failing))

    def answer(self, path: str) -> tuple[HTTPStatus, str, str]:
        """Give status, content type and body of what is at a path."""
        if path == "/months":
            return HTTPStatus.OK, "application/json", json.dumps(list(self.months))
        month = path.removeprefix("/months/")
        if month not in self.months:
            return HTTPStatus.NOT_FOUND, "text/plain", f"there is no {path}\n"
        self.asked.append(month)
        if month in self.failing:
            return HTTPStatus.SERVICE_UNAVAILABLE, "text/plain", f"the records of {month} are not to be had now\n"
        return HTTPStatus.OK, "text/csv", self.months[month]

    async def serve(self, port: int = 0, *, task_status: anyio.abc.TaskStatus[str] = anyio.TASK_STATUS_IGNORED) -> None:
        """Serve on a port of this machine, any free one without it, until cancelled; tells the URL when it listens."""
        async with await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=port) as listener:
            task_status.started(f"http://127.0.0.1:{listener.extra(anyio.abc.SocketAttribute.local_port)}")
            await listener.serve(self._converse)

    async def _converse(self, stream: anyio.abc.SocketStream) -> None:
        """Answer the one request of a connection; a client may hang up at any moment."""
        async with stream:
            with suppress(anyio.EndOfStream, anyio.BrokenResourceError, h11.RemoteProtocolError):
                http = h11.Connection(h11.SERVER)
                while not isinstance(request := http.next_event(), h11.Request):
                    http.receive_data(await stream.receive())
                await stream.send(_response(http, *self.answer(request.target.decode())))


def _response(http: h11.Connection, status: HTTPStatus, content_type: str, body: str) -> bytes:
    data = body.encode()
    headers = {"Content-Type": content_type, "Content-Length": str(len(data)), "Connection": "close"}
    events = (
        h11.Response(status_code=status, headers=list(headers.items()), reason=status.phrase),
        h11.Data(data=data),
        h11.EndOfMessage(),
    )
    return b"".join(http.send(event) or b"" for event in events)


async def main(port: int, failing: Iterable[str]) -> None:
    async with anyio.create_task_group() as group:
        print("serving at", await group.start(Station.read(failing).serve, port), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--port", type=int, default=0, help="any free one without it")
    parser.add_argument("--fail", action="append", default=[], metavar="MONTH", help="a month that is not to be had")
    arguments = parser.parse_args()
    with suppress(KeyboardInterrupt):
        anyio.run(main, arguments.port, arguments.fail)
