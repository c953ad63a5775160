"""For those who run the service: is it alive, is it ready."""

from typing import Literal

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from slideloom.assembly import Services
from slideloom.errors import StoreError
from slideloom.metrics import CONTENT_TYPE
from slideloom.web.bodies import json_response
from slideloom.web.endpoint import Endpoint, services

_LOOK_AGAIN_S = 5
"""Where something is wrong, it may have been mended by then."""


class Health(Struct, frozen=True):
    """The process is alive."""

    status: Literal["ok"]


class Readiness(Struct, frozen=True, kw_only=True):
    """Whether new work is welcome, and who makes the pictures."""

    ready: bool
    provider: str
    model: str
    checks: dict[str, str]
    """Each part: `ok`, or what is wrong."""


async def healthz(_: Request) -> Response:
    """Answer at all."""
    return json_response(Health("ok"))


async def check_parts(parts: Services) -> dict[str, str]:
    """Everything a new batch needs: `ok`, or what is wrong."""
    checks = {
        "engine": "stopping" if parts.engine.stopping.is_set() else "ok",
        "store": "ok",
        "images": "ok",
    }
    try:
        await parts.engine.check_store()
    except StoreError as error:
        checks["store"] = str(error)
    try:
        await parts.images.check_space()
    except StoreError as error:
        checks["images"] = str(error)
    return checks


async def readyz(request: Request) -> Response:
    """Look at everything a new batch needs."""
    parts = services(request)
    checks = await check_parts(parts)
    ready = all(state == "ok" for state in checks.values())
    body = Readiness(
        ready=ready, provider=parts.provider.name, model=parts.provider.model, checks=checks
    )
    if ready:
        return json_response(body)
    return json_response(body, status=503, headers={"Retry-After": str(_LOOK_AGAIN_S)})


async def metrics(request: Request) -> Response:
    """What is counted, as Prometheus reads it."""
    return Response(services(request).metrics.render(), media_type=CONTENT_TYPE)


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/healthz",
        handler=healthz,
        summary="The process is alive",
        tag="Operations",
        answers={200: Health},
        below_prefix=False,
        is_open=True,
    ),
    Endpoint(
        method="GET",
        path="/readyz",
        handler=readyz,
        summary="New work is welcome",
        tag="Operations",
        answers={200: Readiness, 503: Readiness},
        below_prefix=False,
        is_open=True,
    ),
    Endpoint(
        method="GET",
        path="/metrics",
        handler=metrics,
        summary="Counters in Prometheus' text format",
        tag="Operations",
        answers={200: None},
        media_type=CONTENT_TYPE,
        below_prefix=False,
    ),
)
