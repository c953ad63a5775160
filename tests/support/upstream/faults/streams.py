"""Faults of the way: padding, pieces, event streams and what goes wrong in them."""

from typing import Any, Final

import msgspec

from tests.support.upstream.answers import (
    COMMENT,
    DONE,
    LAST_CHUNK,
    PADDING,
    SSE_TYPE,
    build_chunk,
    build_gemini_chunk,
    chunk,
    event,
    gemini_event,
    render,
    render_head,
    token,
)
from tests.support.upstream.envelopes import google_error
from tests.support.upstream.faults.base import ONCE, OPENAI_SHAPES, UNBILLED, Player, fine, lost
from tests.support.upstream.plan import Shape
from tests.support.upstream.scripts import (
    Case,
    answer,
    beat,
    build_events,
    build_skeleton,
    drip_forever,
    good_body,
    good_head,
    good_type,
    json_body,
    stream,
)
from tests.support.upstream.steps import Pause, Script, Send, Shut, Work

_CHAT: Final[tuple[Shape, ...]] = ("chat",)
_IMAGES: Final[tuple[Shape, ...]] = ("images",)
_GEMINI: Final[tuple[Shape, ...]] = ("gemini",)
_BEATS: Final = 60
"""As many paddings as one report counted. Source: provider contracts, section 1.7."""
_BIG_BYTES: Final = 10 * 1024 * 1024


