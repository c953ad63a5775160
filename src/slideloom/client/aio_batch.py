"""One batch at a service, for asyncio."""

import asyncio
import inspect
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from urllib.parse import quote

import msgspec

from slideloom.client.caller import Ask, Caller
from slideloom.client.errors import NotFound, WaitTimeout
from slideloom.client.files import (
    is_whole,
    name_pictures,
    parse_remote,
    save_pieces,
    take_stamp,
)
from slideloom.client.records import Event, Exported, find_ended
from slideloom.client.stream import EventStream
from slideloom.domain.batch import BatchPhase
from slideloom.domain.feed import BatchNews
from slideloom.domain.status import BatchStatus, SlideResult

FINAL: frozenset[BatchPhase] = frozenset({"completed", "failed"})
"""The statuses in which nothing more happens."""
_PIECE_BYTES = 256 * 1024
_SIDE_BY_SIDE = 4
"""Pictures saved at once."""
_PAGE = re.compile(r"-?\b[0-9]{1,19}\b")
_ENDINGS = (".pptx", ".pdf", ".zip")


class AsyncBatch:
    """One batch at a service; made by an `AsyncClient`."""

    def __init__(self, caller: Caller, batches: str, batch_id: str) -> None:
        self.id = batch_id
        self._caller = caller
        self._path = f"{batches}/{quote(batch_id, safe='')}"
        self._after = 0
        """Number of the last event that `events` gave out."""
        self._finish: BatchNews | None = None
        """The last `batch.finished` that `events` gave out."""
        self._saved: dict[Path, tuple[str, object]] = {}
        """What `save_all` left where, untouched since: it need not ask for that again."""

    async def status(self) -> BatchStatus:
        """How the batch is, slide by slide.

        Raises:
            NotFound: its record is gone.
        """
        return await self._caller.fetch(Ask(method="GET", path=self._path), BatchStatus)

    async def events(self, *, after: int | None = None) -> AsyncGenerator[Event, None]:
        """Each event as it comes, until the batch has ended; none twice, none left out.

        Begins behind the event `after`; unless that is given, behind the last one this
        object has given out, thus with the first. Broken connections are made anew.

        Raises:
            Unreachable, Refused: no way to the events, as long as patience lasts.
        """
        if after is None and self._finish is not None and await self._is_over(self._finish):
            return
        begin = self._after if after is None else after
        stream = EventStream(
            self._caller, f"{self._path}/events", after=begin, is_over=self._is_over
        )
        async with aclosing(stream.read()) as events:
            async for event in events:
                self._after = max(self._after, event.id)
                yield event

    async def wait(
        self,
        *,
        on_slide: Callable[[SlideResult], object] | None = None,
        timeout: float | None = None,
    ) -> BatchStatus:
        """The status after the batch's end.

        Args:
            on_slide: called (and awaited, if it is to be) with each slide that ends, done or
                not, also with those that had ended before.
            timeout: seconds; without one it waits as long as it takes.

        Raises:
            WaitTimeout: the batch has not ended in time; it goes on.
            Unreachable, Refused: no way to the events, as long as patience lasts.
        """
        try:
            async with asyncio.timeout(timeout) as limit, aclosing(self.events()) as events:
                async for event in events:
                    ended = find_ended(event)
                    told = on_slide(ended) if on_slide is not None and ended is not None else None
                    if inspect.isawaitable(told):
                        await told
                return await self.status()
        except TimeoutError as error:
            if timeout is None or not limit.expired():
                raise
            raise WaitTimeout(self.id, timeout) from error

    async def cancel(self) -> BatchStatus:
        """Stop it: no new calls; what was made stays.

        Raises:
            NotFound: its record is gone.
        """
        return await self._change("cancel")

    async def retry(self, slide_ids: Sequence[str] | None = None) -> BatchStatus:
        """Make again what is not done: of these slides, or of all.

        Raises:
            NotFound: there is no such slide.
            AnswerLost: it may go on or not; look at the status.
        """
        body = None if slide_ids is None else msgspec.json.encode({"slide_ids": list(slide_ids)})
        return await self._change("retry", body=body, repeatable=False)

    async def regenerate(self, slide_id: str) -> BatchStatus:
        """Make a new version of one slide, never from the cache.

        Raises:
            NotFound: there is no such slide.
            AnswerLost: it may be under way; look at the status before you pay again.
        """
        action = f"slides/{quote(slide_id, safe='')}/regenerate"
        return await self._change(action, repeatable=False)

    async def restore(self, slide_id: str, version: int) -> BatchStatus:
        """Show an earlier version of one slide again; `version` is its `n`.

        Raises:
            NotFound: there is no such slide or version.
            Conflict: the slide is being made.
        """
        return await self._change(f"slides/{quote(slide_id, safe='')}/versions/{version}/restore")

    async def export(self, path: str | Path) -> Exported:
        """Take the finished slides home, as `.pptx`, `.pdf` or `.zip` by the path's ending.

        Raises:
            ValueError: another ending.
            Conflict: no picture is there yet.
            OSError: the disk does not take it; what was there before stays.
        """
        home = Path(path)
        ending = home.suffix.lower()
        if ending not in _ENDINGS:
            message = f"{home.name} must end in {', '.join(_ENDINGS)}"
            raise ValueError(message)
        headers = await self._download(f"{self._path}/export{ending}", home, dated=False)
        missing = _PAGE.findall(headers.get("X-Missing-Slides", ""))
        return Exported(home, tuple(map(int, missing)))

    async def save_all(self, folder: str | Path) -> tuple[Path, ...]:
        """Save every picture there is, by page: `slide_001.png` or `.jpg`; their paths, in order.

        A picture that is there whole is not fetched again; one that changed is replaced.

        Raises:
            OSError: the disk does not take one.
        """
        pictures = name_pictures((await self.status()).results)
        paths = tuple(Path(folder) / picture.name for picture in pictures)
        seats = asyncio.Semaphore(_SIDE_BY_SIDE)

        async def save(url: str, path: Path) -> None:
            async with seats:
                await self._save_picture(url, path)

        try:
            async with asyncio.TaskGroup() as group:
                for picture, path in zip(pictures, paths, strict=True):
                    group.create_task(save(picture.url, path), name=f"save {path.name}")
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None  # one says enough
        return paths

    async def _save_picture(self, url: str, path: Path) -> None:
        ask = Ask(method="HEAD", path=quote(url))

        async def look() -> bool:
            async with self._caller.open(ask) as answer:
                return is_whole(path, parse_remote(answer.headers))

        stamp = take_stamp(path)
        if stamp is not None and self._saved.get(path) == (url, stamp):
            return
        if stamp is None or not await self._caller.insist(ask, look):
            await self._download(quote(url), path, dated=True)
        self._saved[path] = url, take_stamp(path)

    async def _download(self, url: str, path: Path, *, dated: bool) -> Mapping[str, str]:
        """Save what is at `url`; the answer's headers."""
        ask = Ask(method="GET", path=url)

        async def download() -> Mapping[str, str]:
            async with self._caller.open(ask) as answer:
                remote = parse_remote(answer.headers)
                pieces: AsyncIterator[bytes] = answer.content.iter_chunked(_PIECE_BYTES)
                await save_pieces(path, pieces, changed_at_s=remote.changed_at_s if dated else None)
                return answer.headers

        return await self._caller.insist(ask, download)

    async def _change(
        self, action: str, *, body: bytes | None = None, repeatable: bool = True
    ) -> BatchStatus:
        ask = Ask(method="POST", path=f"{self._path}/{action}", body=body, repeatable=repeatable)
        return await self._caller.fetch(ask, BatchStatus)

    async def _is_over(self, finish: BatchNews | None) -> bool:
        """Whether the batch has ended; where a `batch.finished` is given, whether with that one.

        The total time tells: it grows with every run.
        """
        self._finish = finish or self._finish
        try:
            status = await self.status()
        except NotFound:
            return True  # its record is gone: no more will come
        if status.status not in FINAL or finish is None:
            return status.status in FINAL
        return finish.total_time is not None and round(finish.total_time, 3) == status.total_time
