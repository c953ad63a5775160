"""Where things are kept and carried: on this machine, or where several share them."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from slideloom.errors import SettingsError, StorageFull, StoreError
from slideloom.logs import Log
from slideloom.settings import Settings
from slideloom.stores.files import FileImageStore
from slideloom.stores.shared_base import LaneBoard, SessionShelf
from slideloom.stores.sqlite import SqliteBatchStore

if TYPE_CHECKING:
    from slideloom.queues.redis import RedisQueue, RedisRunner
    from slideloom.stores.object_link import ObjectPlace
    from slideloom.stores.objects import ObjectImageStore
    from slideloom.stores.redis import RedisBatchStore

_STORE_CONNECTIONS = 3
"""One for the doorbell; the queue has up to two more."""
_MB = 1024 * 1024


async def open_store(settings: Settings) -> "SqliteBatchStore | RedisBatchStore":
    """The batch store: on this machine, or on the Redis server that STORE names.

    Raises:
        StoreError: it cannot be opened.
        SettingsError: what it takes to use it is not installed.
    """
    max_bytes = settings.cache_max_mb * _MB
    if settings.store:
        with _needing_cluster("STORE"):
            from slideloom.stores.redis import RedisBatchStore  # noqa: PLC0415 - an extra
        return await RedisBatchStore.open(
            settings.store, max_connections=_STORE_CONNECTIONS, cache_max_bytes=max_bytes
        )
    path = Path(settings.data_dir) / "slideloom.sqlite3"
    return await SqliteBatchStore.open(path, cache_max_bytes=max_bytes)


def open_shelf(settings: Settings, store: "RedisBatchStore") -> SessionShelf:
    """Where session files are shared, on the store's connections."""
    from slideloom.stores.redis_sessions import RedisSessions  # noqa: PLC0415 - an extra

    return RedisSessions(store.link, retention_days=settings.log_retention_days)


def open_board(store: "RedisBatchStore") -> LaneBoard:
    """Where lanes are shared, on the store's connections."""
    from slideloom.stores.redis_lanes import RedisLaneBoard  # noqa: PLC0415 - an extra

    return RedisLaneBoard(store.link)


async def open_queue(settings: Settings) -> "RedisQueue":
    """What only submits."""
    with _needing_cluster("QUEUE"):
        from slideloom.queues.redis import RedisQueue  # noqa: PLC0415 - an extra
    return await RedisQueue.open(settings.queue)


async def open_runner(settings: Settings, log: Log) -> "RedisRunner":
    """What brings batches to a worker, and submits, too."""
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


async def open_images(settings: Settings) -> "FileImageStore | ObjectImageStore":
    """Where pictures are kept: in a folder, or in the bucket that IMAGE_STORE names.

    Raises:
        SettingsError: it takes none.
    """
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