def _padded(case: Case) -> Script:
    padding = b"".join(chunk((beat(case),)))
    return (
        Send((good_head(case, chunked=True), padding * (_BEATS // 2))),
        Pause(0.005),
        Send((padding * (_BEATS // 2),)),
        Work(padding, 0.05),
        Send((*chunk(good_body(case)), LAST_CHUNK)),
    )


def _padding_then_end(case: Case) -> Script:
    padding = b"".join(chunk((beat(case),))) * _BEATS
    return (Send((good_head(case, chunked=True), padding)), Work(), Send((LAST_CHUNK,)))


def _padding_then_close(case: Case) -> Script:
    return (Send((good_head(case, close=True), beat(case) * _BEATS)), Work(), Shut())


def _endless_padding(case: Case) -> Script:
    head = render_head(200, chunked=True)
    return drip_forever(head, b"".join(chunk((PADDING,))), case.number_argument(0.05))


def _endless_comments(case: Case) -> Script:
    head = render_head(200, media_type=SSE_TYPE, chunked=True)
    return drip_forever(head, b"".join(chunk((COMMENT,))), case.number_argument(0.05))


def _comments(case: Case) -> Script:
    events = build_events(case)
    mixed = (COMMENT * 3, *events[:1], *events[1:])
    return stream(
        case, (*mixed[:-1], COMMENT, mixed[-1]), segment_bytes=int(case.number_argument(1024))
    )


def _segments(case: Case) -> Script:
    size_bytes = max(1, int(case.number_argument(7)))
    body = good_body(case)
    return answer(case, body, media_type=good_type(case), segment_bytes=size_bytes)


def _split(case: Case) -> Script:
    """The body in two, cut at an offset from the start of the picture's marker."""
    marker = {"images": b'"b64_json"', "chat": b";base64,", "gemini": b'"data"'}[case.ask.shape]
    body = b"".join(good_body(case))
    at = max(1, body.index(marker) + int(case.number_argument(0)))
    head = good_head(case, length=len(body))
    return (Work(), Send((head, body[:at])), Pause(0.005), Send((body[at:],)))


def _big_line(case: Case) -> Script:
    size_bytes = int(case.number_argument(_BIG_BYTES))
    picture = case.plate(size_bytes=size_bytes).b64(case.stamp())
    if case.ask.shape == "gemini":
        return stream(case, gemini_event(build_skeleton(case), (picture,)))
    image = {
        "type": "image_url",
        "index": 0,
        "image_url": {"url": f"data:{case.ask.media_type};base64,{token(0)}"},
    }
    value = build_chunk(case.ask, case.generation_id, {"images": [image]})
    return stream(case, (COMMENT, *event(render(value, (picture,))), DONE))


def _pretty(case: Case) -> Script:
    skeleton = msgspec.json.format(msgspec.json.encode(build_skeleton(case)), indent=4).replace(
        b'": ', b'"\r\n\t : '
    )
    before, after = skeleton.split(token(0).encode())
    return answer(case, (b"\r\n \t", before, *case.picture(), after, b"\n\n"))


def _decoy(case: Case) -> Script:
    """A text before the picture that quotes the very marker a scanner looks for."""
    quoted = 'the prompt said "b64_json":"AAAA" and data:image/png;base64,AAAA and {"url":"x"}'
    skeleton = build_skeleton(case)
    match case.ask.shape:
        case "images":
            skeleton = {"revised_prompt": quoted, **skeleton}
            skeleton["data"][0] = {"revised_prompt": quoted, **skeleton["data"][0]}
        case "chat":
            message = skeleton["choices"][0]["message"]
            skeleton["choices"][0]["message"] = {"reasoning": quoted, **message}
        case "gemini":
            secret = "c2lnbmF0dXJl" * 40
            talk = {"text": f'"inlineData" {quoted}', "thoughtSignature": secret}
            skeleton["candidates"][0]["content"]["parts"].insert(0, talk)
    return answer(case, render(skeleton, (case.picture(),)))


def _stream_error(code: object, message: str) -> Player:
    """An error after something was shown."""

    def play(case: Case) -> Script:
        error = {"message": message, "code": code, "type": "provider_error", "param": None}
        if case.ask.shape == "images":
            draft = {
                "type": "image_generation.partial_image",
                "partial_image_index": 0,
                "b64_json": token(0),
            }
            last: dict[str, Any] = {"type": "error", "error": error}
            return stream(
                case,
                (*event(render(draft, (case.picture("draft-0"),))), *event(render(last)), DONE),
            )
        first = build_chunk(
            case.ask, case.generation_id, {"role": "assistant", "content": "Drawing"}
        )
        last = build_chunk(
            case.ask, case.generation_id, {"content": ""}, finish_reason="error", error=error
        )
        return stream(case, (*event(render(first)), *event(render(last))))

    return play


def _gemini_error(status: int, *, in_list: bool = False) -> Player:
    """Shape C: a thought and its draft, then an error."""

    def play(case: Case) -> Script:
        data = {"mimeType": case.ask.media_type, "data": token(0)}
        draft = build_gemini_chunk(case.ask, {"inlineData": data, "thought": True})
        error: object = google_error(status, "The service said no.")
        last = gemini_event([error] if in_list else error)
        return stream(case, (*gemini_event(draft, (case.picture("draft-0"),)), *last))

    return play


def _array(case: Case) -> Script:
    """Shape C's stream without `alt=sse`: a list of chunks, the picture in one of them."""
    data = {"mimeType": case.ask.media_type, "data": token(0)}
    chunks = [
        build_gemini_chunk(case.ask, {"text": "Drawing.", "thought": True}),
        build_gemini_chunk(case.ask, {"inlineData": data}),
        build_gemini_chunk(case.ask, {"text": ""}, finish_reason="STOP"),
    ]
    return answer(case, render(chunks, (case.picture(),)))


def _drafts_only(case: Case) -> Script:
    if case.ask.shape == "gemini":
        data = {"mimeType": case.ask.media_type, "data": token(0)}
        chunk = build_gemini_chunk(case.ask, {"inlineData": data, "thought": True})
        return stream(case, gemini_event(chunk, (case.picture("draft-0"),)))
    draft = {
        "type": "image_generation.partial_image",
        "partial_image_index": 0,
        "b64_json": token(0),
    }
    return stream(case, event(render(draft, (case.picture("draft-0"),))))


def _json_then_done(case: Case) -> Script:
    return answer(case, (*json_body(case), b"\n\n", DONE))


STREAM_FAULTS: Final = (
    fine("F10_padding", "60 white space chunks, then a good answer", _padded),
    lost("F11_padding_only", "200, white space, and a proper end", _padding_then_end),
    lost("F11_padding_closed", "200, white space, connection closed", _padding_then_close),
    lost(
        "F11_endless_padding",
        "white space without end",
        _endless_padding,
        wanted="timeout",
        calls=ONCE,
        argument="seconds between",
    ),
    lost(
        "F11_endless_comments",
        "event stream comments without end",
        _endless_comments,
        wanted="timeout",
        calls=ONCE,
        argument="seconds between",
    ),
    fine(
        "F12_comments",
        "event stream with comments, in small segments",
        _comments,
        argument="bytes a segment",
    ),
    fine(
        "F12_segments",
        "a good answer a few bytes at a time",
        _segments,
        argument="bytes a segment, default 7",
    ),
    fine(
        "F12_split",
        "a good answer in two segments",
        _split,
        argument="offset of the cut from the picture's marker",
    ),
    fine(
        "F12_big_line",
        "a 10 MiB picture in one line of a stream",
        _big_line,
        shapes=("chat", "gemini"),
        argument="bytes",
    ),
    fine("F12_pretty_json", "JSON with much white space, also before colons", _pretty),
    fine(
        "F12_decoy",
        "text before the picture quotes the picture's marker",
        _decoy,
    ),
    lost(
        "F09_stream_error",
        "event stream: something, then an error",
        _stream_error("server_error", "Provider disconnected"),
        shapes=OPENAI_SHAPES,
        calls=UNBILLED,
        billed=False,
    ),
    lost(
        "F09_stream_error_code",
        "event stream: something, then error 502",
        _stream_error(502, "Provider returned error"),
        shapes=OPENAI_SHAPES,
        calls=UNBILLED,
        billed=False,
    ),
    lost(
        "F09_stream_moderation",
        "event stream: something, then moderation_blocked",
        _stream_error("moderation_blocked", "Your request was rejected by the safety system."),
        shapes=OPENAI_SHAPES,
        wanted="content_blocked",
        calls=ONCE,
        billed=False,
    ),
    lost(
        "F09_gemini_error",
        "event stream: a thought and its draft, then error 503",
        _gemini_error(503),
        shapes=_GEMINI,
        calls=UNBILLED,
        billed=False,
    ),
    lost(
        "F09_gemini_error_list",
        "event stream: a thought and its draft, then error 500 in a list",
        _gemini_error(500, in_list=True),
        shapes=_GEMINI,
        calls=UNBILLED,
        billed=False,
    ),
    lost(
        "F09_drafts_only",
        "event stream ends after a draft",
        _drafts_only,
        shapes=("images", "gemini"),
        also=("no_image",),
    ),
    fine(
        "F30_stream_unasked",
        "an event stream though none was asked for",
        lambda case: stream(case, build_events(case)),
    ),
    fine("F30_json_then_done", "JSON, then data: [DONE]", _json_then_done),
    fine(
        "F30_json_array",
        "a list of chunks, as streamGenerateContent gives without alt=sse",
        _array,
        shapes=_GEMINI,
    ),
    fine(
        "F30_json_anyway",
        "JSON though a stream was asked for",
        lambda case: answer(case, json_body(case)),
    ),
)
