"""Batch logs and the result cache on a Redis server, shared by any number of processes."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from secrets import token_hex
from typing import Any, Final, Self

from redis.asyncio import Redis
from redis.commands.core import AsyncScript

from slideloom.domain.batch import fold
from slideloom.domain.events import BatchFinished, BatchSubmitted, Event, SlidesReopened
from slideloom.domain.keys import OnceKey
from slideloom.domain.prices import ROUNDING_USD
from slideloom.domain.status import BatchSummary, to_summary
from slideloom.errors import (
    Fenced,
    KeyReused,
    LogMoved,
    StoreError,
    StoreUnusable,
    UnknownBatch,
    UnreadableLog,
)
from slideloom.stores.base import CachedResult, Encoded, Page, decode_log, encode_event
from slideloom.stores.cursor import parse_cursor, to_cursor
from slideloom.stores.redis_doorbell import listen
from slideloom.stores.redis_link import PREFIX, RedisLink
from slideloom.stores.redis_results import RedisResults
from slideloom.stores.redis_scripts import ADD_COST, APPEND, CREATE, FORGET, LEASE, MOVED
from slideloom.stores.shared_base import Missed, Ring

_CACHE_MAX_BYTES: Final = 50 * 1024**3
"""As the embedded store's."""
_CONNECTIONS: Final = 4
"""One of them for the doorbell. A command takes some 0.1 ms, so few serve many batches."""
_FORMAT: Final = 1
"""Of our keys; a server with a newer one is refused."""
_AT_ONCE: Final = 100
"""Batches dropped in one go, at most: nobody else is served meanwhile."""
_ORDER_S: Final = 4
"""An order is taken within so many whole seconds or not at all. Its sender is told after 5 that
it failed, and may send it again; a server that stalled does later what it was sent meanwhile."""
_SPENDING_S: Final = 3 * 24 * 3600
"""How long a day's spending is kept: its last calls may be settled on the next one."""
_MOST_IN_DOUBT: Final = 10_000
"""Writes remembered whose answers were lost: far more than there are writers."""

_Append = tuple[str, int | None, tuple[bytes, ...]]
"""What was to be written: batch, epoch, bodies."""


