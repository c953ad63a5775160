"""A real Redis server of the test's own."""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

_START_S = 10.0


class RedisServer:
    """`redis-server` on a loopback port, its files in `folder`; made by `redis_server`."""

    def __init__(self, folder: Path) -> None:
        self.port = _find_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, **changes: str) -> None:
        """Start it with what it wrote before; it answers on return."""
        options: dict[str, object] = {
            "port": self.port,
            "bind": "127.0.0.1",
            "dir": self._folder,
            "appendonly": "yes",
            "appendfsync": "always",
            "save": "",
            "logfile": self._folder / "redis.log",
        }
        options |= {name.replace("_", "-"): value for name, value in changes.items()}
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        self._process = subprocess.Popen(["redis-server", *words])
        deadline_s = time.monotonic() + _START_S
        while not self._answers():
            assert self._process.poll() is None, (self._folder / "redis.log").read_text()
            assert time.monotonic() < deadline_s
            time.sleep(0.02)

    def kill(self) -> None:
        """End it without mercy."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def send(self, signal_number: int) -> None:
        """Have it stopped, or go on."""
        assert self._process is not None
        self._process.send_signal(signal_number)

    def _answers(self) -> bool:
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection,
        ):
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith((b"+PONG", b"-NOAUTH"))
        return False


@contextlib.contextmanager
def redis_server(folder: Path, **options: str) -> Iterator[RedisServer]:
    """A running server; without `redis-server` the test is skipped, which CI does not allow."""
    if shutil.which("redis-server") is None:
        reason = "redis-server is not installed"
        pytest.fail(reason) if os.environ.get("SLIDELOOM_CI") else pytest.skip(reason)
    server = RedisServer(folder)
    try:
        server.start(**options)
        yield server
    finally:
        server.kill()


def _find_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])
