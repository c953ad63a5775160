"""streaq's worker, taught our manners.

What streaq 7.2 does not do by itself, and what is done about it here:

1. It takes SIGINT and SIGTERM, whatever `handle_signals` says: `signal_handler` is ours.
2. It reads ahead, so a task may wait behind a long one while other workers idle: nothing is.
3. When Redis goes away it ends, but not before its tasks have. Ours leaves them running
   (`broken`), and the next worker of the process takes their entries back.
4. It acknowledges, and takes back, entries that another worker has claimed while it was frozen:
   see `finish_task` and `renew_idle_timeouts`.
5. An entry it cannot read ends it, and would end every worker in turn: it is thrown away.
6. Entries read but not begun when it stops wait for `idle_timeout`, and those of a dead worker
   up to twice that: both are sent round.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from typing import Any, Final, Literal, TypedDict

import msgspec
from anyio import CancelScope, CapacityLimiter
from anyio.streams.memory import MemoryObjectSendStream
from coredis.commands.request import CommandRequest
from coredis.exceptions import RedisError
from coredis.retry import NoRetryPolicy
from streaq import Worker
from streaq.constants import REDIS_GROUP, REDIS_RETRY
from streaq.types import StreamMessage, Streaq
from streaq.utils import now_ms

from slideloom.logs import Log

TASK_NAME: Final = "run_batch"
_CONNECT_S: Final = 3.0
_POOL_S: Final = 5.0
"""How long a command may wait for a connection: none takes a millisecond but the blocking read."""
_ANSWER_MARGIN_S: Final = 10.0
"""Over the blocking read, before a connection counts as dead: shorter would end idle workers."""
_RENEW: Final = 0.25
"""Of `idle_timeout`, between signs of life (streaq: 0.9, so a loop blocked for a tenth of it would
lose its batches) and looks at the others' (streaq: after the blocking read, of 1.0)."""
_NOTE_S: Final = 24 * 3600
"""How long it is noted that a batch that runs is to run again: no run takes that long."""
_DELAYED_S: Final = 0.5
"""Between looks for batches whose time to be begun again has come."""
_MOST_PENDING: Final = 1000
"""Entries looked at, at a worker's start and end: more than one process runs."""
_MOST_DELIVERIES: Final = 50
"""Of an entry that we do not get to run: then it is what ends the workers."""
_ENTRY_ID: Final = ContextVar[str]("entry_id")


class _Call(TypedDict):
    """What a task holds; anything else is refused when it is read."""

    f: Literal["run_batch"]
    a: tuple[str]
    k: dict[str, str]
    t: int


_ENCODER: Final = msgspec.json.Encoder(enc_hook=repr)
"""Results hold the exception a task ended with; nobody reads them."""
_DECODER: Final = msgspec.json.Decoder(_Call)


class BatchClient(Worker[None]):
    """Puts batches into the queue; also what `BatchWorker` begins as."""

    def __init__(
        self,
        url: str,
        *,
        name: str,
        max_connections: int,
        idle_timeout_s: float = 60.0,
        concurrency: int = 1,
        worker_id: str | None = None,
    ) -> None:
        super().__init__(
            url,
            redis_kwargs={
                "max_connections": max_connections,
                "connect_timeout": _CONNECT_S,
                "pool_timeout": _POOL_S,
                "stream_timeout": idle_timeout_s + _ANSWER_MARGIN_S,
                "retry_policy": NoRetryPolicy(),  # that is for us to decide
                "decode_components": True,  # %2F in a password is a slash
                "client_name": f"{name}-queue",
            },
            queue_name=name,
            concurrency=concurrency,
            serializer=_ENCODER.encode,
            deserializer=_DECODER.decode,
            idle_timeout=idle_timeout_s,
            lifespan=self._until_end,
            id=worker_id,
        )

    async def enqueue(self, batch_id: str, *, again: bool = False) -> None:
        """Have the batch run, unless it waits or runs already; to be run `again`, even then."""
        if await self._publish(batch_id) or not again:
            return
        # Noted first, then tried: whoever ends the batch looks for the note only afterwards.
        await self.redis.set(self._to_note(batch_id), "again", ex=_NOTE_S)
        if await self._publish(batch_id):
            await self.redis.delete([self._to_note(batch_id)])

    async def _publish(self, batch_id: str) -> bool:
        """Whether it was not there yet."""
        task = self.enqueue_unsafe(TASK_NAME, batch_id)
        task.id = batch_id
        at_ms = now_ms()
        request: CommandRequest[Any] = self.publish_task(
            self.redis, task, await task.serialize(at_ms), at_ms
        )
        return bool(await request != 0)

    def _to_note(self, batch_id: str) -> str:
        return f"{self.prefix}:again:{batch_id}"

    @asynccontextmanager
    async def _until_end(self) -> AsyncIterator[None]:
        yield


