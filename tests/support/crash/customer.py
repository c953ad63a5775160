"""Customers: they order, ask, and remember every word they were given."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from tests.support.crash.decks import Deck

_POLL_S = 0.02
_PATIENCE_S = 120.0
"""For one answer, on a busy machine; a waiting one comes with the batch's end."""
_REFUSED = 400
_NOT_NOW = (503, 507)
"""While it stops, or while its disk takes nothing."""
_FINAL = ("completed", "failed")
UNREACHABLE = (aiohttp.ClientError, ConnectionError, TimeoutError)
"""What a request ends in when the service is killed meanwhile."""


class Customer:
    """All customers of one site, and what they were told."""

    def __init__(self, client: aiohttp.ClientSession) -> None:
        self.accepted: dict[str, Deck] = {}
        """By batch id: those whose answer began."""
        self.unanswered: dict[str, Deck] = {}
        """By title: sent, and never answered."""
        self.refused: dict[str, Deck] = {}
        """By title: answered with an error."""
        self.shown: dict[tuple[str, str], str] = {}
        """The picture's address of every slide that was said to be done, by batch and slide."""
        self.ends: dict[str, Any] = {}
        """Each batch's first final status, by its id."""
        self.faults: list[str] = []
        """Answers that should never have come."""
        self.resends = 0
        self.excused: set[int] = set()
        """Answers that may come to a question, for the time being."""
        self._client = client

    async def send(self, url: str, deck: Deck, *, waits: bool | None = None) -> int | None:
        """Order; the answer's status, or `None` when none came."""
        headers = {} if deck.key is None else {"Idempotency-Key": deck.key}
        if not (deck.waits if waits is None else waits):
            headers["Prefer"] = "respond-async"
        if deck.title not in {known.title for known in self.accepted.values()}:
            self.unanswered[deck.title] = deck
        address = f"{url}/api/slide/batch/generate"
        status = None
        with contextlib.suppress(*UNREACHABLE):
            async with self._client.post(address, json=deck.body, headers=headers) as answer:
                status = answer.status
                self._note_taken(deck, answer)
                if status < _REFUSED:
                    self._note(answer.headers["X-Batch-Id"], await answer.json())
        return status

    def _note_taken(self, deck: Deck, answer: aiohttp.ClientResponse) -> None:
        """The answer has begun: from here on the batch must not be lost."""
        self.unanswered.pop(deck.title, None)
        if answer.status >= _REFUSED:
            self.refused[deck.title] = deck
            if answer.status not in _NOT_NOW:
                self.faults.append(f"{deck.title} was refused with {answer.status}")
            return
        self.refused.pop(deck.title, None)
        batch_id = answer.headers["X-Batch-Id"]
        others = [other for other, known in self.accepted.items() if known.title == deck.title]
        if any(other != batch_id for other in others):
            self.faults.append(f"{deck.key} stands for {others} and for {batch_id}")
        self.accepted[batch_id] = deck

    async def resend(self, url: str) -> None:
        """Send again whatever has a key; each must join the batch it already stands for."""
        decks = [*self.accepted.values(), *self.unanswered.values(), *self.refused.values()]
        for deck in decks:
            if deck.key is not None:
                status = await self.send(url, deck, waits=False)
                self.resends += status is not None

    async def ask(self, url: str, batch_id: str) -> Any:
        """A batch's status; `None` when the service could not be reached."""
        with contextlib.suppress(*UNREACHABLE):
            async with self._client.get(f"{url}/api/slide/batch/{batch_id}") as answer:
                body = await answer.json()
                if answer.status == 200:
                    self._note(batch_id, body)
                    return body
                if answer.status not in self.excused:
                    self.faults.append(f"{batch_id}, asked for, got {answer.status}")
        return None

    async def watch(self, url: str, *, pause_s: float = _POLL_S) -> None:
        """Ask about all open batches, again and again, until cancelled."""
        while True:
            for batch_id in self._list_open():
                await self.ask(url, batch_id)
            await asyncio.sleep(pause_s)

    async def wait_idle(self, url: str) -> None:
        """Wait until every batch has its end, also those that nobody knows of."""
        address = f"{url}/api/slide/batch/active-count"
        while True:
            async with self._client.get(address) as answer:
                if (await answer.json())["active_batches"] == 0:
                    return
            await asyncio.sleep(_POLL_S)

    async def ask_all(self, url: str) -> None:
        """Ask about every batch: those that had ended must be as they were."""
        for batch_id in self.accepted:
            now = await self.ask(url, batch_id)
            if now != self.ends.get(batch_id, now):
                self.faults.append(f"{batch_id}: {self.ends[batch_id]} became {now}")

    async def list_batches(self, url: str) -> set[str]:
        """The ids of all batches there are."""
        ids: set[str] = set()
        query = {"limit": "200"}
        while True:
            async with self._client.get(f"{url}/api/slide/batch", params=query) as answer:
                page = await answer.json()
            ids |= {one["batch_id"] for one in page["batches"]}
            if page["next_cursor"] is None:
                return ids
            query["cursor"] = page["next_cursor"]

    def _list_open(self) -> list[str]:
        return [batch_id for batch_id in self.accepted if batch_id not in self.ends]

    def _note(self, batch_id: str, body: Any) -> None:
        """Remember what was promised, and notice what was taken back."""
        for result in body["results"]:
            key = batch_id, result["slide_id"]
            if result["status"] == "done":
                self.shown.setdefault(key, result["image_url"])
            if self.shown.get(key) != result["image_url"]:
                self.faults.append(f"{key} was {self.shown[key]}, became {result}")
        is_status = "progress" in body  # the waiting answer has other keys
        if is_status and body["status"] in _FINAL:
            self.ends.setdefault(batch_id, body)


@asynccontextmanager
async def open_customer() -> AsyncIterator[Customer]:
    """Customers with connections of their own."""
    timeout = aiohttp.ClientTimeout(total=_PATIENCE_S)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as client:
        yield Customer(client)
