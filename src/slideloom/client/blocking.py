"""The client for programs without asyncio: `Client`, and the batches it gives."""

import asyncio
import threading
import time
import weakref
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from slideloom.client.aio import DEFAULT_URL, AsyncClient
from slideloom.client.aio_batch import AsyncBatch
from slideloom.client.decks import Deck, SlideLike
from slideloom.client.errors import WaitTimeout
from slideloom.client.pauses import OnWait
from slideloom.client.records import BatchPage, Event, Exported, Readiness, find_ended
from slideloom.domain.estimate import Estimate
from slideloom.domain.status import BatchStatus, SlideResult

_T = TypeVar("_T")
_CLOSE_S = 5.0


class _LoopThread:
    """A loop of its own in a thread: what is asynchronous exists once, and runs there."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self.loop.run_forever, name="slideloom-client", daemon=True
        )
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """The result of `work`, which is given up when the caller is interrupted."""
        if self.loop.is_closed():
            work.close()
            message = "the client is closed"
            raise RuntimeError(message)
        future = asyncio.run_coroutine_threadsafe(work, self.loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self, last: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `last`, then end the thread; a second time it is nothing."""
        if self.loop.is_closed():
            return
        with suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(last(), self.loop).result(_CLOSE_S)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(_CLOSE_S)
        if not self.loop.is_running():
            self.loop.close()


