"""From a provider's answer to an error, or to nothing: then it brought a picture.

An answer is judged by its machine-readable words first, by its status second,
and never by its prose. The tables follow the policy; that of the words is in `words`.
What providers really send is in sections 1.5, 2.3, 3.3 and 4 of the provider contracts.
"""

from collections.abc import Callable, Iterator

from slideloom.errors import (
    AnswerLost,
    AuthFailed,
    BadRequest,
    ContentBlocked,
    NoImage,
    ProviderError,
    QuotaExhausted,
    RateLimited,
    TransientError,
    UpstreamDown,
)
from slideloom.providers.answers import Answer, Json
from slideloom.providers.complaints import Complaint, find_complaint, list_dicts
from slideloom.providers.retry_after import find_retry_after
from slideloom.providers.usage import find_cost_usd
from slideloom.providers.words import (
    ErrorClass,
    find_meaning,
    is_about_capacity,
    is_content_word,
)

_STATUSES: dict[int, ErrorClass] = {
    401: AuthFailed,
    402: QuotaExhausted,
    403: AuthFailed,
    429: RateLimited,
}
"""All other 4xx are the request's fault, all 5xx the provider's. Source: policy."""
_FORBIDDEN = 403
_SERVER_ERROR = 500

_BLOCKED_REASONS = frozenset(
    {
        "content_filter",
        "content_filtered",
        "safety",
        "recitation",
        "blocklist",
        "prohibited_content",
        "spii",
        "image_safety",
        "image_prohibited_content",
        "image_recitation",
        "model_armor",
    }
)
"""Finish reasons that refuse. Source: contracts 1.5 form 4, 3.3, Stability in 4."""
_ACCOUNT_REASONS = frozenset({"pup_limited_disabled"})
_REASON_KEYS = ("native_finish_reason", "finish_reason", "finishReason")
_REQUEST_ID_HEADERS = ("x-generation-id", "x-request-id", "request-id", "x-oneapi-request-id")
_CUT_JSON_STARTS = ("{", "[", "data:", "event:", ":")
_PROSE_CHARS = 200


def judge(
    answer: Answer,
    *,
    has_picture: bool,
    now_s: float,
    is_cut: bool = False,
    clean: Callable[[str], str] = str,
) -> ProviderError | None:
    """The error that the answer amounts to; `None` when it brought a picture.

    Args:
        answer: the answer, without its pictures.
        has_picture: whether it held a whole one, or an address of one.
        now_s: seconds since 1970, against which dates are read.
        is_cut: whether the connection broke before the answer's end.
        clean: takes keys out of the provider's words, and shortens them.
    """
    refusal = _find_refusal(answer, has_picture=has_picture) if answer.is_good else None
    complaint = find_complaint(answer, has_picture=has_picture)
    code: str | None
    retry_after_s = None
    is_capacity = False
    if refusal:
        kind, code = refusal
        detail = ": ".join(filter(None, (code, find_prose(answer))))
    elif complaint or not answer.is_good:
        complaint = complaint or Complaint({}, answer.words, (), ())
        kind, code = classify(answer, complaint), complaint.code
        detail = complaint.message or f"HTTP {answer.status}"
        retry_after_s = find_retry_after(answer, complaint.error, detail, now_s=now_s)
        is_capacity = issubclass(kind, TransientError) and is_about_capacity(
            complaint, _find_status(answer, complaint)
        )
    elif has_picture:
        return None
    else:
        kind, code, detail = _miss(answer, is_cut=is_cut)
    return kind(
        clean(detail),
        http_status=answer.status,
        provider_code=clean(code) if code else None,
        request_id=find_request_id(answer, clean=clean),
        retry_after_s=retry_after_s,
        cost_usd=find_cost_usd(answer),
        is_capacity=is_capacity,
    )


def classify(answer: Answer, complaint: Complaint) -> ErrorClass:
    """Which row of the policy an error belongs to."""
    if any(map(is_content_word, complaint.quoted)):
        return ContentBlocked
    status = _find_status(answer, complaint)
    meaning = find_meaning(complaint.words, has_status=status is not None)
    if meaning is not None:
        return meaning
    if complaint.is_retryable is not None:
        return _by_flag(status, is_retryable=complaint.is_retryable)
    if status is None:
        return NoImage
    if status == _FORBIDDEN and answer.is_page:
        return UpstreamDown  # a proxy's wall, not the provider's opinion of the key
    return _STATUSES.get(status) or (UpstreamDown if status >= _SERVER_ERROR else BadRequest)


