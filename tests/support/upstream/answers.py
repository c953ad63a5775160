"""What good answers look like: the bytes of all three shapes, JSON and event stream.

An answer is first a skeleton, a JSON value with tokens where pictures go; `render` turns it into
pieces with the shared base64 put in, so a fault can change the skeleton like any value.
"""

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from tests.support.upstream.asks import Ask
from tests.support.upstream.steps import Pieces

Headers = tuple[tuple[str, str], ...]

CREATED: Final = 1748372400
_TOKEN_PATTERN: Final = re.compile(rb"@@payload(\d+)@@")
_REASONS: Final = {
    200: "OK",
    202: "Accepted",
    302: "Found",
    400: "Bad Request",
    401: "Unauthorized",
    402: "Payment Required",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    413: "Payload Too Large",
    422: "Unprocessable Entity",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}
JSON_TYPE: Final = "application/json"
SSE_TYPE: Final = "text/event-stream"
PADDING: Final = b"\n" + b" " * 9 + b"\n"
"""What OpenRouter sends while it works. Source: provider contracts, section 1.7."""
COMMENT: Final = b": OPENROUTER PROCESSING\n\n"


def token(number: int) -> str:
    """Stands in a skeleton for the picture of that number, from 0."""
    return f"@@payload{number}@@"


def render(skeleton: object, payloads: Sequence[Pieces] = ()) -> Pieces:
    """A skeleton as JSON, its tokens replaced by the payloads, nothing big copied."""
    parts = _TOKEN_PATTERN.split(msgspec.json.encode(skeleton))
    pieces: list[bytes] = []
    for index, part in enumerate(parts):
        if index % 2:
            pieces.extend(payloads[int(part)])
        else:
            pieces.append(part)
    return tuple(pieces)


def render_head(
    status: int,
    *,
    media_type: str = JSON_TYPE,
    length: int | None = None,
    chunked: bool = False,
    close: bool = False,
    headers: Headers = (),
) -> bytes:
    """A status line and headers; with neither length nor chunks, closing tells the end."""
    lines = [
        f"HTTP/1.1 {status} {_REASONS.get(status, 'Unknown')}",
        f"Content-Type: {media_type}",
        "Server: cloudflare",
    ]
    if length is not None:
        lines.append(f"Content-Length: {length}")
    if chunked:
        lines.append("Transfer-Encoding: chunked")
    if close:
        lines.append("Connection: close")
    lines.extend(f"{name}: {value}" for name, value in headers)
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def chunk(pieces: Pieces) -> Pieces:
    """The pieces as one chunk of a chunked body."""
    return (b"%x\r\n" % size_of(pieces), *pieces, b"\r\n")


LAST_CHUNK: Final = b"0\r\n\r\n"


def size_of(pieces: Pieces) -> int:
    """Bytes in all."""
    return sum(map(len, pieces))


def event(pieces: Pieces, name: str = "") -> Pieces:
    """The pieces as one server-sent event."""
    start = f"event: {name}\ndata: " if name else "data: "
    return (start.encode(), *pieces, b"\n\n")


DONE: Final = b"data: [DONE]\n\n"


def build_usage(ask: Ask, cost_usd: float) -> dict[str, Any]:
    """What the call used, in its dialect; only OpenRouter tells the cost."""
    prompt_tokens = max(1, len(ask.prompt) // 4)
    if ask.dialect == "google":
        return {
            "promptTokenCount": prompt_tokens,
            "candidatesTokenCount": 1290,
            "totalTokenCount": prompt_tokens + 1290,
        }
    if ask.dialect == "openai" and ask.shape == "images":
        return {
            "input_tokens": prompt_tokens,
            "input_tokens_details": {"text_tokens": prompt_tokens, "image_tokens": 0},
            "output_tokens": 1568,
            "total_tokens": prompt_tokens + 1568,
        }
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": 1290,
        "total_tokens": prompt_tokens + 1290,
        "completion_tokens_details": {"image_tokens": 1290},
        "cost": cost_usd,
        "is_byok": False,
    }


def build_images(ask: Ask, cost_usd: float, *, count: int = 1) -> dict[str, Any]:
    """Shape A's answer; payload n is the n-th picture."""
    name = ask.media_type.removeprefix("image/")
    if ask.dialect == "openai":
        return {
            "created": CREATED,
            "background": "opaque",
            "output_format": name,
            "quality": "medium",
            "size": f"{ask.width_px}x{ask.height_px}",
            "data": [{"b64_json": token(index)} for index in range(count)],
            "usage": build_usage(ask, cost_usd),
        }
    return {
        "created": CREATED,
        "data": [
            {"b64_json": token(index), "media_type": ask.media_type} for index in range(count)
        ],
        "usage": build_usage(ask, cost_usd),
    }


def data_url(media_type: str, number: int = 0) -> str:
    """A data URL with the picture of that number."""
    return f"data:{media_type};base64,{token(number)}"


