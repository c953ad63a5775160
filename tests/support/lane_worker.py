"""A worker process that shares its lane: makes a deck when told to, and says when it is done.

`python -m tests.support.lane_worker UPSTREAM_URL REDIS_URL PREFIX SLIDES` prints `ready`, waits for
a line, makes the deck, and prints how many slides are done.
"""

import asyncio
import sys

from slideloom.providers.network import open_network
from slideloom.stores.redis import RedisBatchStore
from slideloom.stores.redis_lanes import RedisLaneBoard
from tests.support.orders import order
from tests.support.parts import Workshop


async def work(upstream_url: str, redis_url: str, prefix: str, slide_count: int) -> None:
    """One worker's life."""
    store = await RedisBatchStore.open(redis_url, prefix=prefix)
    board = RedisLaneBoard(store.link, prefix=prefix)
    providers = open_network(api="images", base_url=upstream_url, keys=["sk-test"], model="m")
    shop = Workshop(*providers, board=board, lane_start=8)  # type: ignore[arg-type]
    async with shop:
        print("ready", flush=True)  # noqa: T201 - to whoever started us
        await asyncio.to_thread(sys.stdin.readline)
        timeline = await shop.engine.submit(order(slide_count, max_workers=200))
        await timeline.wait_finished(timeout_s=600)
        await shop.lanes.close_providers()
        print(timeline.state.count("done"), len(shop.log.of("lane_alone")), flush=True)  # noqa: T201 - as above
    await store.close()


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
