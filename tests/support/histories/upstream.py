"""The paid provider of the histories: does what the script says, and keeps the bill."""

import asyncio
import struct
import zlib
from collections import deque
from collections.abc import Callable
from typing import Final

from msgspec import Struct, field

from slideloom.errors import (
    AnswerLost,
    AuthFailed,
    BadRequest,
    BlockedAddress,
    ContentBlocked,
    CorruptPicture,
    DownloadFailed,
    NoImage,
    ProviderError,
    QuotaExhausted,
    RateLimited,
    RequestNotSent,
    UpstreamDown,
)
from slideloom.providers.base import Checked, Drawn, DrawOrder
from slideloom.stores.image_base import Draft
from tests.support.pictures import picture

PRICE_USD: Final = 0.04
SLIDE_TIMEOUT_S: Final = 120.0
SLOW_S: Final = 200.0
"""Longer than a call may take."""

_PICTURE: Final = picture()
_TAIL: Final = 12
"""Bytes of a PNG's last chunk."""
_DIGITS: Final = 8

FAULTS: Final[dict[str, Callable[[], Exception]]] = {
    "not sent": RequestNotSent,
    "down": UpstreamDown,
    "rejected": lambda: RateLimited("slow down"),
    "rejected for 5 s": lambda: RateLimited("slow down", retry_after_s=5.0),
    "rejected for 2 h": lambda: RateLimited("come back", retry_after_s=7200.0),
    "blocked": lambda: ContentBlocked("IMAGE_SAFETY"),
    "key refused": lambda: AuthFailed("no such key", http_status=401),
    "account empty": lambda: QuotaExhausted("no credit", http_status=402),
    "bad request": BadRequest,
    "answer lost": AnswerLost,
    "no image": NoImage,
    "no image, charged": lambda: NoImage("only words", cost_usd=PRICE_USD),
    "corrupt": CorruptPicture,
    "download failed": DownloadFailed,
    "blocked address": BlockedAddress,
    "bug": lambda: ZeroDivisionError("a fault of ours"),
}
"""How a call may end without a picture."""
_CERTAINLY_FREE: Final = (
    RequestNotSent,
    UpstreamDown,
    RateLimited,
    ContentBlocked,
    AuthFailed,
    QuotaExhausted,
    BadRequest,
)


class Act(Struct, frozen=True, kw_only=True):
    """What the upstream does at one call."""

    fault: str = ""
    """One of `FAULTS`, or none; `slow` and `garbage` beside them."""
    seconds: float = 1.0
    is_billed: bool = True
    """Whether it charges where that is anybody's guess: for a lost answer, or a call cut off."""


class Call(Struct, kw_only=True, eq=False):
    """One call as the upstream saw it."""

    number: int
    batch_id: str
    place: int
    attempt: int
    prompt: str
    life: int
    """Which of the service's lives made it."""
    begun_s: float
    ended_s: float | None = None
    is_billed: bool
    gave_picture: bool = False
    told_usd: float | None = None
    """What the answer said that it cost."""


class Upstream(Struct, eq=False):
    """What outlives every crash of the service: the script, and every call."""

    script: deque[Act] = field(default_factory=deque)
    """What happens at the next calls; then pictures."""
    calls: list[Call] = field(default_factory=list)
    bills: dict[tuple[str, int], int] = field(default_factory=dict)
    """Calls that were charged, by batch and place."""
    under_way: dict[int, Call] = field(default_factory=dict)
    """By their numbers."""

    def begin(self, call: Call) -> None:
        """A call is here: cut off now, it costs what the script says."""
        self.calls.append(call)
        self.under_way[call.number] = call
        self._charge(call, is_billed=call.is_billed)

    def end(self, call: Call, *, is_billed: bool, now_s: float) -> None:
        """It was answered: what it costs is certain."""
        self.under_way.pop(call.number, None)
        call.ended_s = now_s
        self._charge(call, is_billed=is_billed, before=call.is_billed)
        call.is_billed = is_billed

    def list_open(self, batch_id: str) -> list[Call]:
        """The calls of the batch that are under way."""
        return [call for call in self.under_way.values() if call.batch_id == batch_id]

    def _charge(self, call: Call, *, is_billed: bool, before: bool = False) -> None:
        where = call.batch_id, call.place
        self.bills[where] = self.bills.get(where, 0) + is_billed - before


class LedgerProvider:
    """A `Provider` of one life of the service, over the upstream that outlives it."""

    name = "scripted"
    model = "scripted-1"

    def __init__(
        self,
        upstream: Upstream,
        *,
        bills: bool,
        begin: Callable[[DrawOrder, Draft, Act], Call],
        touch: Callable[[], None],
    ) -> None:
        """Take the upstream, whether it bills, and who is told of calls and of each step."""
        self.bills = bills
        self._upstream = upstream
        self._begin = begin
        self._touch = touch

    async def draw(self, order: DrawOrder, draft: Draft) -> Drawn:
        self._touch()
        act = self._upstream.script.popleft() if self._upstream.script else Act()
        call = self._begin(order, draft, act)
        try:
            await asyncio.sleep(SLOW_S if act.fault == "slow" else act.seconds)
        except asyncio.CancelledError:
            self._upstream.end(call, is_billed=call.is_billed, now_s=_now_s())
            raise
        error = FAULTS[act.fault]() if act.fault in FAULTS else None
        if not self.bills and isinstance(error, ProviderError):
            error.cost_usd = None  # what is free says no price
        self._upstream.end(call, is_billed=self.bills and _is_charged(act, error), now_s=_now_s())
        self._touch()
        if error is not None:
            call.told_usd = getattr(error, "cost_usd", None)
            raise error
        await draft.write(b"<html>" if act.fault == "garbage" else stamp(call.number))
        call.gave_picture = act.fault != "garbage"
        call.told_usd = PRICE_USD if self.bills else None
        return Drawn(provider=self.name, model=self.model, cost_usd=call.told_usd)

    async def check(self, *models: str) -> Checked:
        return Checked(f"{len(models)} models are well")

    async def close(self) -> None:
        """Nothing is open."""


def _now_s() -> float:
    return asyncio.get_running_loop().time()


def _is_charged(act: Act, error: Exception | None) -> bool:
    if isinstance(error, _CERTAINLY_FREE):
        return False
    is_said = isinstance(error, ProviderError) and error.cost_usd is not None
    return error is None or is_said or act.is_billed


def stamp(number: int) -> bytes:
    """A picture that says which call gave it."""
    text = b"tEXtcall\0%0*d" % (_DIGITS, number)
    chunk = struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text))
    return _PICTURE[:-_TAIL] + chunk + _PICTURE[-_TAIL:]


def read_stamp(data: bytes) -> int:
    """Which call gave the picture."""
    return int(data[-_TAIL - 4 - _DIGITS : -_TAIL - 4])
