"""One paid call, from the order to the picture in the draft: the same in every dialect."""

import asyncio
from collections.abc import Iterable
from typing import Any, Protocol
from urllib.parse import urljoin

import aiohttp
import msgspec
from msgspec import Struct

from slideloom.clock import wall_s
from slideloom.domain.images import MAX_BYTES
from slideloom.errors import (
    AnswerLost,
    BlockedAddress,
    CorruptPicture,
    NoAnswerInTime,
    ProviderError,
    SettingsError,
)
from slideloom.providers.answers import Answer, Json, find_previews, read_answer
from slideloom.providers.base import Drawn, DrawOrder
from slideloom.providers.download import Downloads
from slideloom.providers.http import ProviderLine
from slideloom.providers.intake import PictureIntake
from slideloom.providers.outcomes import find_request_id, judge
from slideloom.providers.scrub import Scrubber
from slideloom.providers.tap import pour
from slideloom.stores.base import Draft

STALL_S = 30.0
"""Longest silence in the middle of an answer."""
_FIRST_BAD_STATUS = 300
_ERROR_BYTES = 2 * 1024 * 1024
"""An error that is longer is cut off."""
_ERROR_BODY_S = 5.0
"""How long the body of an error is waited for."""
_MOST_COST_USD = 1e6
_USAGE_BYTES = 10_000
"""A usage object that is larger is left out of the records."""
_MOST_MENDS = 5
"""How often a request is put into other words: each time the provider refused it, unbilled."""


class Ask(Struct, frozen=True, kw_only=True):
    """A request, as the dialect words it now."""

    model: str
    path: str
    body: Json


class Dialect(Protocol):
    """How a family of providers is asked, and where their answers have the picture."""

    name: str

    def authorize(self, key: str) -> dict[str, str]:
        """The headers that show the key."""
        ...

    def build(self, order: DrawOrder, model: str) -> Ask:
        """Word a request, with all that was learned from earlier refusals."""
        ...

    def learn(self, ask: Ask, answer: Answer) -> bool:
        """Whether the refusal was a matter of wording, and it is worded otherwise from now on."""
        ...

    def find_addresses(self, item: Json) -> Iterable[str]:
        """The addresses of pictures in one object of an answer."""
        ...


class _Reply(Struct, frozen=True):
    """An answer, and what was lifted out of it."""

    answer: Answer
    intake: PictureIntake
    fault: Exception | None
    """What broke the answer off."""


