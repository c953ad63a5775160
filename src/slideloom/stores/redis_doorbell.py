"""What other processes write, told as it happens: one connection a process."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, Final

from redis.asyncio.client import PubSub
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import RedisError

from slideloom.stores.redis_link import RedisLink
from slideloom.stores.shared_base import Missed, Ring

_QUIET_S: Final = 10.0
"""After that long without a word the server is asked; without an answer in as long, it is gone."""
_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 5.0
"""Between tries to get the connection back: doubled from the first to this."""


async def listen(link: RedisLink, channel: str) -> AsyncGenerator[Ring | Missed, None]:
    """Every ring from now on, without end, until the link is closed.

    The first is a `Missed`, and one follows each time the connection was lost and is back:
    whoever follows batches then reads what is new of each of them.
    """
    pause_s = _FIRST_PAUSE_S
    while not link.is_closed:
        try:
            async with link.client.pubsub() as pubsub:
                async with asyncio.timeout(_QUIET_S):
                    await pubsub.subscribe(channel)
                async for message in _receive(pubsub):
                    if link.is_closed:
                        return  # the client connects again by itself
                    pause_s = _FIRST_PAUSE_S
                    if (told := _parse(message)) is not None:
                        yield told
        except (RedisError, OSError):
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


async def _receive(pubsub: PubSub) -> AsyncGenerator[dict[str, Any], None]:
    """Messages, until the connection breaks or nobody answers any more."""
    is_asked = False
    while True:
        async with asyncio.timeout(2 * _QUIET_S):  # it may connect again first
            message = await pubsub.get_message(timeout=_QUIET_S)
        if message is not None:
            is_asked = False
            yield message
        elif is_asked:
            raise ConnectionLost
        else:
            is_asked = True
            await pubsub.ping()


def _parse(message: dict[str, Any]) -> Ring | Missed | None:
    match message["type"]:
        case "subscribe":
            return Missed()
        case "message":
            batch_id, _, seq = message["data"].decode().rpartition(" ")
            return Ring(batch_id, int(seq))
        case _:
            return None  # the answer to a question
