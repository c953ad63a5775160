"""Workshops through batches, changes and crashes."""

from typing import Any

from slideloom.domain.batch import BatchState, fold
from slideloom.engine.timeline import Timeline
from slideloom.errors import ContentBlocked, ProviderError
from tests.support.orders import order
from tests.support.parts import MemoryBatchStore, MemoryImageStore, ScriptedProvider, Workshop


def failing(*calls: int, error: type[ProviderError] = ContentBlocked) -> ScriptedProvider:
    """A provider that takes 10 s and fails those calls, 1-based, and no others."""
    script: list[Any] = [error() if call in calls else None for call in range(1, max(calls) + 1)]
    return ScriptedProvider(*script, seconds=10)


async def make(shop: Workshop, slides: int = 4, **changes: object) -> Timeline:
    """A batch that has ended, its slides made one after another unless `changes` say otherwise."""
    timeline = await shop.engine.submit(order(slides, **{"max_workers": 1} | changes))
    await end(shop, timeline)
    return timeline


async def end(shop: Workshop, timeline: Timeline) -> BatchState:
    """The batch once it has ended; the store tells the same."""
    assert await timeline.wait_finished(timeout_s=36000)
    state = timeline.state
    assert state.is_final
    assert fold(state.batch_id, shop.store.logs[state.batch_id]) == state
    return state


def next_process(shop: Workshop, *providers: ScriptedProvider, **changes: Any) -> Workshop:
    """A workshop over what a process that dies now leaves: all that is written, and nothing else.

    The dead one may go on; nobody reads what it writes any more.
    """
    store, pictures = MemoryBatchStore(), MemoryImageStore()
    store.logs = {batch_id: list(log) for batch_id, log in shop.store.logs.items()}
    store.epochs, store.keys = dict(shop.store.epochs), dict(shop.store.keys)
    store.results = dict(shop.store.results)
    pictures.kept, pictures.references = dict(shop.images.kept), dict(shop.images.references)
    return Workshop(*providers, store=store, images=pictures, **changes)


def codes(state: BatchState) -> list[str | None]:
    """What each slide failed with."""
    return [slide.error_code for slide in state.slides]


def asked(shop: Workshop) -> list[str]:
    """Whose slides the provider was called for, call by call."""
    return [call.slide.id for call in shop.provider.calls]
