"""Errors as answers: RFC 9457 problems, in the reader's language. Source: contract section 6."""

import math
import re
import uuid
from collections.abc import Mapping
from functools import lru_cache
from http import HTTPStatus
from typing import Final

import msgspec
from msgspec import Struct
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from slideloom.domain.batch import SlideState
from slideloom.domain.messages import Language, slide_error_message
from slideloom.errors import (
    BodyTooLarge,
    DailyCostReached,
    ForeignOrigin,
    InvalidRequest,
    KeyReused,
    MalformedBody,
    MalformedHost,
    NoPictures,
    NotJson,
    NotWrittenYet,
    SlideErrorCode,
    SlideloomError,
    SlideUnderWay,
    Stopping,
    StorageFull,
    StoreError,
    TooManyRequests,
    Unauthorized,
    UnknownBatch,
    UnknownSession,
    UnknownSlide,
    UnknownVersion,
    UnreadableLog,
    WrongHost,
)
from slideloom.web.endpoint import services
from slideloom.web.words import explain, explain_status, in_words

RETRY_S: Final = 5
"""A service that shuts down is usually back by then, and an idle connection has ended."""


class FieldProblem(Struct, frozen=True):
    """What is wrong at one place of the body."""

    loc: tuple[str | int, ...]
    msg: str


class Problem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of every error answer."""

    type: str
    title: str
    status: int
    detail: str
    """What a person can do about it."""
    code: str
    """Stable; for programs."""
    request_id: str
    """Also in the log and in `X-Request-Id`."""
    errors: tuple[FieldProblem, ...] = ()
    """For 422: what is wrong, where."""


_STATUS: dict[type[SlideloomError], int] = {
    MalformedBody: 400,
    InvalidRequest: 422,
    BodyTooLarge: 413,
    NotJson: 415,
    MalformedHost: 400,
    WrongHost: 421,
    ForeignOrigin: 403,
    Unauthorized: 401,
    TooManyRequests: 429,
    DailyCostReached: 429,
    NoPictures: 409,
    KeyReused: 422,
    SlideUnderWay: 409,
    UnknownBatch: 404,
    UnknownSlide: 404,
    UnknownVersion: 404,
    UnknownSession: 404,
    StorageFull: 507,
    UnreadableLog: 500,
    NotWrittenYet: 503,
    StoreError: 503,
    Stopping: 503,
}
_SLIDE_STATUS: dict[SlideErrorCode, int] = {
    "content_blocked": 422,
    "bad_request": 422,
    "rate_limited": 429,
    "auth_failed": 502,
    "quota_exhausted": 502,
    "upstream_unavailable": 502,
    "no_image": 502,
    "invalid_image": 502,
    "blocked_url": 502,
    "timeout": 504,
    "batch_timeout": 504,
    "interrupted": 503,
    "cancelled": 503,
    "budget_exceeded": 422,
    "storage_full": 507,
    "internal": 500,
}


def encode_problem(
    status: int,
    code: str,
    detail: str,
    *,
    request_id: str,
    errors: tuple[FieldProblem, ...] = (),
) -> bytes:
    """The body of an error answer."""
    problem = Problem(
        type="about:blank",  # `code` tells more than a page per problem would
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        code=code,
        request_id=request_id,
        errors=errors,
    )
    return msgspec.json.encode(problem)


def reader_language(request: HTTPConnection) -> Language:
    """Chinese when `Accept-Language` prefers it to English, else English."""
    accepted = request.headers.get("accept-language", "")
    return _choose_language(accepted) if accepted else "en"


@lru_cache(maxsize=64)  # browsers of one kind say the same
def _choose_language(accepted: str) -> Language:
    best: tuple[float, Language] = (0.0, "en")
    for item in accepted.split(","):
        tag, _, parameters = item.strip().partition(";")
        quality = _parse_quality(parameters)
        primary = re.split("[-_]", tag.strip().lower())[0]
        if primary in {"en", "zh"} and quality > best[0]:
            best = (quality, "zh" if primary == "zh" else "en")
    return best[1]


def request_id(request: HTTPConnection) -> str:
    """The id the guard gave this request."""
    found: str = request.scope.get("state", {}).get("request_id") or uuid.uuid4().hex
    return found


async def answer_error(request: HTTPConnection, error: Exception) -> Response:
    """The problem answer to an error of ours; the more special class decides."""
    language = reader_language(request)
    kind = next((kind for kind in type(error).__mro__ if kind in _STATUS), None)
    if kind is None:
        return _problem(request, 500, "internal", explain(error, language))
    loc = getattr(error, "loc", ())
    status = _STATUS[kind]
    if isinstance(error, StoreError):
        services(request).log.error(
            "request_failed", request_id=request_id(request), exc_info=error
        )
    return _problem(
        request,
        status,
        kind.code,
        explain(error, language, place=".".join(map(str, loc))),
        errors=(FieldProblem(loc, in_words(error, language)),) if kind is InvalidRequest else (),
        headers=_advise(error, status),
    )


def _advise(error: Exception, status: int) -> dict[str, str]:
    """What programs may do about it, as headers."""
    if isinstance(error, Unauthorized):
        return {"WWW-Authenticate": "Bearer"}
    unavailable = status == HTTPStatus.SERVICE_UNAVAILABLE
    retry_after_s = getattr(error, "retry_after_s", RETRY_S if unavailable else None)
    return {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}


async def answer_http_error(request: HTTPConnection, error: Exception) -> Response:
    """The problem answer to what the router refuses."""
    if not isinstance(error, HTTPException):
        raise error
    language = reader_language(request)
    detail = explain_status(error.status_code, language) or error.detail
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "invalid_request")
    headers = dict(error.headers) if error.headers else None
    return _problem(request, error.status_code, code, detail, headers=headers)


def answer_slide_failure(
    request: Request, slide: SlideState, *, headers: Mapping[str, str]
) -> Response:
    """The problem answer to a single slide that gave no picture; `headers` go along."""
    code = slide.error_code or "internal"
    detail = slide_error_message(
        code,
        slide.error_detail,
        reader_language(request),
        possibly_billed=slide.possibly_billed > 0,
    )
    told = dict(headers)
    if code == "rate_limited":
        told["Retry-After"] = str(math.ceil(slide.retry_after_s or 1))
    elif _SLIDE_STATUS[code] == HTTPStatus.SERVICE_UNAVAILABLE and not headers:
        # A request that was carried out before has this answer for good.
        told["Retry-After"] = str(RETRY_S)
    return _problem(request, _SLIDE_STATUS[code], code, detail, headers=told)


def _problem(
    request: HTTPConnection,
    status: int,
    code: str,
    detail: str,
    *,
    errors: tuple[FieldProblem, ...] = (),
    headers: dict[str, str] | None = None,
) -> Response:
    body = encode_problem(status, code, detail, request_id=request_id(request), errors=errors)
    return Response(body, status, headers=headers, media_type="application/problem+json")


def _parse_quality(parameters: str) -> float:
    name, _, value = parameters.partition(";")[0].strip().partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0
