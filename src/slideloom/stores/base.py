"""What the engine asks of a store, whichever it is."""

from collections.abc import AsyncGenerator, Collection, Iterable, Iterator, Sequence
from typing import Final, Protocol

import msgspec
from msgspec import Struct

from slideloom.domain.events import BatchSubmitted, Event
from slideloom.domain.images import FitMode, PictureFacts
from slideloom.domain.keys import OnceKey
from slideloom.domain.ratio import Ratio
from slideloom.domain.session import SessionDocument
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


class Ring(Struct, frozen=True):
    """A batch's log has grown."""

    batch_id: str
    seq: int
    """The number of its last event."""


class Missed(Struct, frozen=True):
    """From now on every ring is heard; what was written before may have gone unheard."""


class Doorbell(Protocol):
    """What other processes write to a store that is shared."""

    def listen(self) -> AsyncGenerator[Ring | Missed, None]:
        """Whatever is appended to any batch, by whichever process, until the store is closed.

        The first is a `Missed`, and one follows each time rings may have been lost.
        """
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


class Posted(Struct, frozen=True, kw_only=True):
    """What stands on a board, and when that was."""

    version: str
    """Of the body; empty when there is none."""
    body: bytes | None
    """`None`: none, or the very one that was given."""
    clock_s: float
    """The board's own clock, the same for all who ask: seconds from some moment on."""


class LaneBoard(Protocol):
    """Where the processes that call over the same lane keep what they know of it in common."""

    async def swap(self, lane: str, *, expected: str, version: str, body: bytes) -> Posted:
        """Put `body` in the place of the version that is `expected`; else change nothing.

        What has not been changed for a day may be forgotten.

        Args:
            lane: its name.
            expected: the version it was made from; empty for none.
            version: its own, never used before.
            body: a few hundred bytes.

        Returns:
            What stands there now: it is `version` if it was put.

        Raises:
            StoreError: the board cannot be asked; the body may have been put all the same.
        """
        ...


class Draft(Protocol):
    """A picture on its way to the disk, not yet visible to anyone.

    Every method raises `StorageFull` when the disk does not take it.
    """

    stem: str
    """What it will be called, the ending apart; made by us alone."""

    async def write(self, piece: bytes | bytearray | memoryview) -> None:
        """Append `piece`; give large pieces, each costs a thread hop. It is written on return."""
        ...

    async def rewind(self) -> None:
        """Drop what was written: another picture takes its place."""
        ...

    async def inspect(self) -> PictureFacts:
        """Look at what was written.

        Raises:
            NotAPicture: it is not a whole picture.
        """
        ...

    async def fit(self, ratio: Ratio, mode: FitMode) -> PictureFacts:
        """Crop or pad a picture whose ratio is off; what it is then.

        One within the tolerance stays as it is, and so does one whose padding
        would make it larger than a picture may be.

        Raises:
            NotAPicture: it is not a whole picture.
        """
        ...

    async def keep(self) -> str:
        """Make it durable and visible; its file name.

        Needs `inspect` before it: the name ends in the true type.
        """
        ...

    async def discard(self) -> None:
        """Remove what was written; nothing happens after `keep`."""
        ...


class PicturePiece(Struct, frozen=True, kw_only=True):
    """Some bytes of a kept picture."""

    data: bytes
    whole_bytes: int
    """The size of all of it."""


class FarImages(Protocol):
    """An image store whose pictures are no files here: what serves them asks it for them."""

    async def find_piece(self, name: str, *, start: int) -> PicturePiece | None:
        """Bytes of a kept picture from `start` on, which must be below its size, some at a time.

        `None` when there is none of that name.

        Raises:
            StoreError: it cannot be read.
        """
        ...

    async def measure(self, names: Collection[str]) -> dict[str, int]:
        """See `ImageStore`."""
        ...


class ImageStore(Protocol):
    """Where the pictures are."""

    async def check_space(self) -> None:
        """Make sure that another picture could be kept.

        Raises:
            StorageFull: too little room, or not writable.
        """
        ...

    async def open_draft(self, *, page_num: int | None) -> Draft:
        """Begin a picture, after the same check; the page number stands in its name.

        Raises:
            StorageFull: as `check_space`.
        """
        ...

    async def find_kept(self, stem: str) -> tuple[str, PictureFacts] | None:
        """The kept picture of that stem, its name and what it is: after a crash nobody knows.

        Raises:
            StoreError: the folder cannot be read.
        """
        ...

    async def read(self, name: str) -> bytes:
        """A kept picture, whole.

        Raises:
            StoreError: there is none of that name, or it cannot be read.
        """
        ...

    async def measure(self, names: Collection[str]) -> dict[str, int]:
        """The sizes in bytes of those of `names` that are kept pictures.

        Raises:
            StoreError: the folder cannot be read.
        """
        ...

    def read_pieces(self, name: str) -> Iterator[bytes]:
        """A kept picture piece by piece, to be read in a thread: it blocks on the disk.

        Raises:
            StoreError: there is none of that name, or it cannot be read.
        """
        ...

    async def read_small(self, name: str, *, width_px: int) -> bytes:
        """A kept picture as WebP, at most so wide; made at the first call, then kept beside it.

        Raises:
            StoreError: there is none of that name, or it cannot be read.
            NotAPicture: it cannot be decoded.
        """
        ...

    async def forget_old(self, *, before_s: float) -> int:
        """Delete the pictures kept before that wall-clock time, for good; how many.

        Raises:
            StoreError: the folder cannot be read or written.
        """
        ...

    async def keep_reference(self, data: bytes) -> str:
        """Keep a style reference durably, made small; its name, the same for the same bytes.

        Raises:
            NotAPicture: it is not a whole picture.
            StorageFull: the disk did not take it.
        """
        ...

    async def read_reference(self, name: str) -> bytes:
        """A kept style reference, whole: a small JPEG.

        Raises:
            StoreError: there is none of that name, or it cannot be read.
        """
        ...

    async def read_as_reference(self, name: str) -> bytes:
        """A kept picture, made as small as a style reference.

        Raises:
            StoreError: there is none of that name, or it cannot be read.
            NotAPicture: it cannot be decoded.
        """
        ...


class SessionShelf(Protocol):
    """The session files of every process, for whichever is asked."""

    async def put(self, document: SessionDocument, *, token: str) -> str:
        """Keep it, and tell the file's name: its own, or that of the next run that is free.

        A `token` that was put already changes nothing, and gives the same name again.

        Raises:
            StoreError: it may have been kept all the same.
        """
        ...

    async def read(self, session_id: str) -> dict[str, bytes]:
        """The session's files by name, as JSON; empty when there are none (any more).

        Raises:
            StoreError: the shelf cannot be asked.
        """
        ...
