"""The page shows a token once, and is known by a cookie from then on."""

from typing import Annotated

from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from slideloom.errors import Unauthorized
from slideloom.web.bodies import json_response, read_json
from slideloom.web.endpoint import Endpoint
from slideloom.web.tokens import COOKIE, Tokens, make_cookie

_KEPT_S = 30 * 24 * 3600
_MOST_CHARS = 1024


class SignInRequest(Struct, frozen=True):
    """The body of `sign-in`."""

    token: Annotated[str, Meta(max_length=_MOST_CHARS)]
    """One of the secrets in API_TOKENS."""


class SignedIn(Struct, frozen=True):
    """Whether the service wants a token, and whose it was shown."""

    needed: bool
    name: str | None


async def show(request: Request) -> Response:
    """Whether a token is needed, and whose the caller has."""
    tokens = _tokens(request)
    return json_response(
        SignedIn(needed=bool(tokens), name=tokens.identify(request)),
        headers={"Cache-Control": "no-store"},
    )


async def sign_in(request: Request) -> Response:
    """Take the token; from now on this browser is known."""
    asked = await read_json(request, SignInRequest)
    tokens, found = _tokens(request), _tokens(request).read(asked.token)
    if tokens and found is None:
        raise Unauthorized
    answer = Response(status_code=204)
    if found is not None:
        answer.set_cookie(
            COOKIE,
            make_cookie(found[1]),
            max_age=_KEPT_S,
            secure=_is_secure(request),
            httponly=True,
            samesite="strict",
        )
    return answer


async def sign_out(request: Request) -> Response:
    """Forget this browser."""
    answer = Response(status_code=204)
    answer.delete_cookie(COOKIE, secure=_is_secure(request), httponly=True, samesite="strict")
    return answer


def _is_secure(request: Request) -> bool:
    """Whether the browser speaks TLS: here only a proxy knows, and nobody gains by a lie."""
    return "https" in {request.url.scheme, request.headers.get("x-forwarded-proto")}


def _tokens(request: Request) -> Tokens:
    tokens: Tokens = request.app.state.tokens
    return tokens


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/sign-in",
        handler=show,
        summary="Whether a token is needed, and whose the caller has",
        tag="Access",
        answers={200: SignedIn},
        is_open=True,
    ),
    Endpoint(
        method="POST",
        path="/sign-in",
        handler=sign_in,
        summary="Show a token; the browser is known by a cookie from then on",
        tag="Access",
        body=SignInRequest,
        answers={204: None},
        problems=(400, 401, 413, 415, 422),
        is_open=True,
    ),
    Endpoint(
        method="POST",
        path="/sign-out",
        handler=sign_out,
        summary="Forget this browser",
        tag="Access",
        answers={204: None},
        is_open=True,
    ),
)
