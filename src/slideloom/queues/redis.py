"""The queue on a Redis server: any number of processes submit, any number run."""

import asyncio
from collections.abc import Collection
from contextlib import suppress
from datetime import timedelta
from functools import partial
from logging import NullHandler, getLogger
from typing import Final, Self
from urllib.parse import urlsplit
from uuid import uuid4

from msgspec import Struct
from streaq import StreaqError, StreaqRetry

from slideloom.clock import monotonic_s
from slideloom.errors import StoreError, StoreUnusable
from slideloom.logs import Log
from slideloom.queues.base import Handler
from slideloom.queues.redis_worker import BatchClient, BatchWorker

_NAME: Final = "slideloom"
"""Of the queue: its keys begin with `streaq:slideloom:`, and no key of the store's does."""
_SUBMIT_S: Final = 5.0
"""For a submission, waiting for others included; a second attempt on a new connection too."""
_CLOSE_S: Final = 4.0
"""For the last words to Redis, at most."""
_IDLE_TIMEOUT_S: Final = 20.0
"""How long a worker gives no sign of life before others take its batches, up to a quarter later.
A loop blocked for three quarters of it may lose them, too."""
_MAX_TRIES: Final = 8
"""A batch that ends its worker, or fails, is not begun more often than this."""
_RETRY_S: Final = 1.0
"""Before a failed batch is begun again, doubled each time."""
_MOST_RETRY_S: Final = 60.0
_RESTART_S: Final = 0.2
"""Before a failed worker is followed by another, doubled each time."""
_MOST_RESTART_S: Final = 5.0
_SCHEMES: Final = ("redis", "rediss", "unix")


class RedisQueue:
    """A `Queue` that only submits: what runs the batches is a `RedisRunner`, elsewhere."""

    def __init__(self, url: str, *, name: str) -> None:
        self._url = url
        self._name = name
        self._place = _find_place(url)
        self._client: _Client | None = None
        self._turn = asyncio.Lock()
        for library in ("coredis", "streaq"):  # else Python prints what they log
            getLogger(library).addHandler(NullHandler())

    @classmethod
    async def open(cls, url: str, *, name: str = _NAME) -> Self:
        """Connect to `redis://:password@host:6379/0`; one connection.

        Raises:
            StoreUnusable: the server cannot be reached, or is not what we need.
        """
        queue = cls(url, name=name)
        await queue._look()
        return queue

    async def close(self) -> None:
        """Let go of the server."""
        if self._client is not None:
            client, self._client = self._client, None
            await client.close()

    def serve(self, handler: Handler, *, give_up: Handler | None = None) -> None:
        """See `Queue`: nothing runs here."""

    async def submit(self, batch_id: str, *, again: bool = False) -> None:
        """See `Queue`.

        Raises:
            StoreError: Redis does not take it, or does not answer; it may run all the same.
        """
        try:
            async with asyncio.timeout(_SUBMIT_S), self._turn:
                try:
                    await self._put(batch_id, again=again)
                except Exception:  # noqa: BLE001 - of two libraries; a new connection may do
                    await self._put(batch_id, again=again)
        except TimeoutError as error:
            message = f"the queue on Redis at {self._place} did not answer in {_SUBMIT_S:.0f} s"
            raise StoreError(message) from error
        except Exception as error:
            message = f"the queue on Redis at {self._place} failed: {_find_cause(error)}"
            raise StoreError(message) from error

    async def drain(self, *, timeout_s: float) -> bool:  # noqa: ARG002 - the Protocol's
        """See `Queue`: nothing runs here."""
        return True

    async def stop(self) -> None:
        """See `Queue`: nothing runs here."""

    async def _put(self, batch_id: str, *, again: bool) -> None:
        try:
            client = await self._connect()
            await client.enqueue(batch_id, again=again)
        except BaseException:  # cut off by time, too: who comes next begins anew
            await RedisQueue.close(self)
            raise

    async def _look(self) -> None:
        try:
            async with asyncio.timeout(_SUBMIT_S):
                await self._connect()
        except TimeoutError as error:
            await RedisQueue.close(self)
            raise StoreUnusable(f"Redis at {self._place} does not answer") from error
        except Exception as error:
            await RedisQueue.close(self)
            message = f"Redis at {self._place} cannot be used: {_find_cause(error)}"
            raise StoreUnusable(message) from error

    async def _connect(self) -> BatchClient:
        if self._client is None:
            self._client = _Client(BatchClient(self._url, name=self._name, max_connections=1))
        return await self._client.open()


