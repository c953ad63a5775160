"""`slideloom worker` that is taken for dead sooner: `quick_worker IDLE_TIMEOUT_S`.

With the 20 s that operators have, each test of a take-over would wait for them.
"""

import sys

from slideloom.assembly import services
from slideloom.cli.worker import worker
from slideloom.logs import Log
from slideloom.queues.redis import RedisRunner
from slideloom.settings import Settings


async def _open_runner(settings: Settings, log: Log) -> RedisRunner:
    return await RedisRunner.open_runner(
        settings.queue,
        concurrency=settings.batch_max_concurrent,
        log=log,
        idle_timeout_s=float(sys.argv[1]),
    )


if __name__ == "__main__":
    services.open_runner = _open_runner  # type: ignore[attr-defined]  # it is imported there
    sys.exit(worker())