class BatchWorker(BatchClient):
    """Takes batches from the queue and hands them to `run`, `concurrency` at once.

    Two connections: one in the blocking read, one for everything else.
    """

    def __init__(  # noqa: PLR0913 - its parts, all named
        self,
        url: str,
        *,
        name: str,
        run: Callable[["BatchWorker", str], Awaitable[None]],
        reclaimed: Callable[[Collection[str]], None],
        draining: asyncio.Event,
        concurrency: int,
        idle_timeout_s: float,
        worker_id: str,
        log: Log,
    ) -> None:
        """Make it, on the running loop.

        Args:
            url: of the Redis server.
            name: of the queue.
            run: is given this worker and a batch id.
            reclaimed: is told once, at the start, which batches an earlier worker of
                the same `worker_id` had, and are run again.
            draining: once it is set, nothing more is taken.
            concurrency: batches at once.
            idle_timeout_s: how long a worker may give no sign of life.
            worker_id: its name among the queue's consumers.
            log: the pipeline's.
        """
        super().__init__(
            url,
            name=name,
            max_connections=2,
            idle_timeout_s=idle_timeout_s,
            concurrency=concurrency,
            worker_id=worker_id,
        )
        self.prefetch = concurrency  # its own least is one more
        self.broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done once the worker has failed: what runs is to be left to the next one."""
        self._has_taken_back = asyncio.Event()
        self._stream = self.stream_key + self.priorities[-1]
        self._run = run
        self._reclaimed = reclaimed
        self._draining = draining
        self._log = log
        self._task = self.task(name=TASK_NAME, max_tries=None, timeout=None, ttl=0, silent=True)(
            self._run_batch
        )

    def disconnect(self) -> None:
        """Give up every answer of Redis that is waited for, and ask nothing more."""
        self._redis.connection_pool.timeout = 0.0  # for a new connection
        self._redis.connection_pool.disconnect()

    async def uncount(self, batch_id: str) -> None:
        """Take back that the batch was begun once more; if Redis fails, it was."""
        with suppress(RedisError, OSError, TimeoutError):
            await self.redis.decr(f"{self.prefix}{REDIS_RETRY}{batch_id}")

    def entry_id(self) -> str:
        """The entry that the batch that calls is run for."""
        return _ENTRY_ID.get()

    def try_count(self) -> int:
        """How often the batch that calls has been begun, this time included."""
        return self._task.context.tries

    async def _run_batch(self, batch_id: str) -> None:
        await self._run(self, batch_id)

    async def signal_handler(self, scope: CancelScope) -> None:
        """See `Worker`: until draining begins, or the worker fails."""
        try:
            await self._draining.wait()
            scope.cancel("draining")
        finally:
            if not self._draining.is_set():
                self.broken.set_result(None)

    async def renew_idle_timeouts(self, scope: CancelScope) -> None:
        """See `Worker`: renews only what is still ours, which others may have claimed meanwhile."""
        with scope:
            await self._has_taken_back.wait()  # until then nothing seems to run here
            while True:
                with CancelScope(shield=True):  # see `schedule_delayed_tasks`
                    mine = {entry.identifier for entry in await self._find_pending()}
                    await self._renew(mine & self._running_tasks[self.priorities[-1]])
                    await self._take_stale()
                    await self.redis.zremrangebyscore(self._results_set, 0, now_ms())
                await asyncio.sleep(_RENEW * self.idle_timeout / 1000)

    async def schedule_delayed_tasks(self) -> None:
        """See `Worker`; of that only what we use, and never cut off in the middle.

        Each connection that is cut off while it is used is lost to coredis' pool for good (6.9):
        here that is the blocking read's, so another one would leave none for the last words.
        """
        while True:
            with CancelScope(shield=True):
                await Streaq(self.redis).publish_delayed_tasks(
                    self.queue_key + self.priorities[-1], self._stream, now_ms()
                )
            await asyncio.sleep(_DELAYED_S)

    async def producer(
        self,
        queue: MemoryObjectSendStream[StreamMessage],
        limiter: CapacityLimiter,
        scope: CancelScope,
    ) -> None:
        """See `Worker`: first what an earlier worker of this process left open."""
        left_open = (await self._read_pending())[: int(queue.statistics().max_buffer_size)]
        await self._renew({message.message_id for message in left_open})
        self._reclaimed({message.task_id for message in left_open})
        for message in left_open:
            self._count += 1
            queue.send_nowait(message)
        self._has_taken_back.set()
        await super().producer(queue, limiter, scope)

    async def run_task(self, msg: StreamMessage) -> None:
        """See `Worker`."""
        _ENTRY_ID.set(msg.message_id)
        await super().run_task(msg)

    async def finish_task(self, msg: StreamMessage, *args: Any, **facts: Any) -> None:  # noqa: ANN401 - streaq's
        """See `Worker`: only while the entry is ours, else it is for whoever has it now."""
        if await self._find_pending(msg.message_id, msg.message_id):
            await super().finish_task(msg, *args, **facts)
            if facts["finish"] and await self.redis.delete([self._to_note(msg.task_id)]):
                await self.enqueue(msg.task_id)
        else:
            self._log.warning("queue_entry_lost", batch_id=msg.task_id)

    @asynccontextmanager
    async def _until_end(self) -> AsyncIterator[None]:
        yield
        await self._send_round(await self._read_pending())  # read, and never begun
        if not await self._find_pending():  # it would take its entries with it
            await self.redis.xgroup_delconsumer(self._stream, REDIS_GROUP, self.id)

    async def _renew(self, entry_ids: set[str]) -> None:
        if entry_ids:
            await self.redis.xclaim(self._stream, REDIS_GROUP, self.id, 0, entry_ids, justid=True)

    async def _take_stale(self) -> None:
        """Send round what workers have that give no sign of life; but one of us does it."""
        stale: Sequence[Any] = await self.redis.xpending(
            self._stream,
            REDIS_GROUP,
            start="-",
            end="+",
            count=_MOST_PENDING,
            idle=self.idle_timeout,
        )
        if stale:
            entry_ids = [entry.identifier for entry in stale]
            ours: Sequence[Any] = await self.redis.xclaim(
                self._stream, REDIS_GROUP, self.id, self.idle_timeout, entry_ids, justid=True
            )
            await self._send_round(
                [one for one in await self._read_pending() if one.message_id in ours]
            )

    async def _send_round(self, messages: Sequence[StreamMessage]) -> None:
        """Have whoever waits begin them now: an entry is only read at once while it is new."""
        for message in messages:
            again = {"task_id": message.task_id, "enqueue_time": str(message.enqueue_time)}
            async with self.redis.pipeline(transaction=True) as pipe:
                pipe.xack(self._stream, REDIS_GROUP, [message.message_id])
                pipe.xdel(self._stream, [message.message_id])
                pipe.xadd(self._stream, field_values=again)

    async def _read_pending(self) -> list[StreamMessage]:
        """Entries that were given to us and not ended; what cannot be run is thrown away."""
        found = []
        for entry in await self._find_pending():
            message = await self._read_entry(entry.identifier)
            if message is None or entry.delivered > _MOST_DELIVERIES:
                self._log.error("queue_entry_discarded", entry=str(entry.identifier))
                await self.redis.xack(self._stream, REDIS_GROUP, [entry.identifier])
                await self.redis.xdel(self._stream, [entry.identifier])
            else:
                found.append(message)
        return found

    async def _find_pending(self, start: str = "-", end: str = "+") -> Sequence[Any]:
        """Entries that are ours now, in that range of ids."""
        found: Sequence[Any] = await self.redis.xpending(
            self._stream, REDIS_GROUP, start=start, end=end, count=_MOST_PENDING, consumer=self.id
        )
        return found

    async def _read_entry(self, entry_id: str) -> StreamMessage | None:
        with self.redis.decoding(mode=False):  # it may not even be text
            entries: Sequence[Any] = await self.redis.xrange(
                self._stream, start=entry_id, end=entry_id
            )
        try:
            fields = entries[0].field_values
            return StreamMessage(
                message_id=entry_id,
                task_id=fields[b"task_id"].decode(),
                priority=self.priorities[-1],
                enqueue_time=int(fields.get(b"enqueue_time", 0)),
            )
        except (IndexError, KeyError, ValueError):
            return None
