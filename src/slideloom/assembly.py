"""Builds the service's parts from the settings, and closes them: the only chooser of parts."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from msgspec import Struct

from slideloom.engine.allowance import Allowance
from slideloom.engine.batches import BatchEngine
from slideloom.engine.follower import Follower
from slideloom.engine.handler import BatchHandler
from slideloom.engine.lane import Lane
from slideloom.engine.lanes import Lanes
from slideloom.engine.local_work import LocalWork
from slideloom.engine.remote_work import RemoteWork
from slideloom.engine.retry import RetryPolicy
from slideloom.engine.reuse import Results
from slideloom.engine.runs import EngineLimits, Runs
from slideloom.engine.sessions import SessionFiles, open_session_files
from slideloom.engine.shared_lane import SharedLane
from slideloom.engine.slide import SlideMaker, SlideRules
from slideloom.engine.work import BatchWork
from slideloom.errors import SettingsError, StorageFull, StoreError
from slideloom.exports.exporter import Exporter
from slideloom.logs import Log, LogWriter, name_process, open_log
from slideloom.metrics import Metrics
from slideloom.providers.base import Provider
from slideloom.providers.network import open_network
from slideloom.queues.base import Queue
from slideloom.queues.local import LocalQueue
from slideloom.settings import Settings
from slideloom.stores.base import ResultCache, SpendingBook
from slideloom.stores.files import FileImageStore
from slideloom.stores.image_base import FarImages, ImageStore
from slideloom.stores.shared_base import Doorbell, LaneBoard, SessionShelf
from slideloom.stores.sqlite import SqliteBatchStore
from slideloom.tracing import Tracer

if TYPE_CHECKING:
    from slideloom.queues.redis import RedisQueue, RedisRunner
    from slideloom.stores.object_link import ObjectPlace
    from slideloom.stores.objects import ObjectImageStore
    from slideloom.stores.redis import RedisBatchStore

_STORE_CONNECTIONS = 3
"""One for the doorbell; the queue has up to two more."""
_HOUR_S = 3600.0
_MB = 1024 * 1024
_OTEL_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


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
        queue = await _open_runner(settings, base.log)
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
    log_writer = _open_log_writer(settings, role)
    stack.callback(log_writer.close)
    log = open_log(log_writer)
    tracer, doubts = open_tracer(os.environ)
    stack.push_async_callback(tracer.close)
    store = await _open_store(settings)
    stack.push_async_callback(store.close)
    shelf = board = None
    if settings.store:
        shared = cast("RedisBatchStore", store)
        shelf, doubts = _open_shelf(settings, shared), (*doubts, *shared.doubts)
        board = _open_board(shared)
    else:
        log_writer.sweep()  # the store's lock says that no other service is here
    session_files = await stack.enter_async_context(open_session_files(log_writer, shelf, log))
    images = await _open_images(settings)
    stack.push_async_callback(images.close)
    lanes = Lanes(
        open_lanes(settings, log, board=board),
        log=log,
        fallback_model=settings.fallback_model or None,
    )
    stack.push_async_callback(lanes.close_providers)
    metrics = Metrics(models={lanes.first.model, settings.fallback_model})
    stack.push_async_callback(_end, asyncio.create_task(metrics.watch_loop(), name="loop lag"))
    results = _to_results(settings, store, images, log)
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
            rules=_to_rules(settings),
            allowance=_to_allowance(settings, store, log) if lanes.first.bills else None,
        ),
        limits=_to_limits(settings),
        metrics=metrics,
    )


async def _open_store(settings: Settings) -> "SqliteBatchStore | RedisBatchStore":
    max_bytes = settings.cache_max_mb * _MB
    if settings.store:
        with _needing_cluster("STORE"):
            from slideloom.stores.redis import RedisBatchStore  # noqa: PLC0415 - an extra
        return await RedisBatchStore.open(
            settings.store, max_connections=_STORE_CONNECTIONS, cache_max_bytes=max_bytes
        )
    path = Path(settings.data_dir) / "slideloom.sqlite3"
    return await SqliteBatchStore.open(path, cache_max_bytes=max_bytes)


def _open_shelf(settings: Settings, store: "RedisBatchStore") -> SessionShelf:
    """Where session files are shared, on the store's connections."""
    from slideloom.stores.redis_sessions import RedisSessions  # noqa: PLC0415 - an extra

    return RedisSessions(store.link, retention_days=settings.log_retention_days)


