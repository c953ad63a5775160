"""What the engine asks of a store, whichever it is."""

from collections.abc import Collection, Iterable, Sequence
from typing import Final, Protocol

import msgspec
from msgspec import Struct

from slideloom.domain.events import BatchSubmitted, Event
from slideloom.domain.keys import OnceKey
from slideloom.domain.status import BatchSummary
from slideloom.errors import UnreadableLog


class Page(Struct, frozen=True):
    """Some batches of the index, newest first."""

    batches: tuple[BatchSummary, ...]
    next_cursor: str | None
    """Where the next page begins; `None` at the end."""


class Encoded(Struct, frozen=True):
    """An event with the bytes a log keeps of it; made by `encode_event` alone."""

    event: Event
    body: bytes
    """JSON."""


def encode_event(event: Event | Encoded) -> Encoded:
    """The event as it is written, encoded once; one that is encoded already comes back as it is.

    Raises:
        UnicodeEncodeError: it holds what is no text, as a lone surrogate in a provider's words.
    """
    if isinstance(event, Encoded):
        return event
    return Encoded(event, msgspec.json.encode(event))


def decode_log(batch_id: str, bodies: Iterable[bytes]) -> list[Event]:
    """The events that a log keeps as `bodies`.

    Raises:
        UnreadableLog: one is damaged, or not what we write.
    """
    try:
        return [_event_decoder.decode(body) for body in bodies]
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        message = f"the log of batch {batch_id} cannot be read: {error}"
        raise UnreadableLog(message) from error


class CachedResult(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A picture that was made once, and stands for every like request."""

    image: str
    """Its file name; whether the file is still there, the image store knows."""
    width: int
    height: int
    aspect_ratio_ok: bool
    size_bytes: int
    provider: str
    model: str
    """The model that served."""
    made_at_s: float
    """When, on the wall clock."""
    revised_prompt: str | None = None


def decode_result(body: bytes) -> CachedResult | None:
    """The entry; one that is damaged or of another version is none: the picture is made anew."""
    try:
        return _result_decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


_event_decoder: Final = msgspec.json.Decoder(Event)
_result_decoder: Final = msgspec.json.Decoder(CachedResult)


class BatchStore(Protocol):
    """Each batch is a log of events: `create` begins it, `append` is every other write.

    Every method raises `StoreError` when the disk or database fails: `StorageFull` when it
    takes no more.
    """

    async def create(
        self, batch_id: str, submitted: BatchSubmitted, *, key: OnceKey | None = None
    ) -> str:
        """Begin the log of a new batch durably, at epoch 1.

        Returns:
            Its id; or that of the batch which `key` stands for already, and nothing is written.

        Raises:
            KeyReused: `key` stands for another request.
        """
        ...

    async def lease(self, batch_id: str) -> int:
        """Begin a run of the batch: its new epoch, which fences all earlier runs.

        Raises:
            UnknownBatch: there is none.
        """
        ...

    async def append(
        self,
        batch_id: str,
        epoch: int | None,
        events: Sequence[Event | Encoded],
        *,
        at: int | None = None,
    ) -> int:
        """Write `events` durably; the sequence number (from 1) of the last.

        Those that are encoded already are not encoded again. Without an epoch they are
        written whoever runs the batch. With `at` they are written only if the last event
        there has that number.

        Raises:
            Fenced: another run has leased the batch since, or there is none (any more).
            LogMoved: the last event has another number than `at`.
            UnicodeEncodeError: as `encode_event`; nothing was written.
        """
        ...

    async def read(self, batch_id: str, *, after: int = 0) -> list[Event]:
        """The batch's events behind number `after`, in order; empty when unknown."""
        ...

    async def list_batches(
        self, *, limit: int, cursor: str | None = None, owner: str | None = None
    ) -> Page:
        """The index, or an owner's part of it, newest first; single slides are not in it.

        Raises:
            ValueError: the cursor is not one of ours.
        """
        ...

    async def find_unfinished(self) -> list[str]:
        """The ids of all batches whose log has no end, oldest first."""
        ...

    async def count_active(self, *, owner: str | None = None) -> int:
        """How many batches, or of an owner's, have no end; single slides apart."""
        ...

    async def find_named(self, key: OnceKey, *, now_s: float) -> str | None:
        """The batch that `key` stands for by `now_s`.

        Raises:
            KeyReused: it stands for another request.
        """
        ...

    async def forget_finished(self, *, before_s: float, now_s: float) -> int:
        """Drop the logs of batches that ended before that wall-clock time; how many.

        Keys whose time is over by `now_s` go too; what a living key stands for stays.
        """
        ...

    async def check(self) -> None:
        """Make sure, by a write that changes nothing, that another event could be kept."""
        ...

    async def close(self) -> None:
        """Finish what was asked and let go of the disk."""
        ...


class SpendingBook(Protocol):
    """What each owner's calls cost, by UTC days (`2026-11-26`); days long past are dropped.

    Every method raises `StoreError` when the disk or database fails.
    """

    async def add_cost(
        self, owner: str, day: str, cost_usd: float, *, limit_usd: float | None = None
    ) -> bool:
        """Write down that much more (or less), durably; whether it was.

        With a limit it is not where that is reached already, or would be exceeded.
        """
        ...

    async def find_cost(self, owner: str, day: str) -> float:
        """What is written down, in US dollars."""
        ...


class ResultCache(Protocol):
    """Which picture answers which request, by `domain.keys.cache_key`.

    Only an index: what it drops is looked for no more, the pictures stay.
    Every method raises `StoreError` when the disk or database fails.
    """

    async def find_many(self, keys: Collection[str], *, after_s: float) -> dict[str, CachedResult]:
        """What stands under `keys`, if it was made at `after_s` or later; others are left out."""
        ...

    async def put(self, key: str, result: CachedResult) -> None:
        """Keep `result` durably, unless a newer one stands there.

        Beyond the cache's size the oldest entries go.

        Raises:
            UnicodeEncodeError: it holds what is no text; nothing was written.
        """
        ...

    async def forget_results(self, *, before_s: float) -> int:
        """Drop the entries made before that wall-clock time; how many."""
        ...
