"""Faults of the picture itself: broken base64, broken bytes, unexpected types and sizes."""

import struct
import zlib
from collections.abc import Callable
from functools import cache
from typing import Final, Unpack

import pybase64

from tests.support.upstream.answers import token
from tests.support.upstream.asks import Ask
from tests.support.upstream.faults.base import (
    MAYBE_BILLED,
    ONCE,
    Fault,
    Options,
    Player,
    fine,
)
from tests.support.upstream.plan import MediaType, Shape
from tests.support.upstream.scripts import Case, build_skeleton, reply
from tests.support.upstream.steps import Script

_ROOM_BYTES: Final = 3_000
"""Random padding that makes sure base64 holds every letter of its alphabet."""
_LINE_CHARS: Final = 76
"""MIME's line length."""
_BOMB_PX: Final = 12_000


def _with_base64(change: Callable[[bytes], bytes]) -> Player:
    """The good picture, its base64 changed."""
    return lambda case: reply(
        case, build_skeleton(case), [(change(pybase64.b64encode(_uneven(case))),)]
    )


def _with_bytes(change: Callable[[bytes], bytes], media_type: MediaType | None = None) -> Player:
    """The good picture, its bytes changed; what is declared stays."""

    def play(case: Case) -> Script:
        raw = change(case.raw_picture(media_type=media_type))
        return reply(case, build_skeleton(case), [(pybase64.b64encode(raw),)])

    return play


def _uneven(case: Case) -> bytes:
    """The picture at a size that needs padding in base64 (6 k + 4 bytes)."""
    least = max(len(case.raw_picture()) + _ROOM_BYTES, case.plan.image_bytes)
    plate = case.plate(size_bytes=least + (4 - least) % 6)
    return plate.raw(case.stamp())


def _break(name: str, about: str, script: Player, **more: Unpack[Options]) -> Fault:
    options: Options = {"wanted": "invalid_image", "calls": MAYBE_BILLED, **more}
    return fine(name, about, script, **options)


def _lines(data: bytes, line_end: bytes) -> bytes:
    return line_end.join(
        data[start : start + _LINE_CHARS] for start in range(0, len(data), _LINE_CHARS)
    )


