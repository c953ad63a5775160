"""The clients, each a task around a connection of its own."""

import asyncio
import random
import re
from typing import Any
from urllib.parse import urlsplit

import msgspec

from tests.load.plan import LoadPlan, Tally
from tests.support.asking import Question, Reply, Wire, open_wire
from tests.support.crowds import FINAL, crowd_deck

_POLL_EVERY_S = 1.0
_ARRIVE_S = 5.0
"""Within which pollers and idle ones come, or within a quarter of a shorter run."""
_PATIENCE_S = 30.0
"""An answer that takes longer is an error."""
_BREAK_OFF = 0.02
"""How likely a reader breaks off at an event, to resume behind it."""
_DRIP_EVERY_S = 1.0
_EVENT = re.compile(rb"id: (\d+)\nevent: (\S+)\n")
_LAG_EVERY_S = 0.1
_LONG_HEAD = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: " + b"." * 10_000
_LONG_BODY = (
    b"POST /api/slide/batch/status HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Type: application/json\r\nContent-Length: 10000\r\n\r\n" + b" " * 10_000
)
_HEAD_OF_BODY_BYTES = _LONG_BODY.index(b"\r\n\r\n") + 4


class Slot:
    """A place for one batch after the other; pollers and readers come to it by themselves."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.batch_id = ""
        self.is_over = False
        """Whether no other batch will come."""
        self.news = asyncio.Condition()

    async def wait_other(self, batch_id: str) -> str:
        """The slot's batch once it is not `batch_id`; empty when no other one will come."""
        async with self.news:
            await self.news.wait_for(lambda: self.batch_id != batch_id or self.is_over)
        return "" if self.batch_id == batch_id else self.batch_id