class Client:
    """A Slideloom service, in plain calls; use it with `with`, or `close` it."""

    def __init__(  # noqa: PLR0913 - one parameter a choice
        self,
        url: str = DEFAULT_URL,
        *,
        api_prefix: str = "/api",
        patience_s: float = 60.0,
        language: Literal["en", "zh"] | None = None,
        headers: Mapping[str, str] | None = None,
        token: str | None = None,
        on_wait: OnWait | None = None,
    ) -> None:
        """Take the service's address; nothing is sent yet.

        Args:
            url: of the service's root.
            api_prefix: the service's `API_PREFIX`.
            patience_s: seconds for which lost connections, 429 and 503 are tried again.
            language: of the messages for people.
            headers: sent with every request, for proxies that want some.
            token: one of the service's `API_TOKENS`, its secret part; default
                `SLIDELOOM_TOKEN` of the environment. It goes to `url` and nowhere else.
            on_wait: called with the seconds and the error before each wait of 3 s or more.
                It is called in the client's thread.

        Raises:
            ValueError: the token cannot be sent.
        """
        self._client = AsyncClient(
            url,
            api_prefix=api_prefix,
            patience_s=patience_s,
            language=language,
            headers=headers,
            token=token,
            on_wait=on_wait,
        )
        self._thread = _LoopThread()
        # Also at the program's end: most scripts close nothing.
        self._finalizer = weakref.finalize(self, self._thread.close, self._client.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connections; batches go on."""
        self._finalizer()

    def generate(  # noqa: PLR0913 - the request's own keys
        self,
        *,
        slides: Iterable[SlideLike],
        style_prompt: str = "",
        max_workers: int | None = None,
        aspect_ratio: str | None = None,
        model: str | None = None,
        cache: bool | None = None,
        max_cost_usd: float | None = None,
        style_reference: str | None = None,
        idempotency_key: str | None = None,
    ) -> "Batch":
        """Have all slides of a deck made; what is `None` is left to the service.

        Raises:
            Unreachable, Refused: the service does not take it.
        """
        made = self._client.generate(
            slides=slides,
            style_prompt=style_prompt,
            max_workers=max_workers,
            aspect_ratio=aspect_ratio,
            model=model,
            cache=cache,
            max_cost_usd=max_cost_usd,
            style_reference=style_reference,
            idempotency_key=idempotency_key,
        )
        return Batch(self, self._thread, self._thread.run(made))

    def submit(self, deck: Deck, *, idempotency_key: str | None = None) -> "Batch":
        """Have a deck made that is a request already, as `load_deck` gives it.

        However often the request has to be sent, it is carried out once: it carries
        an Idempotency-Key, a new one unless `idempotency_key` is given.

        Raises:
            Unreachable, Refused: the service does not take it.
        """
        made = self._client.submit(deck, idempotency_key=idempotency_key)
        return Batch(self, self._thread, self._thread.run(made))

    def estimate(self, deck: Deck) -> Estimate:
        """What the deck would cost and how long it would take; nothing is paid.

        Raises:
            Unreachable, Refused: the service does not say.
        """
        return self._thread.run(self._client.estimate(deck))

    def get(self, batch_id: str) -> "Batch":
        """A batch that is there.

        Raises:
            NotFound: it is not, or not any more.
        """
        return Batch(self, self._thread, self._thread.run(self._client.get(batch_id)))

    def ready(self) -> Readiness:
        """Whether the service takes new work, and who makes its pictures.

        Raises:
            Unreachable, UnexpectedAnswer: there is no Slideloom.
        """
        return self._thread.run(self._client.ready())

    def list(self, *, limit: int = 50, cursor: str | None = None) -> BatchPage:
        """Batches, newest first; `cursor` is the `next_cursor` of the page before."""
        return self._thread.run(self._client.list(limit=limit, cursor=cursor))


class Batch:
    """One batch at a service; made by a `Client`."""

    def __init__(self, client: Client, thread: _LoopThread, batch: AsyncBatch) -> None:
        self.id = batch.id
        self._client = client
        """Kept: the thread ends with it."""
        self._thread = thread
        self._batch = batch

    def status(self) -> BatchStatus:
        """How the batch is, slide by slide.

        Raises:
            NotFound: its record is gone.
        """
        return self._thread.run(self._batch.status())

    def events(self, *, after: int | None = None, timeout: float | None = None) -> Iterator[Event]:
        """Each event as it comes, until the batch has ended; none twice, none left out.

        Begins behind the event `after`; unless that is given, behind the last one this
        object has given out, thus with the first. Broken connections are made anew.

        Raises:
            WaitTimeout: the batch has not ended within `timeout` seconds; it goes on.
            Unreachable, Refused: no way to the events, as long as patience lasts.
        """
        until_s = None if timeout is None else time.monotonic() + timeout
        events = self._batch.events(after=after)

        async def fetch_next() -> Event | None:
            left_s = None if until_s is None else until_s - time.monotonic()
            async with asyncio.timeout(left_s):
                return await anext(events, None)

        try:
            while (event := self._thread.run(fetch_next())) is not None:
                yield event
        except TimeoutError as error:
            raise WaitTimeout(self.id, timeout or 0.0) from error
        finally:
            self._thread.run(events.aclose())

    def wait(
        self,
        *,
        on_slide: Callable[[SlideResult], object] | None = None,
        timeout: float | None = None,
    ) -> BatchStatus:
        """The status after the batch's end.

        Args:
            on_slide: called in this thread with each slide that ends, done or not, also with
                those that had ended before.
            timeout: seconds; without one it waits as long as it takes.

        Raises:
            WaitTimeout: the batch has not ended in time; it goes on.
            Unreachable, Refused: no way to the events, as long as patience lasts.
        """
        for event in self.events(timeout=timeout):
            ended = find_ended(event)
            if on_slide is not None and ended is not None:
                on_slide(ended)
        return self.status()

    def cancel(self) -> BatchStatus:
        """Stop it: no new calls; what was made stays.

        Raises:
            NotFound: its record is gone.
        """
        return self._thread.run(self._batch.cancel())

    def retry(self, slide_ids: Sequence[str] | None = None) -> BatchStatus:
        """Make again what is not done: of these slides, or of all.

        Raises:
            NotFound: there is no such slide.
            AnswerLost: it may go on or not; look at the status.
        """
        return self._thread.run(self._batch.retry(slide_ids))

    def regenerate(self, slide_id: str) -> BatchStatus:
        """Make a new version of one slide, never from the cache.

        Raises:
            NotFound: there is no such slide.
            AnswerLost: it may be under way; look at the status before you pay again.
        """
        return self._thread.run(self._batch.regenerate(slide_id))

    def restore(self, slide_id: str, version: int) -> BatchStatus:
        """Show an earlier version of one slide again; `version` is its `n`.

        Raises:
            NotFound: there is no such slide or version.
            Conflict: the slide is being made.
        """
        return self._thread.run(self._batch.restore(slide_id, version))

    def export(self, path: str | Path) -> Exported:
        """Take the finished slides home, as `.pptx`, `.pdf` or `.zip` by the path's ending.

        Raises:
            ValueError: another ending.
            Conflict: no picture is there yet.
            OSError: the disk does not take it; what was there before stays.
        """
        return self._thread.run(self._batch.export(path))

    def save_all(self, folder: str | Path) -> tuple[Path, ...]:
        """Save every picture there is, by page: `slide_001.png` or `.jpg`; their paths, in order.

        A picture that is there whole is not fetched again; one that changed is replaced.

        Raises:
            OSError: the disk does not take one.
        """
        return self._thread.run(self._batch.save_all(folder))