def _open_board(store: "RedisBatchStore") -> LaneBoard:
    """Where lanes are shared, on the store's connections."""
    from slideloom.stores.redis_lanes import RedisLaneBoard  # noqa: PLC0415 - an extra

    return RedisLaneBoard(store.link)


async def _open_work(base: _Base, stack: AsyncExitStack) -> BatchWork:
    if not base.settings.queue:
        runs = base.build_runs(LocalQueue(concurrency=base.settings.batch_max_concurrent))
        return LocalWork(runs, store=base.store, log=base.log)
    store = cast("RedisBatchStore", base.store)
    queue = await _open_queue(base.settings)
    stack.push_async_callback(queue.close)
    return RemoteWork(
        store=store,
        queue=queue,
        follower=Follower(store, store, log=base.log),
        images=base.images,
        log=base.log,
    )


async def _open_queue(settings: Settings) -> "RedisQueue":
    """What only submits."""
    with _needing_cluster("QUEUE"):
        from slideloom.queues.redis import RedisQueue  # noqa: PLC0415 - an extra
    return await RedisQueue.open(settings.queue)


async def _open_runner(settings: Settings, log: Log) -> "RedisRunner":
    with _needing_cluster("QUEUE"):
        from slideloom.queues.redis import RedisRunner  # noqa: PLC0415 - an extra
    return await RedisRunner.open_runner(
        settings.queue, concurrency=settings.batch_max_concurrent, log=log
    )


@contextmanager
def _needing_cluster(name: str) -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        message = f"{name} is set, but {error.name} is missing; install slideloom[cluster]"
        raise SettingsError(message) from error


async def _end(chore: asyncio.Task[None]) -> None:
    chore.cancel()
    await asyncio.gather(chore, return_exceptions=True)


async def _open_images(settings: Settings) -> "FileImageStore | ObjectImageStore":
    folder, min_free_mb = Path(settings.image_output_dir), settings.min_free_mb
    try:
        if not settings.image_store:
            return await FileImageStore.open(
                folder, min_free_mb=min_free_mb, shared=bool(settings.store)
            )
        await check_image_store(settings)
        from slideloom.stores.objects import ObjectImageStore  # noqa: PLC0415 - an extra

        place = _to_object_place(settings)
        return await ObjectImageStore.open(place, folder, min_free_mb=min_free_mb)
    except StorageFull as error:
        message = f"IMAGE_OUTPUT_DIR={folder} cannot be written: {error}"
        raise SettingsError(message) from error


async def check_image_store(settings: Settings) -> None:
    """Make sure that IMAGE_STORE takes pictures, by an object that is put there and removed.

    Raises:
        SettingsError: it does not, or what it takes to use it is not installed.
    """
    with _needing_cluster("IMAGE_STORE"):
        from slideloom.stores.object_link import ObjectLink  # noqa: PLC0415 - an extra
    try:
        link = ObjectLink(_to_object_place(settings))
        await asyncio.to_thread(link.probe)
    except StoreError as error:
        message = f"IMAGE_STORE={settings.image_store} cannot be used: {error}"
        raise SettingsError(message) from error


def _to_object_place(settings: Settings) -> "ObjectPlace":
    from slideloom.stores.object_link import ObjectPlace  # noqa: PLC0415 - an extra

    bucket, _, prefix = settings.image_store.removeprefix("s3://").partition("/")
    return ObjectPlace(
        bucket=bucket,
        prefix=prefix.strip("/"),
        endpoint_url=settings.aws_endpoint_url,
        region=settings.aws_region,
        access_key_id=settings.aws_access_key_id,
        secret_access_key=settings.aws_secret_access_key,
        session_token=settings.aws_session_token,
    )


