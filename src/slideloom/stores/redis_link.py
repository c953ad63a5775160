"""The way to a Redis server: opened, looked at, and its failures in our words."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, Self, TypeVar
from urllib.parse import urlsplit

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    NoPermissionError,
    OutOfMemoryError,
    RedisError,
    ResponseError,
)

from slideloom.errors import StorageFull, StoreError, StoreUnusable
from slideloom.stores.redis_scripts import FIND_REFUSED

PREFIX: Final = "slideloom:"
"""Every key and channel of ours begins with it, unless told otherwise."""
_OLDEST: Final = 7
"""Of Redis: the first whose scripts say beforehand that they write."""
_CONNECT_S: Final = 3.0
_ANSWER_S: Final = 5.0
"""For a command: Redis answers in well under a millisecond, or is in trouble."""
_TURN_S: Final = 10.0
"""How long a command may wait for a connection."""
_HEALTH_CHECK_S: Final = 15.0
"""A connection that was idle for longer is tried before it is used."""

_T = TypeVar("_T")


class RedisLink:
    """A bounded pool of connections to one Redis server."""

    def __init__(self, client: Redis, *, place: str, max_commands: int) -> None:
        self.client = client
        self._max_commands = max_commands
        self._turns = asyncio.Semaphore(max_commands)
        self._closing = asyncio.Lock()
        self.place = place
        """Where the server is, without user and password."""
        self.version = ""
        self.doubts: tuple[str, ...] = ()
        """What it may cost that the server is as it is, in sentences; it will do all the same."""
        self.is_closed = False

    @classmethod
    async def open(cls, url: str, *, max_connections: int, prefix: str = PREFIX) -> Self:
        """Connect, and make sure that the server will do; nothing is changed there.

        One of the connections is left to whoever listens, the others are for commands. What
        is asked for will be of keys and channels that begin with `prefix`.

        Raises:
            StoreUnusable: it cannot be reached, lets us not in, or is not what we need.
        """
        pool, place = _build_pool(url, max_connections)
        link = cls(Redis.from_pool(pool), place=place, max_commands=max_connections - 1)
        try:
            async with asyncio.timeout(_CONNECT_S + _ANSWER_S):
                info = await link.client.info()
                _check_server(info, place)
                await _check_rights(link.client, prefix, place)
                link.version = str(info["redis_version"])
                link.doubts = tuple(await _find_doubts(link.client, info, place))
        except TimeoutError as error:
            raise await link.refuse(f"Redis at {place} does not answer") from error
        except NoPermissionError as error:
            raise await link.refuse(_tell_refused(place, prefix, str(error))) from error
        except AuthenticationError as error:
            message = f"Redis at {place} does not accept the user or password: {error}"
            raise await link.refuse(message) from error
        except (RedisError, OSError) as error:
            message = f"Redis at {place} cannot be used: {error}"
            raise await link.refuse(message) from error
        except StoreUnusable:
            await link.close()
            raise
        return link

    async def ask(self, command: Callable[[Redis], Awaitable[_T]]) -> _T:
        """What `command` returns.

        Raises:
            StoreError: Redis refused it (`StorageFull`: for want of memory or disk), or cannot
                be reached. In the last case it may have been done all the same.
        """
        if self.is_closed:
            message = "the batch store is closed"
            raise StoreError(message)
        try:
            # First come, first served: the pool gives a connection to whoever asks in that moment,
            # and lets others wait without end.
            async with asyncio.timeout(_TURN_S):
                await self._turns.acquire()
        except TimeoutError as error:
            message = f"Redis at {self.place} has been busy for {_TURN_S:.0f} s"
            raise StoreError(message) from error
        try:
            async with asyncio.timeout(_ANSWER_S):
                return await command(self.client)
        except TimeoutError as error:
            message = f"Redis at {self.place} did not answer in {_ANSWER_S:.0f} s"
            raise StoreError(message) from error
        except (RedisError, OSError) as error:
            raise _to_store_error(error, self.place) from error
        finally:
            self._turns.release()

    async def refuse(self, message: str) -> StoreUnusable:
        """Close everything; what to raise."""
        await self.close()
        return StoreUnusable(message)

    async def close(self) -> None:
        """Finish what was asked, then let go of every connection."""
        self.is_closed = True
        async with self._closing:
            for _ in range(self._max_commands):
                await self._turns.acquire()  # behind all who wait
            await self.client.aclose(close_connection_pool=True)
            for _ in range(self._max_commands):
                self._turns.release()


def _build_pool(url: str, max_connections: int) -> tuple[BlockingConnectionPool, str]:
    """The pool, not connected yet, and where it leads to."""
    try:
        parts = urlsplit(url)
        host = f"{parts.hostname or 'localhost'}:{parts.port or 6379}"
        place = parts.path if parts.scheme == "unix" else host
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=max_connections,
            timeout=_TURN_S,
            socket_connect_timeout=_CONNECT_S,
            # Ours is around the whole command: the client's own swallows, on Python 3.11, a
            # cancellation that comes just as the command is sent (`asyncio.wait_for`).
            socket_timeout=None,
            **({} if parts.scheme == "unix" else {"socket_keepalive": True}),
            health_check_interval=_HEALTH_CHECK_S,
            # The client would send a command again whose answer was lost: that is for us to decide.
            retry=Retry(NoBackoff(), 0),
            protocol=2,
        )
    except ValueError:  # its text may hold a piece of the password
        message = (
            "the address of Redis is not like redis://:password@host:6379/0"
            " (in the password, / is written %2F, @ is written %40 and : is written %3A)"
        )
        raise StoreUnusable(message) from None
    return pool, place


def _check_server(info: dict[str, Any], place: str) -> None:
    found = str(info.get("redis_version", "unknown"))
    if not found.partition(".")[0].isdecimal() or int(found.partition(".")[0]) < _OLDEST:
        message = f"Redis at {place} is version {found}; {_OLDEST} or newer is needed"
        raise StoreUnusable(message)
    if info.get("cluster_enabled"):
        message = f"Redis at {place} is a cluster, which is not supported: one server is needed"
        raise StoreUnusable(message)
    if info.get("role", "master") != "master":
        message = f"Redis at {place} is a replica, which takes no writes: its master is needed"
        raise StoreUnusable(message)
    policy = str(info.get("maxmemory_policy", ""))
    if policy.startswith("allkeys"):
        message = (
            f"Redis at {place} drops records when memory runs short"
            f" (maxmemory-policy {policy}); noeviction is needed"
        )
        raise StoreUnusable(message)


async def _check_rights(client: Redis, prefix: str, place: str) -> None:
    refused: list[bytes] = await client.eval(FIND_REFUSED, 1, prefix)
    if refused:
        names = ", ".join(name.decode() for name in refused)
        raise StoreUnusable(_tell_refused(place, prefix, names))


def _tell_refused(place: str, prefix: str, what: str) -> str:
    return (
        f"Redis at {place} does not let this user do what is needed"
        f" with keys and channels called {prefix}*: {what}"
    )


async def _find_doubts(client: Redis, info: dict[str, Any], place: str) -> list[str]:
    if not info.get("aof_enabled"):
        return [f"Redis at {place} has appendonly off: batches are lost when it restarts"]
    try:
        found = await client.config_get("appendfsync")
    except ResponseError:  # it may be forbidden, or have another name: that is their right
        return []
    how = found.get("appendfsync") or "always"
    doubt = (
        f"Redis at {place} has appendfsync {how}, not always:"
        " an answered event may be lost when it crashes"
    )
    return [] if how == "always" else [doubt]


def _to_store_error(error: Exception, place: str) -> StoreError:
    # MISCONF: its disk does not take what it should keep.
    is_full = isinstance(error, OutOfMemoryError) or (
        isinstance(error, ResponseError) and str(error).startswith("MISCONF")
    )
    if is_full:
        return StorageFull(f"Redis at {place} takes no more: {error}")
    return StoreError(f"Redis at {place} failed: {error}")
