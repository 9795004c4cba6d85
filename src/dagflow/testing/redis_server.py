"""A private Redis server for tests: started, stalled, killed and started again as a test wants it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Literal
from urllib.parse import quote

__all__ = ["RedisServer"]

PATIENCE = 20.0  # seconds to start, or to end; a busy machine takes some


class RedisServer:
    """Runs a `redis-server` inside a `with` block, on a Unix socket in a folder of its own; it has ended afterwards.

    `directory` is where it keeps its data and its log, `redis.log`; without one they go with the socket's folder.
    `aof` is its `appendfsync`, `None` for `appendonly no`; it takes no snapshots. With `tcp` it also listens on a free
    port of the loopback interface. `password` is what it asks for, `settings` are options of its own by name.

    Entering, and `start`, wait until it answers; they raise `RuntimeError` with the end of its log where it does not.
    Nothing here awaits: a call blocks for as long as it takes, some hundredths of a second.

    On Linux the server also dies with the thread that started it, so start it in the main thread.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str] | None = None,
        *,
        aof: Literal["always", "everysec", "no"] | None = "always",
        tcp: bool = False,
        password: str | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._folder: str | None = None
        self._directory = directory
        self._aof = aof
        self._tcp = tcp
        self._password = password
        self._settings = dict(settings or {})
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._timers: list[threading.Timer] = []

    @staticmethod
    def missing() -> str | None:
        """Say why no server can be started here, as the reason of a skipped test; `None` where one can."""
        return None if shutil.which("redis-server") else "there is no redis-server on the PATH"

    def __enter__(self) -> RedisServer:
        # Not below the test's own folder: the path of a socket may have a hundred characters.
        self._folder = tempfile.mkdtemp(prefix="dagflow-redis-")
        if self._tcp:
            with socket.create_server(("127.0.0.1", 0)) as listener:
                self._port = listener.getsockname()[1]
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for timer in self._timers:
            timer.cancel()
        self.kill()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def url(self) -> str:
        """The URL of the Unix socket, with the password where there is one."""
        return f"unix://{self._credentials}{quote(self.socket)}?db=0"

    @property
    def tcp_url(self) -> str:
        """The URL of the port, with the password where there is one; for a server with `tcp=True`."""
        return f"redis://{self._credentials}127.0.0.1:{self._port}/0"

    @property
    def socket(self) -> str:
        """The path of the Unix socket."""
        return str(Path(self._made) / "redis.sock")

    @property
    def port(self) -> int:
        """The port on the loopback interface; 0 without one."""
        return self._port

    @property
    def running(self) -> bool:
        """Whether the server's process is there, stalled or not."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the server after `stop` or `kill`, on the data that is there."""
        if self.running:
            raise RuntimeError("the server runs already")
        with suppress(FileNotFoundError):
            os.unlink(self.socket)
        self._process = subprocess.Popen(
            self._command(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
        )
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            if not self.running or time.monotonic() > deadline:
                raise RuntimeError(f"redis-server does not answer; the end of its log:\n{self._log()}")
            time.sleep(0.002)

    def stop(self) -> None:
        """End the server as an administrator would, with SIGTERM."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the server as a crash would, with SIGKILL."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop the server and start it again."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Stall the server: it is there, takes connections, and answers nothing until `resume`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a stalled server go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def stall(self, seconds: float) -> None:
        """Pause the server, and let it go on after some seconds; returns at once."""
        self.pause()
        timer = threading.Timer(seconds, self.resume)
        timer.daemon = True
        self._timers.append(timer)
        timer.start()

    @property
    def _made(self) -> str:
        if self._folder is None:
            raise RuntimeError("the server has no socket yet: use it as `with RedisServer() as server:`")
        return self._folder

    @property
    def _data(self) -> str:
        return os.fspath(self._directory) if self._directory is not None else self._made

    @property
    def _credentials(self) -> str:
        return f":{quote(self._password, safe='')}@" if self._password else ""

    def _command(self) -> list[str]:
        # Should the tests be killed, the server must not be left behind.
        tied = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
        options = {
            "port": str(self._port),
            "bind": "127.0.0.1",
            "unixsocket": self.socket,
            "dir": self._data,
            "logfile": "redis.log",
            "save": "",
            "appendonly": "no" if self._aof is None else "yes",
            "appendfsync": self._aof or "no",
            "daemonize": "no",
            **({"requirepass": self._password} if self._password else {}),
            **self._settings,
        }
        return [*tied, "redis-server", *(word for name, value in options.items() for word in (f"--{name}", value))]

    def _answers(self) -> bool:
        """Whether it takes commands: it says PONG, or asks for a password, and does not load its data any more."""
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(1)
                connection.connect(self.socket)
                connection.sendall(b"PING\r\n")
                return connection.recv(100).startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False

    def _end(self, number: signal.Signals) -> None:
        process = self._process
        if process is None:
            return
        process.send_signal(number)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _log(self) -> str:
        try:
            return (Path(self._data) / "redis.log").read_text(errors="replace")[-2000:]
        except OSError:
            return "(there is none)"
