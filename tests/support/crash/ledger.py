"""What a store holds of every batch."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from slideloom.domain.batch import BatchState, fold
from slideloom.stores.base import BatchStore
from slideloom.stores.sqlite import SqliteBatchStore

Ledger = dict[str, BatchState]
"""Batches by their ids."""
_ALL = 1_000_000


async def read_ledger(database: Path) -> Ledger:
    """Every batch as a copy of the file tells, while no service runs.

    Opening it also looks whether it is whole.
    """
    if not database.exists():
        return {}
    with TemporaryDirectory() as folder:
        copy = Path(folder) / database.name
        for ending in ("", "-wal", "-journal"):
            path = database.with_name(database.name + ending)
            if path.exists():
                shutil.copyfile(path, copy.with_name(path.name))
        store = await SqliteBatchStore.open(copy)
        try:
            return await read_all(store)
        finally:
            await store.close()


async def read_all(store: BatchStore) -> Ledger:
    """Every batch as the store tells."""
    page = await store.list_batches(limit=_ALL)
    ids = [line.batch_id for line in page.batches]
    return {one: fold(one, await store.read(one)) for one in ids}


def list_cut_off(ledger: Ledger) -> list[tuple[str, int]]:
    """The slides with an attempt that has begun and not ended: batch and place."""
    return [
        (batch_id, place)
        for batch_id, state in ledger.items()
        for place, slide in enumerate(state.slides)
        if slide.in_flight is not None
    ]
