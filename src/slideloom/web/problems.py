"""Errors as answers: RFC 9457 problems, in the reader's language. Source: contract section 6."""

import math
import re
import uuid
from collections.abc import Mapping
from functools import lru_cache
from http import HTTPStatus

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
    NotTakenUp,
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

_MESSAGES = (
    (r"Expected `(.+?)`, got `(.+?)`", r"\g<0>", r"应为 `\1`，实际是 `\2`"),
    (r"Expected `array` of length >= 1", "must have at least one item", "至少要有一项"),
    (r"Expected `array` of length <= (.+)", r"may have at most \1 items", r"最多 \1 项"),
    (r"Expected `str` of length >= 1", "may not be empty", "不能为空"),
    (r"Expected `str` of length <= (.+)", r"may have at most \1 characters", r"最多 \1 个字符"),
    (r"Expected `int` (<=|>=) (.+)", r"must be \1 \2", r"应 \1 \2"),
    (
        r"Expected `str` matching regex .+|not an aspect ratio like 16:9: .+",
        "must be a ratio like 16:9, one to four digits a side",
        "应为 16:9 这样的比例，每边一到四位数字",
    ),
    (
        r"Invalid enum value (.+)",
        r"\1 is not one of cover, content, ending",
        r"\1 不是 cover、content、ending 之一",
    ),
    (r"Object missing required field `(.+?)`", r"the field `\1` is missing", r"缺少必填字段 `\1`"),
    (r"(Integer value|Number) out of range", "the number is out of range", "数值超出范围"),
    (r"slides (\d+) and (\d+) have the same id", r"\g<0>", r"第 \1 页与第 \2 页的 id 相同"),
    (
        r"for that many slides the style may have (\d+) characters",
        r"\g<0>",
        r"这么多页时风格最多 \1 个字符",
    ),
    (r"(\w+) must be (\d+) to (\d+)", r"\g<0>", r"\1 应在 \2 到 \3 之间"),
    (
        r"must be 1 to 255 visible ASCII characters",
        r"\g<0>",
        "应为 1 到 255 个可见 ASCII 字符",
    ),
    (r"not a cursor of ours", r"\g<0>", "不是有效的 cursor"),
    (r"Input data was truncated", "it ends too early", "内容不完整"),
    (r"it is empty", r"\g<0>", "内容为空"),
    (
        r"it begins with a byte-order mark",
        "it begins with a byte-order mark; send UTF-8 without one",
        "开头有字节序标记，请发送不带 BOM 的 UTF-8",
    ),
    (r"nested too deep", r"\g<0>", "嵌套太深"),
    (r"not UTF-8 at byte (\d+)", r"\g<0>", r"第 \1 字节不是 UTF-8"),
    (
        r"JSON is malformed: .*\(byte (\d+)\)",
        r"it is malformed at byte \1",
        r"第 \1 字节处格式有误",
    ),
)
"""What the decoder and our own checks say, in words; English, Chinese."""
_STOPPING_RETRY_S = 5
"""A service that shuts down is usually back after about that long."""


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
_DETAILS: dict[type[SlideloomError], dict[Language, str]] = {
    MalformedBody: {
        "en": "The body is not valid JSON: {2}.",
        "zh": "请求体不是有效的 JSON：{2}。",
    },
    InvalidRequest: {
        "en": "The request is not valid at {1}: {2}.",
        "zh": "请求在 {1} 处无效：{2}。",
    },
    BodyTooLarge: {
        "en": "The body is larger than {0.limit_bytes} bytes.",
        "zh": "请求体超过 {0.limit_bytes} 字节。",
    },
    NotJson: {
        "en": "Send the body as JSON, with Content-Type: application/json.",
        "zh": "请以 JSON 发送请求体，并设置 Content-Type: application/json。",
    },
    MalformedHost: {
        "en": "The request needs one Host header with the name of this service.",
        "zh": "请求需要且只能有一个 Host 头，写明本服务的名称。",
    },
    WrongHost: {
        "en": "This service does not answer to the name {0.host}. If it is one of its names,"
        " add it to the setting ALLOWED_HOSTS.",
        "zh": "本服务不接受名称 {0.host}。如果它确实是本服务的名称，请加入设置 ALLOWED_HOSTS。",
    },
    ForeignOrigin: {
        "en": "Pages of {0.origin} may not use this service. If they should, add that origin to"
        " the setting ALLOWED_ORIGINS.",
        "zh": "来自 {0.origin} 的页面不能使用本服务。如需允许，请加入设置 ALLOWED_ORIGINS。",
    },
    Unauthorized: {
        "en": "This service needs a token: send Authorization: Bearer and one of the secrets in"
        " API_TOKENS, or sign in on the page.",
        "zh": "本服务需要令牌：请发送 Authorization: Bearer 加 API_TOKENS 中的密钥，"
        "或在网页上登录。",
    },
    TooManyRequests: {
        "en": "This token has sent too many requests. Go on in {0.retry_after_s} s.",
        "zh": "这个令牌的请求过多，请在 {0.retry_after_s} 秒后继续。",
    },
    DailyCostReached: {
        "en": "The {0.limit_usd:.2f} US dollars for today are spent, and nothing was started."
        " Go on tomorrow (UTC), or raise MAX_COST_PER_DAY.",
        "zh": "今天的 {0.limit_usd:.2f} 美元额度已用完，没有开始任何工作。"
        "请明天（UTC）继续，或提高 MAX_COST_PER_DAY。",
    },
    UnknownBatch: {
        "en": "There is no such batch, or its record has been cleaned up.",
        "zh": "没有这个批次，或其记录已被清理。",
    },
    UnknownSlide: {
        "en": "The batch has no slide {0.slide_id}.",
        "zh": "该批次中没有这一页：{0.slide_id}。",
    },
    UnknownVersion: {
        "en": "The slide {0.slide_id} has no version {0.version}.",
        "zh": "第 {0.slide_id} 页没有版本 {0.version}。",
    },
    SlideUnderWay: {
        "en": "The slide is being made just now; wait for its end, then try again.",
        "zh": "这一页正在生成，请等它结束后再试。",
    },
    NoPictures: {
        "en": "There is no finished picture to take home. Wait for one, or make the slides again.",
        "zh": "没有可导出的已完成图片，请等待生成或重新生成。",
    },
    KeyReused: {
        "en": "This Idempotency-Key stands for another request already. Use a new key.",
        "zh": "这个 Idempotency-Key 已用于另一个请求，请换一个新的。",
    },
    UnknownSession: {
        "en": "There are no log files of such a session.",
        "zh": "没有这个会话的日志文件。",
    },
    StorageFull: {
        "en": "There is no room to keep pictures or records, and nothing was started: {0}.",
        "zh": "磁盘空间不足，无法保存图片或记录，没有开始任何工作：{0}。",
    },
    NotTakenUp: {
        "en": "A restart left this batch open; it is about to go on. Try again soon.",
        "zh": "重启时这个批次尚未完成，即将继续，请稍后再试。",
    },
    NotWrittenYet: {
        "en": "The service's database does not answer: this is carried out, but may not be"
        " recorded yet. Ask how the batch is before you try again.",
        "zh": "服务的数据库没有响应：操作正在执行，但可能尚未记录。请先查询批次状态再重试。",
    },
    UnreadableLog: {
        "en": "The record of this batch is damaged and cannot be read; the log says how.",
        "zh": "这个批次的记录已损坏，无法读取，详情见日志。",
    },
    StoreError: {
        "en": "The service's database or storage failed; nothing was started. Try again soon.",
        "zh": "服务的数据库或存储出错，没有开始任何工作。请稍后再试。",
    },
    Stopping: {
        "en": "The service is shutting down. Try again soon.",
        "zh": "服务正在停止，请稍后再试。",
    },
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
_HTTP_DETAILS: dict[int, dict[Language, str]] = {
    404: {"en": "There is nothing at this address.", "zh": "这个地址没有内容。"},
    416: {"en": "The file has no such part.", "zh": "文件没有这一部分。"},
    405: {"en": "This address does not take that method.", "zh": "这个地址不支持该方法。"},
}
_INTERNAL: dict[Language, str] = {
    "en": "Something in this service failed; its log has the details under the request id.",
    "zh": "服务内部出错，日志中可按 request_id 查到详情。",
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
        return _problem(request, 500, "internal", _INTERNAL[language])
    loc = getattr(error, "loc", ())
    place = ".".join(map(str, loc))
    status = _STATUS[kind]
    if isinstance(error, StoreError):
        services(request).log.error(
            "request_failed", request_id=request_id(request), exc_info=error
        )
    return _problem(
        request,
        status,
        kind.code,
        _find_detail(error, language).format(error, place, _in_words(error, language)),
        errors=(FieldProblem(loc, _in_words(error, language)),) if kind is InvalidRequest else (),
        headers=_advise(error, status),
    )


def _advise(error: Exception, status: int) -> dict[str, str]:
    """What programs may do about it, as headers."""
    if isinstance(error, Unauthorized):
        return {"WWW-Authenticate": "Bearer"}
    unavailable = status == HTTPStatus.SERVICE_UNAVAILABLE
    retry_after_s = getattr(error, "retry_after_s", _STOPPING_RETRY_S if unavailable else None)
    return {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}


def _find_detail(error: Exception, language: Language) -> str:
    """The more special class has the word."""
    return next(_DETAILS[kind][language] for kind in type(error).__mro__ if kind in _DETAILS)


async def answer_http_error(request: HTTPConnection, error: Exception) -> Response:
    """The problem answer to what the router refuses."""
    if not isinstance(error, HTTPException):
        raise error
    language = reader_language(request)
    detail = _HTTP_DETAILS.get(error.status_code, {}).get(language) or error.detail
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
        told["Retry-After"] = str(_STOPPING_RETRY_S)
    return _problem(request, _SLIDE_STATUS[code], code, detail, headers=told)


def _in_words(error: Exception, language: Language) -> str:
    """What is wrong, for people: the decoder speaks of regexes and lengths."""
    for pattern, english, chinese in _MESSAGES:
        if (found := re.fullmatch(pattern, str(error))) is not None:
            return found.expand(english if language == "en" else chinese)
    return str(error)


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