def _open_log_writer(settings: Settings, role: str) -> LogWriter:
    try:
        return LogWriter(
            Path(settings.log_dir),
            retention_days=settings.log_retention_days,
            secrets=settings.secrets,
            process=name_process(role) if settings.store else "",
        )
    except OSError as error:
        message = f"LOG_DIR={settings.log_dir} cannot be written: {error.strerror}"
        raise SettingsError(message) from error


def _to_results(settings: Settings, cache: ResultCache, images: ImageStore, log: Log) -> Results:
    return Results(
        cache,
        images,
        source=settings.image_base,
        finish=settings.aspect_fix,
        ttl_s=settings.cache_ttl_hours * _HOUR_S,
        log=log,
    )


def _to_allowance(settings: Settings, book: SpendingBook, log: Log) -> Allowance | None:
    limit_usd = settings.max_cost_per_day
    return None if limit_usd is None else Allowance(book, limit_usd=limit_usd, log=log)


def _to_rules(settings: Settings) -> SlideRules:
    return SlideRules(
        retry=RetryPolicy(
            retry_no_image=settings.retry_no_image, backoff_base_s=settings.backoff_base_seconds
        ),
        slide_timeout_s=settings.slide_timeout_seconds,
        aspect_fix=settings.aspect_fix,
    )


def _to_limits(settings: Settings) -> EngineLimits:
    return EngineLimits(
        slide_timeout_s=settings.slide_timeout_seconds,
        batch_timeout_s=settings.batch_timeout_seconds,
        single_workers=settings.batch_max_workers,
        keep_finished_s=settings.batch_cleanup_hours * _HOUR_S,
        keep_pictures_s=settings.image_retention_days * 24 * _HOUR_S,
        resume_in_flight=settings.resume_in_flight,
    )


def open_tracer(environ: Mapping[str, str]) -> tuple[Tracer, tuple[str, ...]]:
    """Who is told of spans, as OpenTelemetry's own variables say; what is to be warned of."""
    is_off = environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    name = next((name for name in _OTEL_ENDPOINTS if environ.get(name)), None)
    if name is None or is_off:
        return Tracer(), ()
    try:
        from slideloom.otel import open_exporting  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        doubt = f"{name} is set, but {error.name} is missing: no spans; install slideloom[otel]."
        return Tracer(), (doubt,)
    return open_exporting(), ()


def open_lanes(settings: Settings, log: Log, *, board: LaneBoard | None) -> list[Lane]:
    """One for each key, shared through `board` if there is one. Be on the running loop.

    Raises:
        SettingsError: the provider's base is no web address.
    """
    providers, start = open_providers(settings), settings.lane_start
    if board is None or not providers[0].bills:  # the renderer is this machine's own
        return [Lane(provider, start=start) for provider in providers]
    return [
        SharedLane(provider, start=start, board=board, name=name_lane(settings, key), log=log)
        for provider, key in zip(providers, settings.image_keys, strict=True)
    ]


def name_lane(settings: Settings, key: str) -> str:
    """The same for all who call the same model at the same place with the same key, which it hides.

    Model and place can be read in it, so that an operator finds the lane.
    """
    place = urlsplit(settings.image_base).netloc
    facts = (settings.llm_image_api, settings.image_base, settings.llm_image_path, key)
    digest = sha256("\n".join((*facts, settings.llm_image_model)).encode()).hexdigest()
    return f"{place}:{settings.llm_image_model}:{digest}"


def open_providers(settings: Settings) -> Sequence[Provider]:
    """One for each key; without a key the embedded renderer. Be on the running loop.

    Raises:
        SettingsError: the provider's base is no web address.
    """
    if settings.llm_image_api == "local" or not settings.image_keys:
        from slideloom.providers.local import LocalProvider  # noqa: PLC0415 - typst is 80 MB

        return [LocalProvider()]
    return open_network(
        api=settings.llm_image_api,
        base_url=settings.image_base,
        keys=settings.image_keys,
        model=settings.llm_image_model,
        path=settings.llm_image_path or None,
    )
