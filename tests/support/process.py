"""The service as users start it: `slideloom serve` in a process of its own."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

SLIDELOOM = str(Path(sys.executable).with_name("slideloom"))


class Served(Struct, frozen=True):
    """A served process."""

    url: str
    folder: Path
    process: subprocess.Popen[str]
    greeting: str
    """What it printed when it was ready."""


def serve_environ(**settings: object) -> dict[str, str]:
    """This process's environment without settings of ours, and `settings`."""
    ours = re.compile(r"(BATCH|LLM|SLIDE|IMAGE|LOG|DATA|AWS)_|(HOST|PORT|STORE|QUEUE)$")
    kept = {name: value for name, value in os.environ.items() if not ours.match(name)}
    return kept | {name: str(value) for name, value in settings.items()}


@contextlib.contextmanager
def served(folder: Path, open_files: int | None = None, /, **settings: object) -> Iterator[Served]:
    """Serve out of `folder` on a free port, unless `PORT` is among the settings.

    `open_files`: the most the process may have, and may allow itself.
    """
    limit = f"ulimit -n {open_files} && " if open_files else ""
    process = subprocess.Popen(
        ["/bin/sh", "-c", f'{limit}exec "$0" serve', SLIDELOOM],
        cwd=folder,
        env=serve_environ(**{"PORT": 0} | settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    try:
        greeting = process.stdout.readline()
        found = re.search(r"http://\S+", greeting)
        assert found is not None, greeting + process.stdout.read()
        yield Served(found[0], folder, process, greeting)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.communicate(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