BASE64_FAULTS: Final = (
    _break(
        "F14_bad_letters",
        "base64 with !! in its middle",
        _with_base64(lambda b64: b64[:400] + b"!!" + b64[402:]),
    ),
    _break(
        "F14_cut",
        "base64 cut to a length of 4 k + 1",
        _with_base64(lambda b64: b64[: len(b64) // 8 * 4 + 1]),
    ),
    _break(
        "F14_cut_even",
        "base64 cut to a length of 4 k",
        _with_base64(lambda b64: b64[: len(b64) // 8 * 4]),
    ),
    _break(
        "F14_early_padding",
        "base64 with = inside",
        _with_base64(lambda b64: b64[:400] + b"==" + b64[402:]),
    ),
    _break(
        "F14_no_padding",
        "base64 without =",
        _with_base64(lambda b64: b64.rstrip(b"=")),
        may_succeed=True,
    ),
    _break(
        "F14_newlines",
        r"base64 with \n every 76",
        _with_base64(lambda b64: _lines(b64, rb"\n")),
        may_succeed=True,
    ),
    _break(
        "F14_crlf",
        r"base64 with \r\n every 76",
        _with_base64(lambda b64: _lines(b64, rb"\r\n")),
        may_succeed=True,
    ),
    _break(
        "F14_raw_newlines",
        "base64 with bare line feeds, so the JSON is broken too",
        _with_base64(lambda b64: _lines(b64, b"\n")),
        also=("upstream_unavailable",),
        may_succeed=True,
    ),
    _break(
        "F14_url_safe",
        "base64 of the URL-safe alphabet",
        _with_base64(lambda b64: b64.translate(bytes.maketrans(b"+/", b"-_"))),
        may_succeed=True,
    ),
    _break(
        "F12_escaped_slashes",
        r"every / of base64 written as \/",
        _with_base64(lambda b64: b64.replace(b"/", rb"\/")),
        wanted=None,
        calls=ONCE,
    ),
    _break(
        "F12_unicode_escapes",
        r"/, + and = of base64 written as \u002f, \u002B, \u003d",
        _with_base64(
            lambda b64: (
                b64.replace(b"/", rb"\u002f").replace(b"+", rb"\u002B").replace(b"=", rb"\u003d")
            ),
        ),
        wanted=None,
        calls=ONCE,
    ),
)


@cache
def _build_bomb() -> bytes:
    """A small PNG of 144 megapixels."""

    def build(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    rows = zlib.compress(bytes((_BOMB_PX // 8 + 1) * _BOMB_PX), 9)
    header = struct.pack(">IIBBBBB", _BOMB_PX, _BOMB_PX, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + build(b"IHDR", header) + build(b"IDAT", rows) + build(b"IEND", b"")
    )


def _spoil_data(raw: bytes) -> bytes:
    spot = raw.index(b"IDAT") + 4
    return raw[:spot] + b"\xff\xff\xff\xff" + raw[spot + 4 :]


BYTES_FAULTS: Final = (
    _break(
        "F15_text", "the bytes are prose", _with_bytes(lambda _: b"This is not a picture. " * 40)
    ),
    _break(
        "F15_html",
        "the bytes are an HTML page",
        _with_bytes(lambda _: b"<!DOCTYPE html><html></html>" * 20),
    ),
    _break("F15_zeros", "the bytes are zeros", _with_bytes(lambda raw: bytes(len(raw)))),
    _break("F15_gif", "the bytes are a GIF", _with_bytes(lambda _: b"GIF89a\x01\0\x01\0\0\0\0;")),
    _break(
        "F15_svg",
        "the bytes are an SVG",
        _with_bytes(lambda _: b'<svg xmlns="http://www.w3.org/2000/svg"/>'),
    ),
    _break(
        "F15_signature_only",
        "only PNG's first 8 bytes",
        _with_bytes(lambda raw: raw[:8], "image/png"),
    ),
    _break(
        "F15_png_no_iend",
        "a PNG cut before its end",
        _with_bytes(lambda raw: raw[:-40], "image/png"),
    ),
    _break(
        "F15_jpeg_no_eoi",
        "a JPEG cut before its end",
        _with_bytes(lambda raw: raw[:-200], "image/jpeg"),
    ),
    _break(
        "F15_webp_short",
        "a WebP shorter than it says",
        _with_bytes(lambda raw: raw[:-200], "image/webp"),
    ),
    _break("F15_bomb", "a PNG of 144 megapixels in 18 KB", _with_bytes(lambda _: _build_bomb())),
    _break(
        "F15_png_spoilt",
        "a PNG whole in form, its data spoilt: only decoding shows it",
        _with_bytes(_spoil_data, "image/png"),
        may_succeed=True,
    ),
)


def _true_type(media_type: MediaType) -> Player:
    """Declares what was asked for; the bytes are of another type."""
    return lambda case: reply(
        case, build_skeleton(case), [(pybase64.b64encode(case.raw_picture(media_type=media_type)),)]
    )


def _declared(prefix: str) -> Player:
    """A data URL with odd words before its base64."""

    def play(case: Case) -> Script:
        skeleton = build_skeleton(case)
        skeleton["choices"][0]["message"]["images"][0]["image_url"]["url"] = prefix + token(0)
        return reply(case, skeleton, [case.picture()])

    return play


def _no_media_type(case: Case) -> Script:
    skeleton = build_skeleton(case)
    skeleton["data"] = [{"b64_json": token(0)}]
    return reply(case, skeleton, [case.picture()])


def _gateway(case: Case) -> Script:
    skeleton = build_skeleton(case)
    skeleton["data"] = [{"url": "", "b64_json": token(0), "revised_prompt": ""}]
    return reply(case, skeleton, [case.picture()])


def _sized(choose: Callable[[Ask], tuple[int, int]]) -> Player:
    """A picture of other pixels than asked for."""
    return lambda case: reply(
        case, build_skeleton(case), [case.plate(size_px=choose(case.ask)).b64(case.stamp())]
    )


def _part(build: Callable[[str], dict[str, object]]) -> Player:
    """Shape C, its only part written otherwise; `build` takes where the base64 goes."""

    def play(case: Case) -> Script:
        skeleton = build_skeleton(case)
        skeleton["candidates"][0]["content"]["parts"] = [build(token(0))]
        return reply(case, skeleton, [case.picture()])

    return play


_CHAT: Final[tuple[Shape, ...]] = ("chat",)
_IMAGES: Final[tuple[Shape, ...]] = ("images",)
_GEMINI: Final[tuple[Shape, ...]] = ("gemini",)

ODD_PICTURE_FAULTS: Final = (
    fine("F16_jpeg", "declared as asked, the bytes are JPEG", _true_type("image/jpeg")),
    fine("F16_webp", "declared as asked, the bytes are WebP", _true_type("image/webp")),
    fine("F16_png", "declared as asked, the bytes are PNG", _true_type("image/png")),
    fine("F16_no_media_type", "media_type absent", _no_media_type, shapes=_IMAGES),
    fine(
        "F16_gateway",
        "url and revised_prompt are empty strings beside b64_json",
        _gateway,
        shapes=_IMAGES,
    ),
    fine(
        "F16_charset",
        "data:image/png;charset=binary;base64",
        _declared("data:image/png;charset=binary;base64,"),
        shapes=_CHAT,
    ),
    fine("F16_no_type_url", "data:;base64", _declared("data:;base64,"), shapes=_CHAT),
    fine(
        "F16_octet_url",
        "data:application/octet-stream",
        _declared("data:application/octet-stream;base64,"),
        shapes=_CHAT,
    ),
    fine(
        "F16_upper_url", "DATA:IMAGE/PNG;BASE64", _declared("DATA:IMAGE/PNG;BASE64,"), shapes=_CHAT
    ),
    fine(
        "F16_snake_case",
        "inline_data and mime_type instead of inlineData and mimeType",
        _part(lambda data: {"inline_data": {"mime_type": "image/png", "data": data}}),
        shapes=_GEMINI,
    ),
    fine(
        "F16_data_first",
        "data before mimeType",
        _part(lambda data: {"inlineData": {"data": data, "mimeType": "image/png"}}),
        shapes=_GEMINI,
    ),
    fine(
        "F16_no_mime_type",
        "mimeType absent",
        _part(lambda data: {"inlineData": {"data": data}}),
        shapes=_GEMINI,
    ),
    fine(
        "F16_octet_stream",
        "declared application/octet-stream",
        _part(lambda data: {"inlineData": {"mimeType": "application/octet-stream", "data": data}}),
        shapes=_GEMINI,
    ),
    fine("F17_square", "ratio ignored: 1024x1024", _sized(lambda _: (1024, 1024)), ratio_ok=False),
    fine("F17_4_3", "ratio ignored: 1184x864", _sized(lambda _: (1184, 864)), ratio_ok=False),
    fine(
        "F17_turned",
        "width and height swapped",
        _sized(lambda ask: (ask.height_px, ask.width_px)),
        ratio_ok=False,
    ),
    fine(
        "F17_small",
        "fewer pixels, about the ratio",
        _sized(lambda ask: (ask.width_px // 4, ask.height_px // 4)),
    ),
    fine("F17_one_pixel", "1x1 pixel", _sized(lambda _: (1, 1)), ratio_ok=False),
)