class NetworkProvider:
    """A `Provider` over the network, speaking one dialect."""

    bills = True

    def __init__(
        self,
        dialect: Dialect,
        *,
        base_url: str,
        key: str,
        model: str,
        stall_s: float = STALL_S,
        downloads: Downloads | None = None,
    ) -> None:
        """Be made on the running loop; `downloads` is closed with the provider.

        Raises:
            SettingsError: the base is no web address.
        """
        self.name = dialect.name
        self.model = model
        self._dialect = dialect
        self._base_url = read_base_url(base_url)
        self._stall_s = stall_s
        self._scrub = Scrubber(key)
        self._line = ProviderLine(dialect.authorize(key))
        self._downloads = downloads or Downloads(stall_s=stall_s)

    async def draw(self, order: DrawOrder, draft: Draft) -> Drawn:
        """See `Provider`."""
        model = order.model or self.model
        for _ in range(_MOST_MENDS):
            ask = self._dialect.build(order, model)
            reply = await self._ask(ask, draft)
            if not self._dialect.learn(ask, reply.answer):
                break
            await draft.rewind()
        return await self._settle(reply, model, draft)

    async def check(self) -> str:
        """See `Provider`."""
        raise NotImplementedError

    async def close(self) -> None:
        """See `Provider`."""
        await self._line.close()
        await self._downloads.close()

    async def _ask(self, ask: Ask, draft: Draft) -> _Reply:
        """Send the request, take the answer."""
        body = msgspec.json.encode(ask.body)
        fault: Exception | None = None
        try:
            async with self._line.send(self._base_url + ask.path, body) as response:
                is_good = response.status < _FIRST_BAD_STATUS
                intake = PictureIntake(limit_bytes=MAX_BYTES if is_good else _ERROR_BYTES)
                try:
                    # An error is judged by its status: its body is not worth a wait.
                    async with asyncio.timeout(None if is_good else _ERROR_BODY_S):
                        await pour(response, intake, draft, stall_s=self._stall_s)
                except (aiohttp.ClientError, OSError, CorruptPicture) as error:
                    fault = error
                except NoAnswerInTime as error:
                    if is_good:
                        raise
                    fault = error
                status, headers = response.status, response.headers
        except ProviderError as error:
            error.detail = self._scrub(error.detail)
            raise
        return _Reply(read_answer(status, headers, intake.lift.finish()), intake, fault)

    async def _settle(self, reply: _Reply, model: str, draft: Draft) -> Drawn:
        """See that the picture is in the draft, or say why not."""
        answer, intake = reply.answer, reply.intake
        is_preview = intake.held is not None and intake.held in set(find_previews(answer.documents))
        has_picture = intake.is_whole and not is_preview
        address = None if has_picture or intake.held is not None else self._find_address(answer)
        error = judge(
            answer,
            has_picture=has_picture or address is not None,
            now_s=wall_s(),
            is_cut=reply.fault is not None or intake.lift.is_in_picture,
            clean=self._scrub,
        )
        if error:
            raise self._sharpen(error, reply) from reply.fault
        if address is not None:
            try:
                await self._downloads.fetch(_join(self._base_url, address), draft)
            except ProviderError as error:
                error.detail = self._scrub(error.detail)
                raise
        return self._describe(answer, model)

    def _sharpen(self, error: ProviderError, reply: _Reply) -> ProviderError:
        """Prefer what was seen of the picture to its mere absence from the answer."""
        if error.billed != "maybe":
            return error
        kind: type[ProviderError] = type(error)
        detail = error.detail
        if isinstance(reply.fault, CorruptPicture):
            kind, detail = CorruptPicture, reply.fault.detail
        elif reply.intake.is_broken:
            kind, detail = CorruptPicture, "the picture's base64 is broken"
        elif reply.fault is not None:
            kind, detail = AnswerLost, f"{type(reply.fault).__name__}: {reply.fault}"
        return kind(
            self._scrub(detail),
            http_status=error.http_status,
            provider_code=error.provider_code,
            request_id=error.request_id,
        )

    def _find_address(self, answer: Answer) -> str | None:
        addresses = [
            address for item in answer.objects for address in self._dialect.find_addresses(item)
        ]
        return addresses[-1] if addresses else None

    def _describe(self, answer: Answer, model: str) -> Drawn:
        usage = _last(answer, "usage", dict) or _last(answer, "usageMetadata", dict)
        if usage and len(msgspec.json.encode(usage)) > _USAGE_BYTES:
            usage = {"cost": usage.get("cost")}
        served = _last(answer, "model", str) or _last(answer, "modelVersion", str) or model
        prompts = (
            entry.get("revised_prompt")
            for item in answer.objects
            for entry in [item, *_entries(item)]
        )
        return Drawn(
            provider=self.name,
            model=self._scrub(served)[:200],
            http_status=answer.status,
            request_id=find_request_id(answer, clean=self._scrub),
            cost_usd=_read_cost(usage.get("cost") if usage else None),
            usage=usage,
            revised_prompt=next(
                (self._scrub(prompt) for prompt in prompts if isinstance(prompt, str) and prompt),
                None,
            ),
        )


def bearer(key: str) -> dict[str, str]:
    """The header that most providers want to see the key in."""
    return {"Authorization": f"Bearer {key}"}


def read_base_url(text: str) -> str:
    """A provider's base address, without a slash at its end.

    Raises:
        SettingsError: it is no web address.
    """
    base = text.strip().rstrip("/")
    scheme, _, rest = base.partition("://")
    if scheme not in {"http", "https"} or not rest or any(sign in rest for sign in "@?# "):
        message = f"not a provider's base address: {base[:100]!r}"
        raise SettingsError(message)
    return base


def _join(base_url: str, address: str) -> str:
    try:
        return urljoin(base_url + "/", address)
    except ValueError as error:
        message = "not an address"
        raise BlockedAddress(message) from error


def _read_cost(told: object) -> float | None:
    """Dollars; `None` for what can be no price."""
    if isinstance(told, bool) or not isinstance(told, int | float):
        return None
    return float(told) if 0 <= told < _MOST_COST_USD else None


def _entries(item: Json) -> list[Json]:
    data = item.get("data")
    return [entry for entry in data if isinstance(entry, dict)] if isinstance(data, list) else []


def _last(answer: Answer, key: str, kind: type[Any]) -> Any:  # noqa: ANN401 - of type `kind`
    """The last value of that name and type, for a stream tells the sums at its end."""
    values = [
        value for item in answer.objects if isinstance(value := item.get(key), kind) and value
    ]
    return values[-1] if values else None