def _find_status(answer: Answer, complaint: Complaint) -> int | None:
    """The HTTP error status, of the answer or told in it."""
    return complaint.status if answer.is_good else answer.status


def _by_flag(status: int | None, *, is_retryable: bool) -> ErrorClass:
    """Source: `error.availability.retryable`, which its docs tell to prefer to any code."""
    if not is_retryable:
        return BadRequest
    return _STATUSES[429] if status == 429 else UpstreamDown  # noqa: PLR2004 - HTTP


def find_request_id(answer: Answer, *, clean: Callable[[str], str] = str) -> str | None:
    """The provider's own name for the call."""
    told = [
        *(answer.headers.get(name) for name in _REQUEST_ID_HEADERS),
        *(item.get(key) for item in answer.objects for key in ("id", "request_id", "responseId")),
    ]
    found = next((value for value in told if value and isinstance(value, str)), None)
    return clean(found)[:_PROSE_CHARS] if found else None


def list_messages(item: Json) -> Iterator[Json]:
    """The chat messages in one object of an answer, whole or streamed."""
    for choice in list_dicts(item.get("choices")):
        for key in ("message", "delta"):
            if isinstance(message := choice.get(key), dict):
                yield message


def find_prose(answer: Answer) -> str:
    """What the model said instead of drawing."""
    for message in _messages(answer):
        for value in (message.get("refusal"), message.get("content")):
            if isinstance(value, str) and value.strip():
                return value.strip()
            for part in list_dicts(value):
                if isinstance(text := part.get("text"), str) and text.strip():
                    return text.strip()
    said = (text.strip() for item in answer.objects for text in _google_prose(item))
    return next(filter(None, said), "")


def _google_prose(item: Json) -> Iterator[str]:
    """The same in shape C, where a thought is no answer."""
    feedback = item.get("promptFeedback")
    told = [feedback.get("blockReasonMessage")] if isinstance(feedback, dict) else []
    for candidate in list_dicts(item.get("candidates")):
        told.append(candidate.get("finishMessage"))
        content = candidate.get("content")
        parts = list_dicts(content.get("parts") if isinstance(content, dict) else None)
        told += (part.get("text") for part in parts if part.get("thought") is not True)
    yield from (text for text in told if isinstance(text, str))


def _find_refusal(answer: Answer, *, has_picture: bool) -> tuple[ErrorClass, str] | None:
    """A refusal by a machine-readable reason, and that reason."""
    for reason in _reasons(answer):
        if reason.lower() in _BLOCKED_REASONS:
            return ContentBlocked, reason
        if reason.lower() in _ACCOUNT_REASONS:
            return QuotaExhausted, reason
    flags = (flag for item in answer.objects for flag in _flags(item, has_picture=has_picture))
    flag = next(flags, None)
    return None if flag is None else (ContentBlocked, flag)


def _flags(item: Json, *, has_picture: bool) -> Iterator[str]:
    """The other ways to say that something was refused."""
    feedback = item.get("promptFeedback")
    if isinstance(feedback, dict) and isinstance(word := feedback.get("blockReason"), str):
        yield word
    nsfw = item.get("has_nsfw_concepts")
    if nsfw is True or (isinstance(nsfw, list) and True in nsfw):
        yield "has_nsfw_concepts"
    if has_picture:
        return
    if any(entry.get("respect_moderation") is False for entry in list_dicts(item.get("data"))):
        yield "respect_moderation"
    if any(message.get("refusal") for message in list_messages(item)):
        yield "refusal"


def _reasons(answer: Answer) -> Iterator[str]:
    for item in answer.objects:
        choices = list_dicts(item.get("choices"))
        for place in (item, *choices, *list_dicts(item.get("candidates"))):
            for key in _REASON_KEYS:
                if isinstance(reason := place.get(key), str):
                    yield reason


def _messages(answer: Answer) -> Iterator[Json]:
    for item in answer.objects:
        yield from list_messages(item)


def _miss(answer: Answer, *, is_cut: bool) -> tuple[ErrorClass, str | None, str]:
    """A good status, no error, no picture."""
    if answer.is_page:
        return UpstreamDown, None, answer.words
    if is_cut or not (answer.documents or answer.text):
        return AnswerLost, None, "the answer ended before there was a picture"
    if not answer.documents and answer.text.startswith(_CUT_JSON_STARTS):
        return AnswerLost, None, "the answer is not whole JSON"
    reason = next((r for r in _reasons(answer) if r.lower() != "stop"), None)
    return NoImage, reason, find_prose(answer) or answer.words or "no picture in the answer"
