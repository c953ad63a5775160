"""One paid call, from the order to the picture in the draft: the same in every dialect."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Protocol
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
)
from slideloom.providers.answers import Answer, Json, find_previews, read_answer
from slideloom.providers.base import Checked, Drawn, DrawOrder
from slideloom.providers.bases import read_base_url
from slideloom.providers.check import check_base
from slideloom.providers.complaints import list_dicts
from slideloom.providers.download import Downloads
from slideloom.providers.http import ProviderLine
from slideloom.providers.intake import PictureIntake
from slideloom.providers.outcomes import find_request_id, judge
from slideloom.providers.references import name_reference
from slideloom.providers.scrub import Scrubber
from slideloom.providers.tap import pour
from slideloom.providers.trouble import describe_break
from slideloom.providers.usage import find_cost_usd, find_last, find_usage
from slideloom.stores.image_base import Draft

STALL_S = 30.0
"""Longest silence in the middle of an answer."""
_FIRST_BAD_STATUS = 300
_ERROR_BYTES = 2 * 1024 * 1024
"""An error that is longer is cut off."""
_ERROR_BODY_S = 5.0
"""How long the body of an error is waited for."""
_MOST_MENDS = 8
"""How often a request is put into other words: each time the provider refused it, unbilled."""


class Ask(Struct, frozen=True, kw_only=True):
    """A request, as the dialect words it now."""

    model: str
    path: str
    body: Json
    has_reference: bool = False
    dialect: "Dialect | None" = None
    """Who worded it, when another dialect chose among several."""


class Dialect(Protocol):
    """How a family of providers is asked, and where their answers have the picture."""

    @property
    def name(self) -> str:
        """Stable word for results and logs."""
        ...

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

    def __init__(  # noqa: PLR0913 - one provider's facts, all named
        self,
        dialect: Dialect,
        *,
        base_url: str,
        key: str,
        model: str,
        stall_s: float = STALL_S,
        downloads: Downloads | None = None,
        secrets: Sequence[str] = (),
    ) -> None:
        """Be made on the running loop; `downloads` is closed with the provider.

        Args:
            dialect: how the provider is asked.
            base_url: what every path is put behind.
            key: shown to the base alone.
            model: asked unless an order names another.
            stall_s: longest silence in the middle of an answer.
            downloads: fetches answers by address.
            secrets: further keys that no text may show.

        Raises:
            SettingsError: the base is no web address.
        """
        self.name = dialect.name
        self.model = model
        self._dialect = dialect
        self._base_url = read_base_url(base_url)
        self._key = key
        self._stall_s = stall_s
        self._scrub = Scrubber(key, *secrets)
        self._line = ProviderLine()
        self._downloads = downloads or Downloads(stall_s=stall_s)
        self._is_open = True

    async def draw(self, order: DrawOrder, draft: Draft) -> Drawn:
        """See `Provider`."""
        model = order.model or self.model
        try:
            for _ in range(_MOST_MENDS):
                ask = self._dialect.build(order, model)
                reply = await self._ask(ask, draft)
                if not self._dialect.learn(ask, reply.answer):
                    break
                await draft.rewind()
            return await self._settle(ask, reply, draft)
        except ProviderError as error:
            self._clean(error)
            raise
        finally:
            self.name = self._dialect.name  # as far as it is known by now

    async def check(self, *models: str) -> Checked:
        """See `Provider`."""
        try:
            checked = await check_base(
                self._line,
                base_url=self._base_url,
                headers=self._dialect.authorize(self._key),
                models=models or (self.model,),
                scrub=self._scrub,
            )
            return Checked(self._scrub(checked.words), self._scrub(checked.doubt))
        except ProviderError as error:
            self._clean(error)
            raise

    async def close(self) -> None:
        """See `Provider`; a second time does nothing, for others may share the downloads."""
        if self._is_open:
            self._is_open = False
            await self._line.close()
            await self._downloads.close()

    async def _ask(self, ask: Ask, draft: Draft) -> _Reply:
        """Send the request, take the answer."""
        url, body = self._base_url + ask.path, msgspec.json.encode(ask.body)
        headers = (ask.dialect or self._dialect).authorize(self._key)
        fault: Exception | None = None
        async with self._line.send(url, body, headers=headers) as response:
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
            status, headers_told = response.status, response.headers
        return _Reply(read_answer(status, headers_told, intake.lift.finish()), intake, fault)

    def _clean(self, error: ProviderError) -> None:
        """Take keys out of what an error says, however it is printed."""
        error.detail = self._scrub(error.detail)
        error.args = (error.detail,)

    async def _settle(self, ask: Ask, reply: _Reply, draft: Draft) -> Drawn:
        """See that the picture is in the draft, or say why not."""
        answer, intake = reply.answer, reply.intake
        dialect = ask.dialect or self._dialect
        is_preview = intake.held is not None and intake.held in set(find_previews(answer.documents))
        has_picture = intake.is_whole and not is_preview
        may_have_address = not has_picture and intake.held is None
        address = _find_address(dialect, answer) if may_have_address else None
        error = judge(
            answer,
            has_picture=has_picture or address is not None,
            now_s=wall_s(),
            is_cut=reply.fault is not None or intake.lift.is_in_picture,
            clean=self._scrub,
        )
        if error:
            if ask.has_reference:
                error.detail = name_reference(error, answer)
            raise _sharpen(error, reply) from reply.fault
        if address is not None:
            await self._download(address, draft, answer)
        return self._describe(answer, ask.model, dialect.name)

    async def _download(self, address: str, draft: Draft, answer: Answer) -> None:
        """Fetch what was made, and paid: an error of that knows the price."""
        try:
            await self._downloads.fetch(_join(self._base_url, address), draft)
        except ProviderError as error:
            error.cost_usd = find_cost_usd(answer)
            error.request_id = find_request_id(answer, clean=self._scrub)
            raise

    def _describe(self, answer: Answer, model: str, shape: str) -> Drawn:
        usage = find_usage(answer)
        served = find_last(answer, "model", str) or find_last(answer, "modelVersion", str) or model
        prompts = (
            entry.get("revised_prompt")
            for item in answer.objects
            for entry in [item, *list_dicts(item.get("data"))]
        )
        return Drawn(
            provider=shape,
            model=self._scrub(served)[:200],
            http_status=answer.status,
            request_id=find_request_id(answer, clean=self._scrub),
            cost_usd=find_cost_usd(answer),
            usage=self._scrub.tree(usage),
            revised_prompt=next(
                (self._scrub(prompt) for prompt in prompts if isinstance(prompt, str) and prompt),
                None,
            ),
        )


def bearer(key: str) -> dict[str, str]:
    """The header that most providers want to see the key in."""
    return {"Authorization": f"Bearer {key}"}


def _sharpen(error: ProviderError, reply: _Reply) -> ProviderError:
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
        kind, detail = AnswerLost, describe_break(reply.fault)
    return kind(
        detail,
        http_status=error.http_status,
        provider_code=error.provider_code,
        request_id=error.request_id,
        cost_usd=error.cost_usd,
    )


def _find_address(dialect: Dialect, answer: Answer) -> str | None:
    addresses = [address for item in answer.objects for address in dialect.find_addresses(item)]
    return addresses[-1] if addresses else None


def _join(base_url: str, address: str) -> str:
    try:
        return urljoin(base_url + "/", address)
    except ValueError as error:
        message = "not an address"
        raise BlockedAddress(message) from error
