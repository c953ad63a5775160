"""Advice to operators and clients: is the service set well, how many workers suit a deck."""

from typing import Annotated

from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from slideloom.domain.advice import ConfigAdvice, WorkerAdvice, advise_workers
from slideloom.domain.request import MAX_SLIDES
from slideloom.web.bodies import json_response, read_count
from slideloom.web.endpoint import Endpoint, Parameter, services
from slideloom.web.ops import check_parts


async def validate_config(request: Request) -> Response:
    """Whether the service can make pictures as it is set."""
    parts = services(request)
    checks = await check_parts(parts)
    issues = tuple(f"{part}: {state}" for part, state in checks.items() if state != "ok")
    recommendations = [*parts.warnings, *parts.engine.list_stops()]
    if parts.provider.name == "local":
        recommendations.append(
            "Pictures are typeset by the embedded renderer. To have an image model draw them,"
            " set LLM_IMAGE_API_KEY (and LLM_IMAGE_API, unless it is auto)."
        )
    return json_response(
        ConfigAdvice(
            valid=not issues,
            issues=issues,
            recommendations=tuple(recommendations),
            current_config=parts.settings.current_config,
        )
    )


async def optimal_config(request: Request) -> Response:
    """How many workers suit a deck of `slides_count` pages."""
    slide_count = read_count(request, "slides_count", most=MAX_SLIDES)
    parts = services(request)
    return json_response(
        advise_workers(
            slide_count=slide_count,
            config=parts.settings.current_config,
            measured_slide_s=parts.engine.mean_slide_s(),
            is_free=not parts.provider.bills,
        )
    )


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/slide/batch/config/validate",
        handler=validate_config,
        summary="Whether the service is set so that it can make pictures",
        tag="Advice",
        answers={200: ConfigAdvice},
    ),
    Endpoint(
        method="GET",
        path="/slide/batch/config/optimal",
        handler=optimal_config,
        summary="How many workers suit a deck",
        tag="Advice",
        answers={200: WorkerAdvice},
        problems=(422,),
        parameters=(
            Parameter(
                name="slides_count",
                where="query",
                type=Annotated[int, Meta(ge=1, le=MAX_SLIDES)],
                description=f"Pages of the deck, 1 to {MAX_SLIDES}.",
                required=True,
            ),
        ),
    ),
)