class RedisRunner(RedisQueue):
    """A `Queue` that also runs batches, `concurrency` at once; needs two connections.

    A batch is run once at a time in a process, whatever becomes of Redis. A third connection
    is opened by the first `submit`.
    """

    def __init__(  # noqa: PLR0913 - its numbers, all named
        self,
        url: str,
        *,
        name: str,
        concurrency: int,
        log: Log,
        idle_timeout_s: float = _IDLE_TIMEOUT_S,
        max_tries: int = _MAX_TRIES,
        retry_s: float = _RETRY_S,
    ) -> None:
        super().__init__(url, name=name)
        self._id = uuid4().hex[:8]
        self._concurrency = concurrency
        self._log = log
        self._idle_timeout_s = idle_timeout_s
        self._max_tries = max_tries
        self._retry_s = retry_s
        self._handler: Handler | None = None
        self._giving_up: Handler | None = None
        self._runs: dict[str, _Run] = {}
        """The batches under way, by id; also those that ended while Redis was away."""
        self._draining = asyncio.Event()
        self._worker: BatchWorker | None = None
        self._workers: asyncio.Task[None] | None = None

    @classmethod
    async def open_runner(  # noqa: PLR0913 - as above
        cls,
        url: str,
        *,
        concurrency: int,
        log: Log,
        name: str = _NAME,
        idle_timeout_s: float = _IDLE_TIMEOUT_S,
        max_tries: int = _MAX_TRIES,
        retry_s: float = _RETRY_S,
    ) -> Self:
        """Make sure that the server will do; batches are taken once there is a handler.

        Raises:
            StoreUnusable: as `open`.
        """
        queue = cls(
            url,
            name=name,
            concurrency=concurrency,
            log=log,
            idle_timeout_s=idle_timeout_s,
            max_tries=max_tries,
            retry_s=retry_s,
        )
        await queue._look()
        await RedisQueue.close(queue)  # it may never submit
        return queue

    async def close(self) -> None:
        """Stop, and let go of the server."""
        await self.stop()
        await super().close()

    def serve(self, handler: Handler, *, give_up: Handler | None = None) -> None:
        """See `Queue`."""
        self._handler, self._giving_up = handler, give_up
        if self._workers is None:
            self._workers = asyncio.create_task(self._keep_working(), name="queue workers")

    async def drain(self, *, timeout_s: float) -> bool:
        """See `Queue`: takes nothing more; whether what runs here ended in time."""
        self._draining.set()
        tasks = {run.task for run in self._runs.values()}
        if tasks:
            await asyncio.wait(tasks, timeout=timeout_s)
        return all(task.done() for task in tasks)

    async def stop(self) -> None:
        """See `Queue`: what is cancelled is put back, for other workers to take at once."""
        self._draining.set()
        tasks = [run.task for run in self._runs.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._workers is not None:
            await asyncio.wait({self._workers}, timeout=_CLOSE_S)
            self._workers.cancel()
            if self._worker is not None:
                self._worker.disconnect()  # its last words are shielded, and wait for Redis
            await asyncio.wait({self._workers}, timeout=_CLOSE_S)

    async def _keep_working(self) -> None:
        """One worker after the other: each ends when Redis is away."""
        pause_s = _RESTART_S
        while not self._draining.is_set():
            began_s = monotonic_s()
            try:
                self._worker = self._build_worker()
                await self._worker.run_async()
            except Exception as error:  # noqa: BLE001 - a background loop
                if monotonic_s() - began_s > _MOST_RESTART_S:
                    pause_s = _RESTART_S
                cause = _find_cause(error)
                self._log.warning("queue_worker_failed", cause=cause, again_in_s=pause_s)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._draining.wait()
            pause_s = min(2 * pause_s, _MOST_RESTART_S)

    def _build_worker(self) -> BatchWorker:
        return BatchWorker(
            self._url,
            name=self._name,
            run=self._run,
            reclaimed=self._forget_others,
            draining=self._draining,
            concurrency=self._concurrency,
            idle_timeout_s=self._idle_timeout_s,
            worker_id=self._id,
            log=self._log,
        )

    async def _run(self, worker: BatchWorker, batch_id: str) -> None:
        """Run the batch, or go on waiting for the run that is under way here."""
        run = self._runs.get(batch_id)
        if run is None or (run.task.done() and run.entry_id != worker.entry_id()):
            if self._draining.is_set():
                raise await _hand_over(worker, batch_id)
            if worker.try_count() > self._max_tries:  # each time it ended its worker
                raise await self._give_up(worker, batch_id, None)
            run = self._begin(batch_id, worker.entry_id())
        else:
            await worker.uncount(batch_id)
        await asyncio.wait({run.task, worker.broken}, return_when=asyncio.FIRST_COMPLETED)
        if not run.task.done():
            # Neither ended nor failed: streaq is to leave the entry as it is.
            raise asyncio.CancelledError
        self._forget(batch_id, run)
        if run.task.cancelled() or run.task.exception() is not None:
            raise await self._judge(worker, batch_id, run.task)

    def _begin(self, batch_id: str, entry_id: str) -> "_Run":
        assert self._handler is not None  # noqa: S101 - `serve` begins the work
        task = asyncio.create_task(_call(self._handler, batch_id), name=f"batch {batch_id}")
        run = self._runs[batch_id] = _Run(entry_id, task)
        return run

    async def _judge(
        self, worker: BatchWorker, batch_id: str, task: asyncio.Task[None]
    ) -> StreaqError:
        """What to tell streaq of a run that did not end as it should."""
        if self._draining.is_set():
            return await _hand_over(worker, batch_id)
        error = None if task.cancelled() else task.exception()
        try_count = worker.try_count()
        if try_count >= self._max_tries:
            return await self._give_up(worker, batch_id, error)
        pause_s = min(self._retry_s * 2 ** (try_count - 1), _MOST_RETRY_S)
        self._log.error(
            "batch_run_failed",
            batch_id=batch_id,
            tries=try_count,
            again_in_s=pause_s,
            exc_info=error,
        )
        return StreaqRetry(delay=timedelta(seconds=pause_s))

    async def _give_up(
        self, worker: BatchWorker, batch_id: str, error: BaseException | None
    ) -> StreaqError:
        tries = worker.try_count()
        self._log.error("batch_given_up", batch_id=batch_id, tries=tries, exc_info=error)
        try:
            if self._giving_up is not None:
                await self._giving_up(batch_id)
        except Exception as fault:  # noqa: BLE001 - it has no end yet: it will come back
            self._log.error("batch_not_ended", batch_id=batch_id, exc_info=fault)
        return StreaqError("given up")

    def _forget_others(self, kept: Collection[str]) -> None:
        """Let go of runs whose entries did not come back: other workers have them now."""
        for batch_id, run in tuple(self._runs.items()):
            if batch_id not in kept:
                run.task.add_done_callback(partial(self._forget, batch_id, run))

    def _forget(self, batch_id: str, run: "_Run", _task: object = None) -> None:
        if self._runs.get(batch_id) is run:
            del self._runs[batch_id]
        if not run.task.cancelled():
            run.task.exception()  # else Python complains that nobody looked


class _Run(Struct, frozen=True, eq=False):
    """A batch under way."""

    entry_id: str
    """Of the queue's entry that it was begun for."""
    task: asyncio.Task[None]


class _Client:
    """A `BatchClient` in the hands of one task: who opens it has to close it."""

    def __init__(self, client: BatchClient) -> None:
        self._client = client
        self._is_open = asyncio.Event()
        self._owner = asyncio.create_task(self._hold(), name="queue client")

    async def open(self) -> BatchClient:
        """The client, connected; raises what kept it from that."""
        is_open = asyncio.create_task(self._is_open.wait(), name="queue client opens")
        try:
            await asyncio.wait({is_open, self._owner}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            is_open.cancel()
        if self._owner.done():
            self._owner.result()
        return self._client

    async def close(self) -> None:
        """Let go of the server."""
        self._owner.cancel()
        await asyncio.gather(self._owner, return_exceptions=True)

    async def _hold(self) -> None:
        async with self._client:
            self._is_open.set()
            await asyncio.get_running_loop().create_future()


async def _call(handler: Handler, batch_id: str) -> None:
    await handler(batch_id)


async def _hand_over(worker: BatchWorker, batch_id: str) -> StreaqRetry:
    """What has another worker begin the batch at once; the run does not count."""
    await worker.uncount(batch_id)
    return StreaqRetry(delay=0)


def _find_place(url: str) -> str:
    """Where the server is, without user and password.

    Raises:
        StoreUnusable: the address is none.
    """
    try:
        parts = urlsplit(url)
        place = parts.path if parts.scheme == "unix" else f"{parts.hostname}:{parts.port or 6379}"
    except ValueError:  # its text may hold a piece of the password
        place = ""
    if not place or place.startswith("None:") or parts.scheme not in _SCHEMES:
        message = "the address of Redis is not like redis://:password@host:6379/0"
        raise StoreUnusable(message)
    return place


def _find_cause(error: BaseException) -> str:
    """The one error inside of groups, in words."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error) or type(error).__name__