class RedisBatchStore:
    """A `BatchStore`, a `ResultCache` and a `SpendingBook` on one Redis server, version 7 or newer.

    A batch is a stream (its log, numbers from 1), a hash (its epoch and when it was created) and
    a hash of answers; sorted sets are the indexes. Every write is one script, so it is done
    whole or not at all, and rings the doorbell. A Redis Cluster is not supported: the scripts
    change a batch and the indexes together, which a cluster keeps on different nodes.

    **Lost answers.** A connection may break after a write was sent: then nobody here knows whether
    it was done, and whoever asked gets a `StoreError` and may ask again. So each write has a token
    of its own, and its script keeps its answer under it, next to the log; a script that finds its
    token there gives that answer again and writes nothing, even where another run has leased
    the batch since, and whichever of the two reaches the server first. The store repeats a
    write once by itself, with its token. When that fails too, it keeps the token of an `append`
    in mind, and takes it for the next one of the very same content: batch, epoch and bytes, which
    hold the time to the microsecond. (A `create` whose answer stays lost may stand, as left
    open, if the server came to it in time: see `_ORDER_S`.)

    **What survives.** With `appendonly yes` and `appendfsync always`, Redis answers a write when
    it is on the disk: whatever was answered outlives every crash. With `everysec` it holds writes
    back while the disk is slow, so a mere crash of Redis may take the last two seconds with it,
    the end of a log among them. A replica that takes over may not have the last moments yet.
    """

    def __init__(self, link: RedisLink, *, prefix: str, cache_max_bytes: int) -> None:
        self.link = link
        """What the store is on; others of this process may use it, too, as long as it is open."""
        self._link = link
        self._prefix = prefix
        self._results = RedisResults(link, prefix=prefix, max_bytes=cache_max_bytes)
        self._create = link.client.register_script(CREATE)
        self._lease = link.client.register_script(LEASE)
        self._append = link.client.register_script(APPEND)
        self._forget = link.client.register_script(FORGET)
        self._add_cost = link.client.register_script(ADD_COST)
        self._in_doubt: dict[_Append, str] = {}

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        prefix: str = PREFIX,
        max_connections: int = _CONNECTIONS,
        cache_max_bytes: int = _CACHE_MAX_BYTES,
    ) -> Self:
        """Connect to `redis://:password@host:6379/0`; every key begins with `prefix`.

        At least two connections are needed: one is kept for `listen`.

        Raises:
            StoreUnusable: the server cannot be reached, does not let us in, is too old, a cluster,
                or drops records when memory runs short.
        """
        link = await RedisLink.open(url, max_connections=max_connections, prefix=prefix)
        store = cls(link, prefix=prefix, cache_max_bytes=cache_max_bytes)
        try:
            await store._refuse_newer()
        except StoreError as error:
            await store.close()
            if isinstance(error, StoreUnusable):
                raise
            raise StoreUnusable(str(error)) from error
        return store

    @property
    def doubts(self) -> tuple[str, ...]:
        """What it may cost that the server is as it is, in sentences for the operator."""
        return self.link.doubts

    async def close(self) -> None:
        """Finish what was asked, then let go of the server."""
        await self._link.close()

    async def create(
        self, batch_id: str, submitted: BatchSubmitted, *, key: OnceKey | None = None
    ) -> str:
        """See `BatchStore`."""
        first = encode_event(submitted)
        is_single = "1" if submitted.order.is_single else ""
        named = ("", "", "") if key is None else (key.text, key.digest, repr(key.until_s))
        owner = submitted.order.owner
        head = (batch_id, _new_token(), repr(submitted.at_s), is_single, *named, owner)

        async def take(redis: Redis) -> Any:  # noqa: ANN401 - as the script answers
            server_s, _ = await redis.time()
            args = (*head, server_s + _ORDER_S, first.body)
            return await self._create(keys=[self._prefix], args=args)

        taken = await self._ask_twice(take)
        if taken is None:
            raise KeyReused("" if key is None else key.text)
        return str(taken.decode())

    async def lease(self, batch_id: str) -> int:
        """See `BatchStore`."""
        epoch = await self._write(self._lease, batch_id, ())
        if epoch is None:
            raise UnknownBatch(batch_id)
        return int(epoch)

    async def append(
        self,
        batch_id: str,
        epoch: int | None,
        events: Sequence[Event | Encoded],
        *,
        at: int | None = None,
    ) -> int:
        """See `BatchStore`."""
        encoded = [encode_event(event) for event in events]
        bodies = tuple(one.body for one in encoded)
        latest_s = encoded[-1].event.at_s if encoded else 0.0
        where = ("" if epoch is None else epoch, "" if at is None else at)
        args = (*where, _find_turn(encoded), repr(latest_s), *bodies)
        what = (batch_id, epoch, bodies)
        token = self._in_doubt.pop(what, None) or _new_token()
        try:
            seq = await self._write(self._append, batch_id, args, token=token)
        except StoreError:
            self._remember(what, token)
            raise
        if seq is None:
            raise Fenced(batch_id, epoch)
        if seq == MOVED:
            raise LogMoved(batch_id, at or 0)
        return int(seq)

    async def read(self, batch_id: str, *, after: int = 0) -> list[Event]:
        """See `BatchStore`."""
        log = self._log_key(batch_id)
        return decode_log(
            batch_id, _bodies(await self._ask(lambda r: r.xrange(log, f"{after + 1}-0")))
        )

    async def list_batches(
        self, *, limit: int, cursor: str | None = None, owner: str | None = None
    ) -> Page:
        """See `BatchStore`."""
        index = self._created_key(owner)
        found = await self._find_created(index, *parse_cursor(cursor), count=limit + 1)
        shown = found[:limit]
        return Page(
            batches=tuple([line async for line in self._summarize([name for name, _ in shown])]),
            next_cursor=to_cursor(shown[-1][1], shown[-1][0]) if len(found) > limit else None,
        )

    async def find_unfinished(self) -> list[str]:
        """See `BatchStore`."""
        found = await self._ask(lambda redis: redis.zrange(f"{self._prefix}unfinished", 0, -1))
        return [batch_id.decode() for batch_id in found]

    async def count_active(self, *, owner: str | None = None) -> int:
        """See `BatchStore`."""
        names = [f"{self._prefix}unfinished", self._created_key(owner)]  # singles are in one only
        return int(await self._ask(lambda redis: redis.zintercard(2, names)))

    async def find_named(self, key: OnceKey, *, now_s: float) -> str | None:
        """See `BatchStore`."""
        kept = await self._ask(lambda redis: redis.hget(f"{self._prefix}once", key.text))
        until_s, digest, batch_id = kept.decode().split(" ", 2) if kept else ("0", "", "")
        if float(until_s) <= now_s:
            return None
        if digest != key.digest:
            raise KeyReused(key.text)
        return str(batch_id)

    async def add_cost(
        self, owner: str, day: str, cost_usd: float, *, limit_usd: float | None = None
    ) -> bool:
        """See `SpendingBook`. Asked once: when the answer is lost, too much may be written down."""
        limit = "" if limit_usd is None else repr(limit_usd)
        args = (owner, day, repr(cost_usd), limit, repr(ROUNDING_USD), _SPENDING_S)
        return bool(await self._run(self._add_cost, args))

    async def find_cost(self, owner: str, day: str) -> float:
        """See `SpendingBook`."""
        name = f"{self._prefix}spending:{day}"
        return float(await self._ask(lambda redis: redis.hget(name, owner)) or 0.0)

    async def forget_finished(self, *, before_s: float, now_s: float) -> int:
        """See `BatchStore`."""
        total, kept, is_over = 0, 0, False
        while not is_over:
            args = ("", repr(before_s), repr(now_s), kept, _AT_ONCE)
            keys, dropped, staying = await self._run(self._forget, args)
            total, kept = total + dropped, kept + staying
            is_over = keys < _AT_ONCE and dropped + staying < _AT_ONCE
        return total

    async def check(self) -> None:
        """See `BatchStore`."""
        # Only where there is none: a newer version's, put meanwhile, keeps older ones out.
        await self._ask(lambda redis: redis.set(f"{self._prefix}format", _FORMAT, nx=True))

    def listen(self) -> AsyncGenerator[Ring | Missed, None]:
        """Whatever is appended to any batch, by whichever process; takes one connection.

        To be iterated once a process, by whoever knows which batches are watched there.
        """
        return listen(self._link, f"{self._prefix}doorbell")

    async def find_many(self, keys: Collection[str], *, after_s: float) -> dict[str, CachedResult]:
        """See `ResultCache`."""
        return await self._results.find_many(keys, after_s=after_s)

    async def put(self, key: str, result: CachedResult) -> None:
        """See `ResultCache`."""
        await self._results.put(key, result)

    async def forget_results(self, *, before_s: float) -> int:
        """See `ResultCache`."""
        return await self._results.forget_results(before_s=before_s)

    async def _write(
        self, script: AsyncScript, batch_id: str, args: Sequence[Any], *, token: str = ""
    ) -> Any:  # noqa: ANN401 - as the script answers
        """What the script answers; it writes once, though asked again when the answer is lost."""
        args = (batch_id, token or _new_token(), *args)
        return await self._ask_twice(lambda _: script(keys=[self._prefix], args=args))

    async def _ask_twice(self, command: Callable[[Redis], Awaitable[Any]]) -> Any:  # noqa: ANN401 - as above
        with suppress(StoreError):
            return await self._ask(command)
        return await self._ask(command)

    def _remember(self, what: _Append, token: str) -> None:
        self._in_doubt[what] = token
        if len(self._in_doubt) > _MOST_IN_DOUBT:
            del self._in_doubt[next(iter(self._in_doubt))]

    async def _run(self, script: AsyncScript, args: Sequence[Any]) -> Any:  # noqa: ANN401 - as above
        return await self._ask(lambda _: script(keys=[self._prefix], args=args))

    async def _ask(self, command: Callable[[Redis], Awaitable[Any]]) -> Any:  # noqa: ANN401 - as above
        return await self._link.ask(command)

    async def _refuse_newer(self) -> None:
        name = f"{self._prefix}format"
        found = await self._ask(lambda redis: redis.get(name))
        if found is not None and not (found.isdigit() and int(found) <= _FORMAT):
            message = (
                f"what {self._link.place} holds under {self._prefix} is of a newer version of"
                f" Slideloom (format {found.decode(errors='replace')}); left as it is"
            )
            raise StoreUnusable(message)

    async def _find_created(
        self, name: str, created_at_s: float, last_id: str, *, count: int
    ) -> list[tuple[str, float]]:
        """Batches of the list older than that one, newest first, ties by id, and when created."""
        pipe = self._link.client.pipeline(transaction=False)
        pipe.zrange(name, repr(created_at_s), repr(created_at_s), **_DOWN)
        pipe.zrange(name, f"({created_at_s!r}", "-inf", **_DOWN, offset=0, num=count)
        ties, older = await self._ask(lambda _: pipe.execute())
        found = [(batch_id.decode(), at_s) for batch_id, at_s in (*ties, *older)]
        return [line for line in found if line[::-1] < (created_at_s, last_id)][:count]

    async def _summarize(self, batch_ids: Sequence[str]) -> AsyncIterator[BatchSummary]:
        """A line for each; a log that is damaged, or just dropped, hides no other."""
        pipe = self._link.client.pipeline(transaction=False)
        for batch_id in batch_ids:
            pipe.xrange(self._log_key(batch_id))
        logs = await self._ask(lambda _: pipe.execute()) if batch_ids else []
        for batch_id, log in zip(batch_ids, logs, strict=True):
            with suppress(UnreadableLog):
                yield to_summary(fold(batch_id, decode_log(batch_id, _bodies(log))))
            await asyncio.sleep(0)  # a long log takes milliseconds: others first

    def _created_key(self, owner: str | None) -> str:
        """The list of all batches, or of an owner's."""
        return f"{self._prefix}created" if owner is None else f"{self._prefix}created:{owner}"

    def _log_key(self, batch_id: str) -> str:
        return f"{self._prefix}{{batch:{batch_id}}}:events"


_DOWN: Final[dict[str, Any]] = {"desc": True, "byscore": True, "withscores": True}


def _new_token() -> str:
    return token_hex(8)


def _bodies(entries: Sequence[tuple[bytes, dict[bytes, bytes]]]) -> list[bytes]:
    return [fields.get(b"event", b"") for _, fields in entries]


def _find_turn(encoded: Sequence[Encoded]) -> str:
    """What the events make of the batch: `ended`, `open`, or as before."""
    turn = ""
    for one in encoded:
        if isinstance(one.event, BatchFinished):
            turn = "ended"
        elif isinstance(one.event, SlidesReopened):
            turn = "open"
    return turn
