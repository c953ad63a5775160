"""The parts of a process, in the order they are opened."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, cast

from msgspec import Struct

from slideloom.assembly.lanes import open_lanes
from slideloom.assembly.places import (
    open_board,
    open_images,
    open_queue,
    open_runner,
    open_shelf,
    open_store,
)
from slideloom.assembly.rules import (
    open_log_writer,
    open_tracer,
    to_allowance,
    to_limits,
    to_results,
    to_rules,
)
from slideloom.engine.batches import BatchEngine
from slideloom.engine.follower import Follower
from slideloom.engine.handler import BatchHandler
from slideloom.engine.lanes import Lanes
from slideloom.engine.local_work import LocalWork
from slideloom.engine.remote_work import RemoteWork
from slideloom.engine.runs import EngineLimits, Runs
from slideloom.engine.sessions import SessionFiles, open_session_files
from slideloom.engine.slide import SlideMaker
from slideloom.engine.work import BatchWork
from slideloom.errors import SettingsError
from slideloom.exports.exporter import Exporter
from slideloom.logs import Log, LogWriter, open_log
from slideloom.metrics import Metrics
from slideloom.providers.base import Provider
from slideloom.queues.base import Queue
from slideloom.queues.local import LocalQueue
from slideloom.settings import Settings
from slideloom.stores.files import FileImageStore
from slideloom.stores.image_base import FarImages, ImageStore
from slideloom.stores.shared_base import Doorbell
from slideloom.stores.sqlite import SqliteBatchStore
from slideloom.tracing import Tracer

if TYPE_CHECKING:
    from slideloom.stores.objects import ObjectImageStore
    from slideloom.stores.redis import RedisBatchStore


class Services(Struct, frozen=True, kw_only=True):
    """The parts of a process that answers requests."""

    settings: Settings
    warnings: tuple[str, ...]
    """What the operator should know about the settings, in words."""
    engine: BatchEngine
    provider: Provider
    images: ImageStore
    far_images: FarImages | None
    """The same, where its pictures are no files in IMAGE_OUTPUT_DIR."""
    exporter: Exporter
    metrics: Metrics
    tracer: Tracer
    log_writer: LogWriter
    session_files: SessionFiles
    log: Log


class Bench(Struct, frozen=True, kw_only=True):
    """The parts of a process that makes batches for others to answer for."""

    settings: Settings
    warnings: tuple[str, ...]
    """As in `Services`."""
    handler: BatchHandler
    queue: Queue
    doorbell: Doorbell
    provider: Provider
    metrics: Metrics
    log: Log


class _Base(Struct, frozen=True, kw_only=True):
    """What every process has."""

    settings: Settings
    log_writer: LogWriter
    session_files: SessionFiles
    log: Log
    tracer: Tracer
    doubts: tuple[str, ...]
    store: "SqliteBatchStore | RedisBatchStore"
    images: "FileImageStore | ObjectImageStore"
    maker: SlideMaker
    limits: EngineLimits
    metrics: Metrics

    def build_runs(self, queue: Queue) -> Runs:
        """Batches made in this process."""
        return Runs(
            store=self.store,
            queue=queue,
            maker=self.maker,
            limits=self.limits,
            log=self.log,
            metrics=self.metrics,
            tracer=self.tracer,
        )


@asynccontextmanager
async def open_services(
    settings: Settings, *, warnings: tuple[str, ...] = ()
) -> AsyncIterator[Services]:
    """The parts of a process that answers requests; closed in the opposite order.

    It makes the batches itself, unless `settings.queue` carries them to workers.

    Raises:
        SettingsError: a folder cannot be written, or the provider's shape is not known.
        StoreError: the database cannot be opened.
    """
    async with AsyncExitStack() as stack:
        base = await _open_base(settings, stack, role="api")
        exporter = Exporter(base.images)
        stack.callback(exporter.close)
        engine = BatchEngine(
            store=base.store,
            work=await _open_work(base, stack),
            maker=base.maker,
            limits=base.limits,
            log=base.log,
        )
        base.metrics.count_active(engine.active_count)
        await engine.start()
        # A server that stops in order has stopped the engine before; then this is nothing.
        stack.push_async_callback(engine.stop, grace_s=0.0)
        yield Services(
            settings=settings,
            warnings=(*warnings, *base.doubts),
            engine=engine,
            provider=base.maker.lanes.first,
            images=base.images,
            far_images=None if isinstance(base.images, FileImageStore) else base.images,
            exporter=exporter,
            metrics=base.metrics,
            tracer=base.tracer,
            log_writer=base.log_writer,
            session_files=base.session_files,
            log=base.log,
        )


@asynccontextmanager
async def open_bench(settings: Settings, *, warnings: tuple[str, ...] = ()) -> AsyncIterator[Bench]:
    """The parts of a worker; closed in the opposite order.

    Raises:
        SettingsError: as `open_services`; or it is not said where batches come from.
        StoreError: as `open_services`.
    """
    if not settings.queue:
        message = "a worker needs STORE and QUEUE: the redis:// addresses that the server has"
        raise SettingsError(message)
    async with AsyncExitStack() as stack:
        base = await _open_base(settings, stack, role="worker")
        queue = await open_runner(settings, base.log)
        stack.push_async_callback(queue.close)
        runs = base.build_runs(queue)
        base.metrics.count_active(lambda: len(runs.roster.runs))
        handler = BatchHandler(runs, store=base.store, images=base.images, log=base.log)
        yield Bench(
            settings=settings,
            warnings=(*warnings, *base.doubts),
            handler=handler,
            queue=queue,
            doorbell=cast("RedisBatchStore", base.store),
            provider=base.maker.lanes.first,
            metrics=base.metrics,
            log=base.log,
        )


async def _open_base(settings: Settings, stack: AsyncExitStack, *, role: str) -> _Base:
    log_writer = open_log_writer(settings, role)
    stack.callback(log_writer.close)
    log = open_log(log_writer)
    tracer, doubts = open_tracer(os.environ)
    stack.push_async_callback(tracer.close)
    store = await open_store(settings)
    stack.push_async_callback(store.close)
    shelf = board = None
    if settings.store:
        shared = cast("RedisBatchStore", store)
        shelf, doubts = open_shelf(settings, shared), (*doubts, *shared.doubts)
        board = open_board(shared)
    else:
        log_writer.sweep()  # the store's lock says that no other service is here
    session_files = await stack.enter_async_context(open_session_files(log_writer, shelf, log))
    images = await open_images(settings)
    stack.push_async_callback(images.close)
    lanes = Lanes(
        open_lanes(settings, log, board=board),
        log=log,
        fallback_model=settings.fallback_model or None,
    )
    stack.push_async_callback(lanes.close_providers)
    metrics = Metrics(models={lanes.first.model, settings.fallback_model})
    stack.push_async_callback(_end, asyncio.create_task(metrics.watch_loop(), name="loop lag"))
    results = to_results(settings, store, images, log)
    return _Base(
        settings=settings,
        log_writer=log_writer,
        session_files=session_files,
        log=log,
        tracer=tracer,
        doubts=doubts,
        store=store,
        images=images,
        maker=SlideMaker(
            lanes=lanes,
            images=images,
            results=results,
            rules=to_rules(settings),
            allowance=to_allowance(settings, store, log) if lanes.first.bills else None,
        ),
        limits=to_limits(settings),
        metrics=metrics,
    )


async def _open_work(base: _Base, stack: AsyncExitStack) -> BatchWork:
    if not base.settings.queue:
        runs = base.build_runs(LocalQueue(concurrency=base.settings.batch_max_concurrent))
        return LocalWork(runs, store=base.store, log=base.log)
    store = cast("RedisBatchStore", base.store)
    queue = await open_queue(base.settings)
    stack.push_async_callback(queue.close)
    return RemoteWork(
        store=store,
        queue=queue,
        follower=Follower(store, store, log=base.log),
        images=base.images,
        log=base.log,
    )


async def _end(chore: asyncio.Task[None]) -> None:
    chore.cancel()
    await asyncio.gather(chore, return_exceptions=True)
