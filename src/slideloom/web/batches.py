"""Batches: make them, ask how they are, list them."""

import uuid
from collections.abc import AsyncIterator
from typing import Annotated

import msgspec
from msgspec import Meta, Struct, structs
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from slideloom.clock import monotonic_s
from slideloom.domain.estimate import Estimate
from slideloom.domain.events import BatchOrder
from slideloom.domain.messages import Language
from slideloom.domain.request import (
    GenerateRequest,
    StatusRequest,
    read_data_url,
    to_order,
)
from slideloom.domain.status import (
    BatchAnswer,
    BatchStatus,
    BatchSummary,
    to_answer,
)
from slideloom.engine.timeline import Timeline
from slideloom.errors import InvalidRequest
from slideloom.web.bodies import json_response, read_count, read_json
from slideloom.web.callers import find_caller, get_batch, get_named_batch, to_owner
from slideloom.web.endpoint import Endpoint, Parameter, services
from slideloom.web.once import ONCE_KEY, REPLAYED, read_once_key
from slideloom.web.problems import reader_language
from slideloom.web.statuses import encode_status, show_status

_BLANK_EVERY_S = 15.0
"""A blank this often keeps proxies that cut idle answers at 60 s waiting."""
POLL_AFTER_S = 2
"""Whoever polls may come back after so many seconds."""
_POST_ONLY = ("generate", "status", "estimate")
"""No batch is called so, but people paste these addresses into a browser."""
_LIST_LIMIT = 50
_LIST_MOST = 200


class ActiveCount(Struct, frozen=True):
    """The answer of `batch/active-count`."""

    active_batches: int


class BatchList(Struct, frozen=True):
    """The answer of the list: newest first."""

    batches: tuple[BatchSummary, ...]
    next_cursor: str | None
    """Send it as `cursor` for the next page; `null` at the end."""


async def generate(request: Request) -> Response:
    """Take the order; wait for its end unless the client prefers not to."""
    parts = services(request)
    parts.engine.refuse_if_stopping()
    asked = await read_json(request, GenerateRequest)
    key = read_once_key(request, asked)
    order = await _take_order(request, asked)
    timeline, is_replayed = await parts.engine.submit_once(order, key)
    language = reader_language(request)
    headers = locate(request, timeline)
    if is_replayed:
        headers |= REPLAYED
    if _prefers_async(request):
        headers |= {"Retry-After": str(POLL_AFTER_S), "Preference-Applied": "respond-async"}
        return json_response(show_status(timeline, language), status=202, headers=headers)
    return StreamingResponse(
        _answer_when_finished(timeline, parts.settings.batch_wait_seconds, language),
        headers=headers,
        media_type="application/json",
    )


async def estimate(request: Request) -> Response:
    """What the deck would cost and how long it would take; nothing is paid."""
    order = await _take_order(request, await read_json(request, GenerateRequest))
    return json_response(await services(request).engine.estimate(order))


async def _take_order(request: Request, asked: GenerateRequest) -> BatchOrder:
    """The order; a picture that came along for its style is kept."""
    parts = services(request)
    order = to_order(
        asked,
        session_id=str(uuid.uuid4()),
        default_workers=parts.settings.batch_default_workers,
        worker_limit=parts.settings.batch_max_workers,
        cost_limit_usd=parts.settings.max_cost_usd,
        new_id=lambda: str(uuid.uuid4()),
    )
    order = structs.replace(order, owner=to_owner(request))
    picture = read_data_url(asked)
    return order if picture is None else await parts.engine.keep_reference(order, picture)


async def _answer_when_finished(
    timeline: Timeline, wait_s: float, language: Language
) -> AsyncIterator[bytes]:
    """Blanks until the batch ends or the wait is over, then the whole body."""
    until_s = monotonic_s() + wait_s
    while (left_s := until_s - monotonic_s()) > 0:
        if await timeline.wait_finished(timeout_s=min(left_s, _BLANK_EVERY_S)):
            break
        yield b" "
    yield msgspec.json.encode(
        to_answer(timeline.state, elapsed_s=timeline.elapsed_s, language=language)
    )


async def status(request: Request) -> Response:
    """How the batch named in the body is."""
    asked = await read_json(request, StatusRequest)
    timeline = await get_batch(request, asked.batch_id)
    return _to_json(encode_status(timeline, reader_language(request)))


