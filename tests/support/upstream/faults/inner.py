"""Errors and pictures in odd places of a 200's body."""

from typing import Final

from tests.support.upstream.answers import token
from tests.support.upstream.envelopes import google_error, openrouter_error
from tests.support.upstream.faults.base import (
    ONCE,
    OPENAI_SHAPES,
    UNBILLED,
    UNTIL_DEADLINE,
    ErrorCode,
    Fault,
    Player,
)
from tests.support.upstream.faults.bodies import edited, in_message
from tests.support.upstream.plan import Shape
from tests.support.upstream.scripts import reply

_CHAT: Final[tuple[Shape, ...]] = ("chat",)


def _inner(
    name: str, code: object, wanted: ErrorCode, calls: int, **error: object
) -> tuple[Fault, ...]:
    """An error in the body of a 200, as the whole body (F07) and in the first choice (F08)."""
    message = str(error.pop("message", "Provider returned error"))
    whole = openrouter_error(code, message, **error)
    partial = {"role": "assistant", "content": "partial"}
    choice = {"index": 0, "finish_reason": "error", "message": partial, "error": whole["error"]}
    return (
        Fault(
            name=f"F07_{name}",
            about=f"200, the whole body is the error {code!r}",
            script=lambda case: reply(case, whole),
            shapes=OPENAI_SHAPES,
            wanted=wanted,
            calls=calls,
        ),
        Fault(
            name=f"F08_{name}",
            about=f"200, finish_reason error and choices[0].error {code!r}",
            script=edited(lambda body: {**body, "choices": [choice]}),
            shapes=_CHAT,
            wanted=wanted,
            calls=calls,
        ),
    )


def _google(
    name: str, status: int, wanted: ErrorCode, calls: int, *, in_list: bool = False
) -> Fault:
    """Google's envelope as the body of a 200, as gateways pass it on."""
    whole = google_error(status, "The service said no.")
    return Fault(
        name=f"F07_google_{name}",
        about=f"200, the whole body is Google's error {status}{', in a list' if in_list else ''}",
        script=lambda case: reply(case, [whole] if in_list else whole),
        shapes=("gemini",),
        wanted=wanted,
        calls=calls,
    )


ERROR_IN_BODY_FAULTS: Final = (
    _google("400", 400, "bad_request", ONCE),
    _google("401", 401, "auth_failed", ONCE),
    _google("403", 403, "auth_failed", ONCE),
    _google("429", 429, "rate_limited", UNTIL_DEADLINE),
    _google("500", 500, "upstream_unavailable", UNBILLED),
    _google("503", 503, "upstream_unavailable", UNBILLED),
    _google("504_list", 504, "upstream_unavailable", UNBILLED, in_list=True),
    *_inner("500", 500, "upstream_unavailable", UNBILLED, message="Internal Server Error"),
    *_inner(
        "502",
        502,
        "upstream_unavailable",
        UNBILLED,
        metadata={"error_type": "provider_unavailable"},
    ),
    *_inner("server_error", "server_error", "upstream_unavailable", UNBILLED),
    *_inner(
        "504_string", "504", "upstream_unavailable", UNBILLED, metadata={"error_type": "timeout"}
    ),
    *_inner(
        "429", 429, "rate_limited", UNTIL_DEADLINE, metadata={"error_type": "rate_limit_exceeded"}
    ),
    *_inner(
        "capacity_exhausted",
        429,
        "rate_limited",
        UNTIL_DEADLINE,
        availability={
            "code": "capacity_exhausted",
            "retryable": True,
            "retry_after": 1,
            "requested_models": ["m"],
        },
    ),
    *_inner("402", 402, "quota_exhausted", ONCE, message="Insufficient credits"),
    *_inner("401", 401, "auth_failed", ONCE, message="User not found."),
    *_inner("400", 400, "bad_request", ONCE, metadata={"error_type": "invalid_request"}),
    *_inner(
        "content", 400, "content_blocked", ONCE, metadata={"error_type": "content_policy_violation"}
    ),
    *_inner("content_null_code", None, "content_blocked", ONCE, metadata={"error_type": "refusal"}),
    Fault(
        name="F07_null_error",
        about="200, error is null beside a good picture",
        script=edited(lambda body: {"error": None, **body}),
        wanted=None,
        calls=ONCE,
        billed=True,
    ),
)


def _image_parts(**message: object) -> Player:
    return in_message(**{"images": [], **message})


FORM_FAULTS: Final = tuple(
    Fault(
        name=f"X_{name}",
        about=about,
        script=script,
        shapes=_CHAT,
        wanted=None,
        calls=ONCE,
        billed=True,
    )
    for name, about, script in (
        (
            "chat_flat_url",
            "picture in images[].url",
            in_message(images=[{"url": f"data:image/png;base64,{token(0)}"}]),
        ),
        (
            "chat_content_image_url",
            "picture in a content part image_url",
            _image_parts(
                content=[
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{token(0)}"}}
                ]
            ),
        ),
        (
            "chat_content_inline_data",
            "picture in a content part inline_data",
            _image_parts(content=[{"inline_data": {"mime_type": "image/png", "data": token(0)}}]),
        ),
        (
            "chat_content_image",
            "picture in a content part of type image",
            _image_parts(content=[{"type": "image", "data": token(0), "mime_type": "image/png"}]),
        ),
        (
            "chat_markdown",
            "picture as a data URL in Markdown",
            _image_parts(
                content=f"Here it is:\n\n![slide](data:image/png;base64,{token(0)})\n\nEnjoy!"
            ),
        ),
    )
)
