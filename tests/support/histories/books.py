"""What outlives every life of the service, and all that is known of what happened to it."""

import asyncio
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from slideloom.domain.events import BatchSubmitted, Event, SlideDone
from slideloom.domain.keys import OnceKey
from slideloom.providers.base import DrawOrder
from slideloom.stores.image_base import Draft
from tests.support.flaky import Dice
from tests.support.histories.calls import CALL_LAWS, Scene
from tests.support.histories.clocks import WallClock
from tests.support.histories.events import EVENT_LAWS, Situation
from tests.support.histories.life import Life, Setup
from tests.support.histories.logbook import BatchTrack, follow, open_track
from tests.support.histories.upstream import Act, Call, Upstream
from tests.support.histories.witness import InlineSqliteStore, QuickMemoryStore
from tests.support.parts import MemoryImageStore


class KeyUse(Struct, frozen=True):
    """What a key stands for."""

    digest: str
    batch_id: str
    until_s: float


class Books:
    """Store, pictures and upstream, and beside them what was written, called and billed."""

    def __init__(self, loop: asyncio.AbstractEventLoop, wall: WallClock, setup: Setup) -> None:
        self.setup = setup
        self.dice = Dice(seed=setup.seed, share=setup.share)
        self.store: Any = InlineSqliteStore() if setup.is_sqlite else QuickMemoryStore()
        self.images = MemoryImageStore()
        self.upstream = Upstream()
        self.batches: dict[str, BatchTrack] = {}
        """Every one that was ever written."""
        self.keys: dict[str, KeyUse] = {}
        self.broken: list[str] = []
        """Laws that were broken by something written, called or answered."""
        self.owner = 0
        """The life that the batches belong to."""
        self.has_zombie = False
        """Whether another life still believes that they are its own."""
        self._slides: dict[str, tuple[str, int]] = {}
        """Batch and place by slide id: those of the histories are unique."""
        self._loop = loop
        self._wall = wall
        self._latest_s = wall.time()

    def complain(self, law: str, *facts: object) -> None:
        """A law was broken."""
        self.broken.append(f"{law}: {', '.join(map(str, facts))}")

    def latest_s(self) -> float:
        """The latest that the wall clock was, as far as is known."""
        return max(self._latest_s, self._wall.time())

    def set_clock(self, ahead_s: float) -> None:
        """Somebody sets the wall clock."""
        self._latest_s = self.latest_s()
        self._wall.jump(ahead_s)

    async def check_store(self) -> None:
        """Compare the store with what was written, event by event."""
        for batch_id, batch in self.batches.items():
            log = await self.store.read(batch_id)
            if log and log != batch.log:
                self.complain("the_log_is_what_was_written", batch_id, log)

    def note_order(
        self, batch_id: str, taken_id: str, submitted: BatchSubmitted, key: OnceKey | None
    ) -> None:
        """The store took an order, or knew its key."""
        use = None if key is None else self._find_use(key, taken_id, now_s=submitted.at_s)
        if taken_id != (batch_id if use is None else use.batch_id):
            self.complain("a_living_key_stands_for_its_batch", key, taken_id)
        if taken_id != batch_id:
            return
        if key is not None:
            self.keys[key.text] = KeyUse(key.digest, batch_id, key.until_s)
        self.batches[batch_id] = open_track(batch_id, submitted, life=self.owner, key=key)
        for place, slide in enumerate(submitted.order.slides):
            self._slides[slide.id] = batch_id, place

    def _find_use(self, key: OnceKey, taken_id: str, *, now_s: float) -> KeyUse | None:
        use = self.keys.get(key.text)
        if use is None or use.until_s <= now_s:
            return None
        if use.until_s <= self.latest_s():  # it may have gone before the clock was set back
            return use if taken_id == use.batch_id else None
        return use

    def note_events(self, life: Life, batch_id: str, events: Sequence[Event]) -> None:
        """A life wrote something."""
        batch = self.batches[batch_id]
        situation = Situation(
            life=life.number,
            hears_all=not self.setup.share,
            policy=life.policy,
            bills=self.setup.bills,
            retry_no_image=self.setup.retry_no_image,
            is_kept=self._was_kept,
        )
        for event in events:
            for law in EVENT_LAWS:
                if not law(batch, event, situation):
                    self.complain(law.__name__, batch_id, event)
            if isinstance(event, SlideDone) and event.image not in self.images.kept:
                self.complain("picture_is_kept_before_it_is_recorded", batch_id, event)
            follow(batch, event, now_s=self._loop.time())

    def _was_kept(self, stem: str) -> bool:
        """Before anybody could look; another life may keep it just while this one looks."""
        return not self.has_zombie and f"{stem}.png" in self.images.kept

    def note_call(self, life: Life, order: DrawOrder, draft: Draft, act: Act) -> Call:
        """A life makes a call."""
        batch_id, place = self._slides[order.slide.id]
        batch = self.batches[batch_id]
        slide = batch.slides[place]
        call = Call(
            number=len(self.upstream.calls),
            batch_id=batch_id,
            place=place,
            attempt=slide.attempts,
            prompt=order.prompt,
            life=life.number,
            begun_s=self._loop.time(),
            is_billed=act.is_billed and self.setup.bills,
        )
        scene = Scene(
            call=call,
            batch=batch,
            is_owner=life.number == self.owner,
            beside=sum(one.life == life.number for one in self.upstream.list_open(batch_id)),
            draft_opened_s=getattr(draft, "opened_s", 0.0),
            disk_full_since_s=self.dice.find_outage("disk"),
            stopped_at_s=life.stopped_at_s,
        )
        for law in CALL_LAWS:
            if not law(scene):
                self.complain(law.__name__, scene)
        slide.called, slide.call = slide.attempts, call
        self.upstream.begin(call)
        return call