async def show(request: Request) -> Response:
    """How the batch named in the path is; 304 while nothing has happened since."""
    batch_id = request.path_params["batch_id"]
    if batch_id in _POST_ONLY:
        raise HTTPException(405, headers={"Allow": "POST"})
    timeline = await get_named_batch(request)
    language = reader_language(request)
    tag = f'W/"{timeline.state.seq}-{language}"'
    headers = {"ETag": tag, "Vary": "Accept-Language", "Cache-Control": "no-cache"}
    known = [item.strip() for item in request.headers.get("if-none-match", "").split(",")]
    if tag.removeprefix("W/") in (item.removeprefix("W/") for item in known) or known == ["*"]:
        return Response(status_code=304, headers=headers)
    return _to_json(encode_status(timeline, language), headers)


async def list_batches(request: Request) -> Response:
    """Batches, newest first."""
    limit = read_count(request, "limit", most=_LIST_MOST, default=_LIST_LIMIT)
    try:
        page = await services(request).engine.list_batches(
            limit=limit,
            cursor=request.query_params.get("cursor"),
            owner=find_caller(request.scope),
        )
    except ValueError as error:
        message = "not a cursor of ours"
        raise InvalidRequest(message, ("query", "cursor")) from error
    return json_response(BatchList(page.batches, page.next_cursor))


async def active_count(request: Request) -> Response:
    """How many batches have not ended."""
    owner = find_caller(request.scope)
    return json_response(ActiveCount(await services(request).engine.count_active(owner=owner)))


def locate(request: Request, timeline: Timeline) -> dict[str, str]:
    """The headers that say where a batch is."""
    batch_id = timeline.state.batch_id
    return {
        "Location": f"{services(request).settings.api_prefix}/slide/batch/{batch_id}",
        "X-Batch-Id": batch_id,
    }


def _to_json(body: bytes, headers: dict[str, str] | None = None) -> Response:
    return Response(body, headers=headers, media_type="application/json")


def _prefers_async(request: Request) -> bool:
    preferences = ",".join(request.headers.getlist("prefer")).lower().split(",")
    return any(item.partition(";")[0].strip() == "respond-async" for item in preferences)


BATCH_ID = Parameter(
    name="batch_id", where="path", type=str, description="The batch's id.", required=True
)

_EXAMPLE = {
    "slides": [
        {
            "id": "slide-1",
            "page_num": 1,
            "type": "cover",
            "title": "Hello, Slideloom",
            "content_text": "All slides at once",
            "visual_desc": "threads of light woven into a page",
        },
        {"id": "slide-2", "title": "Why", "content_text": "- one request\n- one style"},
    ],
    "style_prompt": "calm, deep navy #0B1B2B, one mint accent #42B883",
    "max_workers": 3,
    "aspect_ratio": "16:9",
}

ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/slide/batch/generate",
        handler=generate,
        summary="Make all slides of a deck",
        tag="Batches",
        body=GenerateRequest,
        example=_EXAMPLE,
        answers={200: BatchAnswer, 202: BatchStatus},
        problems=(400, 413, 415, 422, 503, 507),
        parameters=(
            Parameter(
                name="Prefer",
                where="header",
                type=str,
                description="`respond-async`: answer 202 at once, with the status.",
            ),
            ONCE_KEY,
        ),
    ),
    Endpoint(
        method="POST",
        path="/slide/batch/estimate",
        handler=estimate,
        summary="What a deck would cost and how long it would take; nothing is paid",
        tag="Batches",
        body=GenerateRequest,
        example=_EXAMPLE,
        answers={200: Estimate},
        problems=(400, 413, 415, 422),
    ),
    Endpoint(
        method="POST",
        path="/slide/batch/status",
        handler=status,
        summary="How a batch is",
        tag="Batches",
        body=StatusRequest,
        answers={200: BatchStatus},
        problems=(400, 404, 413, 415, 422),
    ),
    Endpoint(
        method="GET",
        path="/slide/batch/active-count",
        handler=active_count,
        summary="How many batches have not ended",
        tag="Batches",
        answers={200: ActiveCount},
    ),
    Endpoint(
        method="GET",
        path="/slide/batch",
        handler=list_batches,
        summary="Batches, newest first",
        tag="Batches",
        answers={200: BatchList},
        problems=(422,),
        parameters=(
            Parameter(
                name="limit",
                where="query",
                type=Annotated[int, Meta(ge=1, le=_LIST_MOST)],
                description=f"Batches a page, 1 to {_LIST_MOST}; default {_LIST_LIMIT}.",
            ),
            Parameter(
                name="cursor",
                where="query",
                type=str,
                description="`next_cursor` of the page before.",
            ),
        ),
    ),
    Endpoint(
        method="GET",
        path="/slide/batch/{batch_id}",
        handler=show,
        summary="How a batch is, with a weak ETag",
        tag="Batches",
        answers={200: BatchStatus, 304: None},
        problems=(404,),
        parameters=(BATCH_ID,),
    ),
)
