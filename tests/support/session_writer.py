"""Writes session files: `python -m tests.support.session_writer URL FOLDER COUNT`."""

import asyncio
import os
import sys
from pathlib import Path

from slideloom.engine.sessions import open_session_files
from slideloom.logs import LogWriter, name_process, open_log
from slideloom.stores.redis_link import RedisLink
from slideloom.stores.redis_sessions import RedisSessions

SESSION = "00000000-0000-4000-8000-000000000001"


async def main(url: str, folder: Path, count: int) -> None:
    """Write them all to one action, each with a line of the log."""
    link = await RedisLink.open(url, max_connections=4)
    writer = LogWriter(folder, retention_days=1, process=name_process("worker"))
    log = open_log(writer)
    async with open_session_files(writer, RedisSessions(link, retention_days=1), log):
        for number in range(count):
            facts = {"process": os.getpid(), "n": number}
            log.info(
                "slide_completed",
                session_id=SESSION,
                action="slide_001",
                document=facts,
                text="x" * 3000,  # three lines fill what is written in one go
            )
            await asyncio.sleep(0)
    await link.close()
    writer.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))