class Crowd:
    """All clients of one service."""

    def __init__(self, url: str, plan: LoadPlan, tally: Tally) -> None:
        self._url = url
        self._host = urlsplit(url).netloc
        self._plan = plan
        self._tally = tally
        self._rng = random.Random(7)
        self.is_closing = False
        """Whether those who never end by themselves shall."""

    async def _arrive(self) -> None:
        await asyncio.sleep(self._rng.random() * min(_ARRIVE_S, self._plan.seconds / 4))

    # Batches.

    async def order_on(self, slot: Slot, until_s: float) -> None:
        """Order a batch, wait for its end, order another, until it is late."""
        loop = asyncio.get_running_loop()
        round_no = 0
        while loop.time() < until_s:
            deck = crowd_deck(
                round_no * self._plan.batches + slot.number,
                self._plan.slides,
                max_workers=self._plan.workers,
            )
            round_no += 1
            question = Question(
                "POST",
                "/api/slide/batch/generate",
                msgspec.json.encode(deck),
                (("Prefer", "respond-async"),),
            )
            reply = await self._ask_once(question)
            if reply is None or reply.status != 202:
                self._tally.errors[f"order: {reply and reply.status}"] += 1
                await asyncio.sleep(_POLL_EVERY_S)
                continue
            await self.put(slot, msgspec.json.decode(reply.body)["batch_id"])
            await self._see_end(slot.batch_id)
        slot.is_over = True
        await self.put(slot, slot.batch_id)

    async def put(self, slot: Slot, batch_id: str) -> None:
        """Have those who are at the slot go to that batch."""
        async with slot.news:
            slot.batch_id = batch_id
            slot.news.notify_all()

    async def _see_end(self, batch_id: str) -> None:
        question = Question("GET", f"/api/slide/batch/{batch_id}")
        body: Any = {"status": "unknown"}
        while body["status"] not in FINAL:
            await asyncio.sleep(_POLL_EVERY_S)
            reply = await self._ask_once(question)
            if reply is not None and reply.status == 200:
                body = msgspec.json.decode(reply.body)
        slides = self._plan.slides
        counts = (body["status"], body["successful"], body["failed"], body["progress"])
        if counts == ("completed", slides, 0, 1.0):
            self._tally.ended[batch_id] = body["last_event_id"]
        else:
            self._tally.errors[f"batch ended as {counts}"] += 1

    async def _ask_once(self, question: Question) -> Reply | None:
        """The answer on a connection of its own; `None` and an error if there is none."""
        try:
            wire = await open_wire(self._url)
        except OSError as error:
            self._tally.errors[f"connect: {error!r}"] += 1
            return None
        try:
            async with asyncio.timeout(_PATIENCE_S):
                return await wire.ask(question.to_bytes(self._host))
        except (OSError, TimeoutError) as error:
            self._tally.errors[f"{question.method}: {error!r}"] += 1
            return None
        finally:
            wire.close()

    # Pollers.

    async def poll_on(self, slot: Slot) -> None:
        """Ask how the slot's batch is, once a second."""
        loop = asyncio.get_running_loop()
        await slot.wait_other("")
        await self._arrive()
        due_s, wire, tag, turn = loop.time(), None, ("", ""), 0
        while not self.is_closing:
            turn += 1
            try:
                if wire is None or not wire.is_open:
                    wire = await open_wire(self._url)
                tag = await self._poll(wire, slot.batch_id, tag, is_get=turn % 2 == 0)
            except (OSError, TimeoutError) as error:
                self._tally.errors[f"poll: {error!r}"] += 1
                wire = None
            due_s += _POLL_EVERY_S
            await asyncio.sleep(due_s - loop.time())
        if wire is not None:
            wire.close()

    async def _poll(
        self, wire: Wire, batch_id: str, tag: tuple[str, str], *, is_get: bool
    ) -> tuple[str, str]:
        """Ask once and look at the answer; the batch and its `ETag`, as told last."""
        if is_get:
            known = (("If-None-Match", tag[1]),) if tag[0] == batch_id and tag[1] else ()
            question = Question("GET", f"/api/slide/batch/{batch_id}", headers=known)
        else:
            body = b'{"batch_id":"%s"}' % batch_id.encode()
            question = Question("POST", "/api/slide/batch/status", body)
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        async with asyncio.timeout(_PATIENCE_S):
            reply = await wire.ask(question.to_bytes(self._host))
        self._tally.polls_ms.append((loop.time() - began_s) * 1000)
        if reply.status == 304:
            self._tally.unchanged += 1
        elif reply.status != 200:
            self._tally.errors[f"poll: {reply.status}"] += 1
        elif not reply.body.startswith(b'{"batch_id":"%s"' % batch_id.encode()):
            self._tally.errors["poll: another batch's answer"] += 1
        return (batch_id, reply.find_header("etag") or "") if is_get else tag

    # Readers.

    async def read_on(self, slot: Slot) -> None:
        """Read every event of the slot's batches."""
        batch_id = ""
        while batch_id := await slot.wait_other(batch_id):
            after, is_last = 0, False
            while not is_last:
                try:
                    after, is_last = await self._read_some(batch_id, after)
                except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
                    self._tally.errors[f"stream: {error!r}"] += 1
                    await asyncio.sleep(_POLL_EVERY_S)
            self._tally.heard.setdefault(batch_id, []).append(after)

    async def _read_some(self, batch_id: str, after: int) -> tuple[int, bool]:
        """The number of the last event that came, and whether it is the batch's last."""
        place = urlsplit(self._url)
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
        try:
            resume = (("Last-Event-ID", str(after)),) if after else ()
            question = Question("GET", f"/api/slide/batch/{batch_id}/events", headers=resume)
            writer.write(question.to_bytes(self._host))
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise ConnectionError(head[9:12])
            while True:
                size = int(await reader.readuntil(b"\r\n"), 16)
                piece = (await reader.readexactly(size + 2))[:-2]
                for number, name in _EVENT.findall(piece):
                    if int(number) != after + 1:
                        self._tally.errors[f"events: {int(number)} behind {after}"] += 1
                    after = int(number)
                    if name == b"batch.finished":
                        return after, True
                if after and self._rng.random() < _BREAK_OFF:
                    self._tally.resumed += 1
                    return after, False
        finally:
            writer.close()

    # Idle and slow ones.

    async def dawdle(self, number: int) -> None:
        """Hold a connection open and hardly use it; open another when it is closed."""
        script = (b"", _LONG_HEAD, b"", _LONG_BODY)[number % 4]
        sent_at_once = _HEAD_OF_BODY_BYTES if script is _LONG_BODY else 0
        place = urlsplit(self._url)
        await self._arrive()
        while not self.is_closing:
            try:
                reader, writer = await asyncio.open_connection(place.hostname, place.port)
            except OSError as error:
                self._tally.errors[f"connect: {error!r}"] += 1
                await asyncio.sleep(_POLL_EVERY_S)
                continue
            writer.write(script[:sent_at_once])
            await self._drip(reader, writer, script[sent_at_once:])
            writer.close()

    async def _drip(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, rest: bytes
    ) -> None:
        """A byte a second, until the service closes or it is over."""
        closed = asyncio.ensure_future(reader.read())
        sent = 0
        try:
            while not self.is_closing:
                writer.write(rest[sent : sent + 1])
                sent += 1
                done, _ = await asyncio.wait({closed}, timeout=_DRIP_EVERY_S)
                if done:
                    self._tally.closed_on += 1
                    closed.exception()
                    return
        finally:
            closed.cancel()

    async def watch_itself(self) -> None:
        """See how late this process' own loop is: what it measures of others is no better."""
        loop = asyncio.get_running_loop()
        while not self.is_closing:
            due_s = loop.time() + _LAG_EVERY_S
            await asyncio.sleep(_LAG_EVERY_S)
            self._tally.own_lag_ms.append((loop.time() - due_s) * 1000)
