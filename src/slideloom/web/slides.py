"""Single slides, as the original service makes them."""

import uuid
from typing import Literal

from msgspec import Struct, structs
from starlette.requests import Request
from starlette.responses import Response

from slideloom.domain.request import SingleRequest, to_single
from slideloom.domain.status import ASSETS_PATH
from slideloom.web.bodies import json_response, read_json
from slideloom.web.callers import to_owner
from slideloom.web.endpoint import Endpoint, services
from slideloom.web.once import ONCE_KEY, REPLAYED, read_once_key
from slideloom.web.problems import answer_slide_failure


class SingleAnswer(Struct, frozen=True, kw_only=True):
    """The answer of `slide/generate`: a picture, or there is a problem instead."""

    image_url: str
    final_prompt: str
    revised_prompt: str | None
    """The prompt as the provider changed it, where it says so."""
    status: Literal["done"]
    generation_time: float
    """Seconds."""
    provider: str
    model: str
    cost_usd: float | None
    cached: bool
    """Whether it was made for an earlier request."""
    width: int
    height: int
    aspect_ratio_ok: bool


async def generate(request: Request) -> Response:
    """Make one slide and wait for it; one made lately for a like request will do."""
    return await _make(request, cache=True)


async def regenerate(request: Request) -> Response:
    """Make one slide anew."""
    return await _make(request, cache=False)


async def _make(request: Request, *, cache: bool) -> Response:
    parts = services(request)
    asked = await read_json(request, SingleRequest)
    key = read_once_key(request, asked)
    order = to_single(
        asked,
        session_id=str(uuid.uuid4()),
        cache=cache,
        cost_limit_usd=parts.settings.max_cost_usd,
        new_id=lambda: str(uuid.uuid4()),
    )
    order = structs.replace(order, owner=to_owner(request))
    state = await parts.engine.make_single(order, key)
    slide = state.slides[0]
    # An earlier request's slide has that one's session.
    headers = {} if state.order.session_id == order.session_id else REPLAYED
    picture = slide.picture
    if picture is None:
        return answer_slide_failure(request, slide, headers=headers)
    return json_response(
        SingleAnswer(
            image_url=ASSETS_PATH + picture.image,
            final_prompt=picture.final_prompt or "",
            revised_prompt=picture.revised_prompt,
            status="done",
            generation_time=picture.generation_time_s,
            provider=picture.provider,
            model=picture.model,
            cost_usd=slide.cost_usd,
            cached=picture.cached,
            width=picture.width,
            height=picture.height,
            aspect_ratio_ok=picture.aspect_ratio_ok,
        ),
        headers=headers,
    )


_PROBLEMS = (400, 413, 415, 422, 429, 500, 502, 503, 504, 507)

ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/slide/generate",
        handler=generate,
        summary="Make one slide",
        tag="Single slides",
        body=SingleRequest,
        answers={200: SingleAnswer},
        problems=_PROBLEMS,
        parameters=(ONCE_KEY,),
    ),
    Endpoint(
        method="POST",
        path="/slide/regenerate",
        handler=regenerate,
        summary="Make one slide anew",
        tag="Single slides",
        body=SingleRequest,
        answers={200: SingleAnswer},
        problems=_PROBLEMS,
        parameters=(ONCE_KEY,),
    ),
)