def build_chat(ask: Ask, cost_usd: float, *, generation_id: str, count: int = 1) -> dict[str, Any]:
    """Shape B's answer; payload n is the n-th picture."""
    return {
        "id": generation_id,
        "object": "chat.completion",
        "created": CREATED,
        "model": ask.model,
        "provider": "Google",
        "system_fingerprint": None,
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "native_finish_reason": "STOP",
                "message": {
                    "role": "assistant",
                    "content": "",
                    "images": [
                        {
                            "type": "image_url",
                            "index": index,
                            "image_url": {"url": data_url(ask.media_type, index)},
                        }
                        for index in range(count)
                    ],
                },
            },
        ],
        "usage": build_usage(ask, cost_usd),
    }


def build_gemini(ask: Ask, cost_usd: float, *, count: int = 1) -> dict[str, Any]:
    """Shape C's answer; payload n is the n-th picture."""
    parts = [
        {"inlineData": {"mimeType": ask.media_type, "data": token(index)}} for index in range(count)
    ]
    answer = build_gemini_chunk(ask, *parts, finish_reason="STOP")
    return {**answer, "usageMetadata": build_usage(ask, cost_usd)}


def build_gemini_chunk(
    ask: Ask, *parts: dict[str, Any], finish_reason: str | None = None
) -> dict[str, Any]:
    """One event of shape C's stream, or all but the usage of its whole answer."""
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": list(parts)}}
    if finish_reason:
        candidate["finishReason"] = finish_reason
    return {
        "candidates": [{**candidate, "index": 0}],
        "modelVersion": ask.model,
        "responseId": "emulated",
    }


def build_chunk(
    ask: Ask, generation_id: str, delta: dict[str, Any], **more: object
) -> dict[str, Any]:
    """One chunk of shape B's event stream."""
    finish = more.pop("finish_reason", None)
    choice = {"index": 0, "delta": delta, "finish_reason": finish, "native_finish_reason": None}
    return {
        "id": generation_id,
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": ask.model,
        "provider": "Google",
        "choices": [choice],
        **more,
    }


def gemini_event(skeleton: object, payloads: Sequence[Pieces] = ()) -> Pieces:
    """One event as Google writes it: lines end in CR and LF."""
    return (b"data: ", *render(skeleton, payloads), b"\r\n\r\n")


def gemini_events(
    ask: Ask, cost_usd: float, pictures: Sequence[Pieces], *, thoughts: int = 0
) -> Pieces:
    """Shape C's event stream: a thought, each picture whole in one line, usage; no `[DONE]`.

    The first `thoughts` pictures are drafts.
    """
    thinking = {"text": "Drawing a calm slide.", "thought": True}
    pieces = [*gemini_event(build_gemini_chunk(ask, thinking))]
    for index, picture in enumerate(pictures):
        part: dict[str, Any] = {"inlineData": {"mimeType": ask.media_type, "data": token(0)}}
        if index < thoughts:
            part["thought"] = True
        pieces.extend(gemini_event(build_gemini_chunk(ask, part), (picture,)))
    last = build_gemini_chunk(ask, {"text": ""}, finish_reason="STOP")
    pieces.extend(gemini_event({**last, "usageMetadata": build_usage(ask, cost_usd)}))
    return tuple(pieces)


def images_events(ask: Ask, cost_usd: float, drafts: Sequence[Pieces], final: Pieces) -> Pieces:
    """Shape A's event stream: drafts, the picture, the end."""
    named = ask.dialect == "openai"
    pieces: list[bytes] = []
    for index, draft in enumerate(drafts):
        kind = "image_generation.partial_image"
        skeleton = {"type": kind, "partial_image_index": index, "b64_json": token(0)}
        pieces.extend(event(render(skeleton, (draft,)), kind if named else ""))
    kind = "image_generation.completed"
    completed = {
        "type": kind,
        "b64_json": token(0),
        "media_type": ask.media_type,
        "created": CREATED,
        "usage": build_usage(ask, cost_usd),
    }
    pieces.extend(event(render(completed, (final,)), kind if named else ""))
    return (*pieces, b"" if named else DONE)


def chat_events(
    ask: Ask, cost_usd: float, generation_id: str, pictures: Sequence[Pieces]
) -> Pieces:
    """Shape B's event stream: a greeting, each picture whole in one line, usage, the end."""
    pieces: list[bytes] = [
        *event(render(build_chunk(ask, generation_id, {"role": "assistant", "content": ""})))
    ]
    for index, picture in enumerate(pictures):
        image = {
            "type": "image_url",
            "index": index,
            "image_url": {"url": data_url(ask.media_type)},
        }
        pieces.extend(
            event(render(build_chunk(ask, generation_id, {"images": [image]}), (picture,)))
        )
    pieces.extend(event(render(build_chunk(ask, generation_id, {}, finish_reason="stop"))))
    last = build_chunk(ask, generation_id, {}, usage=build_usage(ask, cost_usd)) | {"choices": []}
    return (*pieces, *event(render(last)), DONE)
