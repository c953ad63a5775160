"""`make load`: the load of issue 7 for five minutes (`LOAD_SECONDS`), and what came of it.

Clients and provider share the machine with the service: let nothing else run.
"""

import asyncio
import sys

from tests.load.plan import read_plan
from tests.load.run import run_load
from tests.load.table import print_table

if __name__ == "__main__":
    sys.exit(not print_table(asyncio.run(run_load(read_plan()))))
