"""How fast the emulator is, measured by a client that only counts bytes."""

import asyncio
import resource
import time
from functools import partial
from typing import Final, cast

from msgspec import Struct

from tests.support.upstream.plan import Plan
from tests.support.upstream.process import spawn_upstream

_PROMPT: Final = b'{"model":"m","prompt":"a calm slide","aspect_ratio":"16:9"}'
_BUFFER_BYTES: Final = 1024 * 1024
_MIB: Final = 1024 * 1024


class Load(Struct, frozen=True):
    """One measurement."""

    name: str
    image_bytes: int
    connections: int
    calls: int
    latency_s: float = 0.0


LOADS: Final = (
    Load("small pictures", 0, 32, 20_000),
    Load("1 MiB, 16 connections", _MIB, 16, 800),
    Load("4 MiB, 16 connections", 4 * _MIB, 16, 400),
    Load("4 MiB, 100 at once", 4 * _MIB, 100, 100, 0.5),
)


class _Counter(asyncio.BufferedProtocol):
    """Asks, counts the answer's bytes, asks again."""

    transport: asyncio.Transport

    def __init__(self, request: bytes, answer_bytes: int, calls: int) -> None:
        self._request = request
        self._answer_bytes = answer_bytes
        self._left = calls
        self._missing = 0
        self._buffer = bytearray(_BUFFER_BYTES)
        self.bytes = 0
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def ask(self) -> None:
        self._left -= 1
        self._missing = self._answer_bytes
        self.transport.write(self._request)

    def get_buffer(self, sizehint: int) -> bytearray:
        del sizehint
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.bytes += nbytes
        self._missing -= nbytes
        if self._missing == 0:
            if self._left > 0:
                self.ask()
            else:
                self.transport.close()
                self.done.set_result(None)


async def run_selftest() -> None:
    """Print one line for each load."""
    for load in LOADS:
        plan = Plan(image_bytes=load.image_bytes, latency_s=load.latency_s, record_bodies=False)
        before_s = _children_cpu_s()
        async with spawn_upstream(plan) as upstream:
            port = int(upstream.origin.rpartition(":")[2])
            wall_s, received = await _measure(port, load)
        cpu_s = _children_cpu_s() - before_s
        print(  # noqa: T201 - asked for
            f"{load.name:24} {load.calls / wall_s:9,.0f} answers/s"
            f" {received / _MIB / wall_s:8,.0f} MiB/s  wall {wall_s:.3f} s"
            f"  emulator's CPU, start included {cpu_s:.2f} s",
        )


async def _measure(port: int, load: Load) -> tuple[float, int]:
    request = (
        b"POST /api/v1/images HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (len(_PROMPT), _PROMPT)
    )
    answer_bytes = await _probe(port, request)
    loop = asyncio.get_running_loop()
    counters: list[_Counter] = []
    for index in range(load.connections):
        share = (load.calls + index) // load.connections
        build = partial(_Counter, request, answer_bytes, share)
        _, counter = await loop.create_connection(build, "127.0.0.1", port)
        counters.append(counter)
    start_s = time.perf_counter()
    for counter in counters:
        counter.ask()
    await asyncio.gather(*(counter.done for counter in counters))
    return time.perf_counter() - start_s - load.latency_s, sum(item.bytes for item in counters)


async def _probe(port: int, request: bytes) -> int:
    """Bytes of one whole answer: all are as long."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=64 * _MIB)
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
    await reader.readexactly(length)
    writer.close()
    await writer.wait_closed()
    return len(head) + length


def _children_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
