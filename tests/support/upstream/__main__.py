"""`python -m tests.support.upstream`: serve, list the faults, or measure the emulator itself."""

import argparse
import asyncio
import signal
import sys

import msgspec

from tests.support.upstream.faults import FAULTS
from tests.support.upstream.plan import Plan
from tests.support.upstream.selftest import run_selftest
from tests.support.upstream.server import Upstream


async def serve(port: int, plan: Plan, *, until_stdin_closes: bool) -> None:
    """Print the base URL, then serve until told to stop."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if until_stdin_closes:
        loop.add_reader(sys.stdin.fileno(), stop.set)
    async with Upstream(plan, port=port) as upstream:
        print(upstream.base_url, flush=True)  # noqa: T201 - the interface
        await stop.wait()


def list_faults() -> None:
    """Print every fault and what the policy wants of it."""
    for fault in FAULTS.values():
        wanted = "success" if fault.wanted is None else fault.wanted
        calls = str(fault.calls) if fault.calls else "until deadline"
        shapes = ",".join(fault.shapes)
        print(f"{fault.name:32} {wanted:22} {calls:15} {shapes:20} {fault.about}")  # noqa: T201 - asked for


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(prog="tests.support.upstream", description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--plan", default="{}", help="a plan as JSON")
    parser.add_argument("--until-stdin-closes", action="store_true")
    parser.add_argument("--list", action="store_true", help="list the faults")
    parser.add_argument("--selftest", action="store_true", help="measure the emulator")
    options = parser.parse_args()
    if options.list:
        list_faults()
    elif options.selftest:
        asyncio.run(run_selftest())
    else:
        plan = msgspec.json.decode(options.plan, type=Plan)
        asyncio.run(serve(options.port, plan, until_stdin_closes=options.until_stdin_closes))


main()
