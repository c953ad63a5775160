"""An emulator of paid image providers over a real socket, for tests and benches.

    async with Upstream(Plan(faults=("F25_502_html", "ok"), latency_s=0.2)) as up:
        ...  # a client with base URL up.base_url and any key
        assert len(up.bill.billed) == 1

A slide can choose its own fault by a marker in its prompt: `[[fault:NAME]]` for every call,
`[[fault:NAME*2]]` for the first two calls with that prompt, `[[fault:NAME:argument]]`; markers one
after the other are used up in turn. Every picture carries a stamp (`read_stamp`) that tells which
call and prompt it was made for.
"""

from tests.support.upstream.bill import Bill, Call, Report, Visit
from tests.support.upstream.faults import FAULTS, NoSuchFault, find_fault
from tests.support.upstream.faults.base import UNTIL_DEADLINE, Fault
from tests.support.upstream.pictures import Stamp, prompt_key, read_stamp
from tests.support.upstream.plan import LogNormal, Plan, Rule, Uniform
from tests.support.upstream.process import RemoteUpstream, spawn_upstream
from tests.support.upstream.server import Upstream

__all__ = [
    "FAULTS",
    "UNTIL_DEADLINE",
    "Bill",
    "Call",
    "Fault",
    "LogNormal",
    "NoSuchFault",
    "Plan",
    "RemoteUpstream",
    "Report",
    "Rule",
    "Stamp",
    "Uniform",
    "Upstream",
    "Visit",
    "find_fault",
    "prompt_key",
    "read_stamp",
    "spawn_upstream",
]
