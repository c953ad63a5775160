"""What a process costs: CPU seconds and peak memory, as the kernel counts them."""

import os
from pathlib import Path

from msgspec import Struct

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Cost(Struct, frozen=True):
    """What a stretch of work cost."""

    cpu_s: float
    peak_bytes: int
    """Highest resident memory above what it was at the start."""


class Meter:
    """Begins to count when it is made."""

    def __init__(self, pid: int) -> None:
        self._folder = Path(f"/proc/{pid}")
        (self._folder / "clear_refs").write_text("5")  # the peak begins anew
        self._resident_bytes = int((self._folder / "statm").read_text().split()[1]) * _PAGE_BYTES
        self._cpu_s = self._read_cpu_s()

    def read(self) -> Cost:
        """The cost so far."""
        status = (self._folder / "status").read_text()
        peak_kib = int(status.partition("VmHWM:")[2].split()[0])
        return Cost(self._read_cpu_s() - self._cpu_s, peak_kib * 1024 - self._resident_bytes)

    def _read_cpu_s(self) -> float:
        fields = (self._folder / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S
