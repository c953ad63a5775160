"""Disks that are small, full, read-only or failing; and processes with too few open files.

Mounting needs root, injecting faults needs strace: tests that want either are skipped in one line.
"""

import contextlib
import errno
import os
import resource
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

_MB: Final = 1024 * 1024
_ATTACH_S: Final = 20.0
"""How long strace may take to get hold of every thread."""


class SmallDisk:
    """A tmpfs of its own, whose size and rights can be changed while it is in use."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._filler = path / ".filler"

    def resize(self, size_kb: int) -> None:
        """Make it that large; what is on it stays."""
        _run("mount", "-o", f"remount,size={size_kb}k", str(self.path))

    def fill(self) -> None:
        """Take every byte that is left, until `clear`."""
        with contextlib.suppress(OSError), self._filler.open("ab", buffering=0) as filler:
            for piece_bytes in (_MB, 4096):
                _write_until_full(filler.fileno(), piece_bytes)

    def clear(self) -> None:
        """Give back what `fill` took."""
        self._filler.unlink(missing_ok=True)

    @property
    def free_bytes(self) -> int:
        """What is left."""
        return shutil.disk_usage(self.path).free


def _write_until_full(file: int, piece_bytes: int) -> None:
    piece = b"\0" * piece_bytes
    try:
        while True:
            os.write(file, piece)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise


@contextlib.contextmanager
def small_disk(path: Path, *, size_kb: int) -> Iterator[SmallDisk]:
    """A tmpfs at `path`, which is made; it is gone at the end, whatever happens."""
    path.mkdir(parents=True, exist_ok=True)
    _mount("-t", "tmpfs", "-o", f"size={size_kb}k", "tmpfs", str(path))
    try:
        yield SmallDisk(path)
    finally:
        _unmount(path)


@contextlib.contextmanager
def read_only(path: Path) -> Iterator[None]:
    """Nothing below `path` can be made or opened for writing, inside.

    What a process has open already stays open: the kernel refuses to take that away.
    """
    _mount("--bind", str(path), str(path))
    try:
        _run("mount", "-o", "remount,bind,ro", str(path))
        yield
    finally:
        _unmount(path)


@contextlib.contextmanager
def failing(pid: int, calls: str, *, error: str, when: str = "1+") -> Iterator[None]:
    """Have the process's `calls` (system calls, comma list) fail with `error`, inside.

    `when` counts from the beginning of the block: `3` is the third alone, `3+` all from it on.
    """
    need_strace()
    inject = f"inject={calls}:error={error}:when={when}"
    command = ["strace", "-f", "-qq", "-o", os.devnull, "-e", f"trace={calls}", "-e", inject]
    tracer = subprocess.Popen([*command, "-p", str(pid)], stderr=subprocess.PIPE, text=True)
    try:
        _wait_traced(pid, tracer)
        yield
    finally:
        tracer.terminate()  # it lets go; the process runs on
        tracer.communicate(timeout=_ATTACH_S)


@contextlib.contextmanager
def few_files(pid: int, *, spare: int) -> Iterator[None]:
    """The process may open `spare` files more than it has open now, inside."""
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    limit = max(int(file.name) for file in Path(f"/proc/{pid}/fd").iterdir()) + 1 + spare
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, hard))
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))


def need_strace() -> None:
    """Skip the test where there is no strace."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")


def _wait_traced(pid: int, tracer: subprocess.Popen[str]) -> None:
    until_s = time.monotonic() + _ATTACH_S
    while not all(map(_is_traced, Path(f"/proc/{pid}/task").iterdir())):
        if tracer.poll() is not None:
            said = tracer.stderr.read() if tracer.stderr else ""
            pytest.skip(f"strace cannot attach here: {said.strip()}")
        assert time.monotonic() < until_s, "strace does not get hold of the process"
        time.sleep(0.01)


def _is_traced(task: Path) -> bool:
    return "\nTracerPid:\t0\n" not in (task / "status").read_text()


def _mount(*arguments: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    made = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"nothing can be mounted here: {made.stderr.strip()}")


def _unmount(path: Path) -> None:
    """At the latest when the last file on it is closed."""
    gone = subprocess.run(["umount", str(path)], capture_output=True, check=False)
    if gone.returncode:
        _run("umount", "-l", str(path))


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
