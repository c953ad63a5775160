"""`python -m tests.bench.faults [scenario]`: every fault in every shape, wanted beside got.

The same tries as `tests/providers/test_policy_table.py`, a few at a time.
"""

import asyncio
import sys
import tempfile
from pathlib import Path

from tests.support.policy import Verdict, list_cases, try_fault
from tests.support.upstream import Fault
from tests.support.upstream.plan import Shape

_AT_ONCE = 4
"""Time limits are short here: more at once would make a busy machine miss them."""
_ROW = "{:<4} {:<28} {:<7} {:<22} {:<22} {:>6} {:>4}  {}"


async def main(scenario: str) -> int:
    """Print the table; how many rows are not as wanted."""
    print(
        _ROW.format("", "fault", "shape", "wanted code", "got code", "wanted", "got", "paid calls")
    )
    slots = asyncio.Semaphore(_AT_ONCE)
    with tempfile.TemporaryDirectory() as folder:
        tries = [
            asyncio.create_task(_try_in(slots, Path(folder) / fault.name / shape, fault, shape))
            for fault, shape in list_cases(scenario)
        ]
        verdicts = []
        for one in tries:
            verdicts.append(await one)
            print(_to_row(verdicts[-1]), flush=True)
    wrong = sum(not verdict.is_right for verdict in verdicts)
    print(f"{len(verdicts)} cases, {wrong} not as wanted")
    return wrong


async def _try_in(slots: asyncio.Semaphore, folder: Path, fault: Fault, shape: Shape) -> Verdict:
    async with slots:
        return await try_fault(fault, shape, folder)


def _to_row(verdict: Verdict) -> str:
    wanted = "any" if verdict.wanted_calls is None else str(verdict.wanted_calls)
    remark = "" if verdict.is_right else f"NOT AS WANTED {verdict.oddity}"
    return _ROW.format(
        verdict.fault.scenario,
        verdict.fault.name.partition("_")[2],
        verdict.shape,
        verdict.wanted_codes[0],
        verdict.code,
        wanted,
        verdict.calls,
        remark,
    ).rstrip()


if __name__ == "__main__":
    sys.exit(min(1, asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else ""))))
