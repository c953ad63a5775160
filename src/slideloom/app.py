"""The ASGI application: routes, middleware, lifespan."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from importlib.resources import files
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp

from slideloom.assembly import open_services
from slideloom.errors import SlideloomError
from slideloom.settings import Settings
from slideloom.web import (
    actions,
    advice,
    batches,
    events,
    exports,
    ops,
    sessions,
    sign_in,
    slides,
)
from slideloom.web.cross_origin import CrossOrigin
from slideloom.web.doors import Doors
from slideloom.web.endpoint import Endpoint
from slideloom.web.guard import Guard, LastResort
from slideloom.web.openapi import build_openapi
from slideloom.web.pages import FOLDERS, page_routes
from slideloom.web.polls import PollPaths, Polls
from slideloom.web.problems import answer_error, answer_http_error
from slideloom.web.streams import LongResponses
from slideloom.web.tokens import TokenGate, Tokens
from slideloom.web.whole_answers import WholeAnswers

ENDPOINTS = (
    *advice.ENDPOINTS,  # before the batches, whose ids would match their paths
    *batches.ENDPOINTS,
    *actions.ENDPOINTS,
    *events.ENDPOINTS,
    *exports.ENDPOINTS,
    *slides.ENDPOINTS,
    *sessions.ENDPOINTS,
    *sign_in.ENDPOINTS,
    *ops.ENDPOINTS,
)
"""The route table: the router and OpenAPI are both made of it."""
_EXPOSED = (
    *("Location", "X-Batch-Id", "X-Request-Id", "Retry-After", "ETag", "Idempotent-Replayed"),
    *("Content-Disposition", "X-Missing-Slides", "RateLimit", "RateLimit-Policy"),
)


def create_app(settings: Settings, *, warnings: tuple[str, ...] = ()) -> Starlette:
    """The application; its lifespan opens the services and closes them."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with open_services(settings, warnings=warnings) as services:
            app.state.services = services
            yield

    tokens = Tokens(settings.tokens)
    app = _Application(
        routes=_routes(settings),
        middleware=_middleware(settings, tokens),
        exception_handlers={
            SlideloomError: answer_error,
            HTTPException: answer_http_error,
        },
        lifespan=lifespan,
    )
    # A redirect would be built from the caller's own Host header.
    app.router.redirect_slashes = False
    app.state.tokens = tokens
    return app


def _middleware(settings: Settings, tokens: Tokens) -> list[Middleware]:
    """From the outside in."""
    prefix = settings.api_prefix
    polls = PollPaths(prefix)
    gate = Middleware(
        TokenGate,
        tokens=tokens,
        quota=settings.request_quota,
        open_paths=[
            *(_to_path(endpoint, prefix) for endpoint in ENDPOINTS if endpoint.is_open),
            *("/", f"{prefix}/docs", f"{prefix}/openapi.json"),
        ],
        open_folders=FOLDERS,  # a picture's name is known to those it was told
    )
    return [
        Middleware(
            Guard,
            doors=Doors(host=settings.host, hosts=settings.hosts, origins=settings.origins),
            polls=polls,
        ),
        Middleware(
            CrossOrigin,
            allow_origins=settings.origins,
            allow_methods=["GET", "POST"],
            allow_headers=["*"],
            expose_headers=_EXPOSED,
        ),
        Middleware(LastResort),
        *([gate] if tokens else []),
        Middleware(Polls, paths=polls),
    ]


class _Application(Starlette):
    """Starlette, with our own last resort instead of its, and answers that go on outside."""

    def build_middleware_stack(self) -> ASGIApp:
        """See `Starlette`."""
        app: ASGIApp = ExceptionMiddleware(self.router, handlers=self.exception_handlers)
        for layer in reversed(self.user_middleware):
            app = layer.cls(app, *layer.args, **layer.kwargs)
        return WholeAnswers(LongResponses(app))


def _routes(settings: Settings) -> list[BaseRoute]:
    prefix = settings.api_prefix
    describe = cache(lambda: build_openapi(ENDPOINTS, prefix=prefix))  # no start waits for it

    async def openapi(_: Request) -> Response:
        return Response(describe(), media_type="application/json")

    routes: list[BaseRoute] = [
        Route(_to_path(endpoint, prefix), endpoint.handler, methods=[endpoint.method])
        for endpoint in ENDPOINTS
    ]
    routes.append(Route(f"{prefix}/openapi.json", openapi))
    routes.append(WebSocketRoute(f"{prefix}/slide/batch/{{batch_id}}/ws", events.websocket))
    routes.append(WebSocketRoute("/{path:text}", events.refuse_socket))
    images = Path(settings.image_output_dir)
    return [*routes, *page_routes(static=_static_folder(), images=images, prefix=prefix)]


def _to_path(endpoint: Endpoint, prefix: str) -> str:
    return prefix + endpoint.path if endpoint.below_prefix else endpoint.path


def _static_folder() -> Path:
    """The page's files: inside the package when installed, beside `src` in a checkout."""
    packaged = Path(str(files("slideloom"))) / "static"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "static"
