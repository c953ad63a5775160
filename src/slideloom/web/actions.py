"""What users want of a batch that is there: stop it, make slides again, show earlier pictures."""

import re
from typing import Annotated

from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from slideloom.domain.request import MAX_SLIDES
from slideloom.domain.status import BatchStatus
from slideloom.engine.timeline import Timeline
from slideloom.errors import UnknownVersion
from slideloom.web.batches import BATCH_ID, POLL_AFTER_S, locate
from slideloom.web.bodies import json_response, read_json_or_nothing
from slideloom.web.callers import get_named_batch
from slideloom.web.endpoint import Endpoint, Parameter, services
from slideloom.web.problems import reader_language
from slideloom.web.statuses import show_status


class RetryRequest(Struct, frozen=True, kw_only=True):
    """The body of `retry`, which may be left out."""

    slide_ids: Annotated[tuple[str, ...], Meta(max_length=MAX_SLIDES)] | None = None
    """Make again those of them that are not done; default all."""


async def cancel(request: Request) -> Response:
    """Stop a batch: no new attempts, those under way are given up."""
    batch_id = await _name_batch(request)
    return _answer(request, await services(request).engine.cancel(batch_id))


async def retry(request: Request) -> Response:
    """Make again what is not done."""
    asked = await read_json_or_nothing(request, RetryRequest)
    slide_ids = None if asked is None else asked.slide_ids
    batch_id = await _name_batch(request)
    return _answer(request, await services(request).engine.retry(batch_id, slide_ids))


async def regenerate(request: Request) -> Response:
    """Make a new version of one slide."""
    batch_id, slide_id = await _name_batch(request), request.path_params["slide_id"]
    return _answer(request, await services(request).engine.regenerate(batch_id, slide_id))


async def restore(request: Request) -> Response:
    """Show an earlier version of one slide again."""
    batch_id, slide_id = await _name_batch(request), request.path_params["slide_id"]
    number = request.path_params["version"]
    if re.fullmatch(r"[0-9]{1,9}", number) is None:
        raise UnknownVersion(slide_id, number)
    return _answer(request, await services(request).engine.restore(batch_id, slide_id, int(number)))


async def _name_batch(request: Request) -> str:
    """The batch that the path names, made sure to be the caller's.

    Raises:
        UnknownBatch: there is none, or it is another one's.
    """
    return (await get_named_batch(request)).state.batch_id


def _answer(request: Request, timeline: Timeline) -> Response:
    """The batch as it is now: 202 while it runs."""
    headers = locate(request, timeline)
    is_running = not timeline.state.is_final
    if is_running:
        headers["Retry-After"] = str(POLL_AFTER_S)
    body = show_status(timeline, reader_language(request))
    return json_response(body, status=202 if is_running else 200, headers=headers)


_SLIDE_ID = Parameter(
    name="slide_id",
    where="path",
    type=str,
    description="The slide's id, as it was sent (URL-encoded).",
    required=True,
)
_VERSION = Parameter(
    name="version",
    where="path",
    type=int,
    description="`n` of one of the slide's `versions`.",
    required=True,
)

ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/slide/batch/{batch_id}/cancel",
        handler=cancel,
        summary="Stop a batch; what was made stays",
        tag="Batches",
        answers={200: BatchStatus, 202: BatchStatus},
        problems=(404, 503),
        parameters=(BATCH_ID,),
    ),
    Endpoint(
        method="POST",
        path="/slide/batch/{batch_id}/retry",
        handler=retry,
        summary="Make again only what is not done",
        tag="Batches",
        body=RetryRequest,
        body_required=False,
        answers={200: BatchStatus, 202: BatchStatus},
        problems=(400, 404, 413, 415, 422, 503, 507),
        parameters=(BATCH_ID,),
    ),
    Endpoint(
        method="POST",
        path="/slide/batch/{batch_id}/slides/{slide_id:text}/regenerate",
        handler=regenerate,
        summary="Make a new version of one slide, never from the cache",
        tag="Batches",
        answers={200: BatchStatus, 202: BatchStatus},
        problems=(404, 503, 507),
        parameters=(BATCH_ID, _SLIDE_ID),
    ),
    Endpoint(
        method="POST",
        path="/slide/batch/{batch_id}/slides/{slide_id:text}/versions/{version}/restore",
        handler=restore,
        summary="Show an earlier version of one slide again",
        tag="Batches",
        answers={200: BatchStatus, 202: BatchStatus},
        problems=(404, 409, 503, 507),
        parameters=(BATCH_ID, _SLIDE_ID, _VERSION),
    ),
)
