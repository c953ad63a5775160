"""Bodies in and out: JSON read with every limit, structs written.

What is declared as something else does not come so far: `Doors` has refused it, empty bodies apart.
"""

import codecs
import contextlib
import re
from typing import TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from slideloom.errors import BodyTooLarge, InvalidRequest, MalformedBody
from slideloom.web.doors import refuse_other_types

MAX_BODY_BYTES = 2 * 1024 * 1024
"""Source: contract section 6."""

_T = TypeVar("_T")


async def read_json(request: Request, kind: type[_T]) -> _T:
    """The request's body as a `kind`; numbers may come as `"1"` or `1.0`.

    Raises:
        NotJson: it is empty, and not declared as JSON.
        BodyTooLarge: over 2 MB, declared or not.
        MalformedBody: not JSON.
        InvalidRequest: JSON of another shape.
    """
    refuse_other_types(request.headers.get("content-type", ""))
    return parse_json(await _read_limited(request), kind)


async def read_json_or_nothing(request: Request, kind: type[_T]) -> _T | None:
    """As `read_json`; `None` where no body was sent.

    Raises:
        BodyTooLarge, MalformedBody, InvalidRequest: as `read_json`.
    """
    body = await _read_limited(request)
    return parse_json(body, kind) if body else None


def parse_json(body: bytes, kind: type[_T]) -> _T:
    """`body` as a `kind`.

    Raises:
        MalformedBody: not JSON, or deeper than the parser goes.
        InvalidRequest: JSON of another shape.
    """
    if not body or body.startswith(codecs.BOM_UTF8):
        raise MalformedBody("it begins with a byte-order mark" if body else "it is empty")
    try:
        # The whole text first: the parser does not look at the bytes of unknown keys.
        text = body.decode("utf-8")
        try:
            return msgspec.json.decode(text, type=kind, strict=False)
        except msgspec.ValidationError as error:
            _refuse_broken_rest(text)
            message, _, place = str(error).partition(" - at `")
            raise InvalidRequest(message, ("body", *_parse_place(place.rstrip("`")))) from error
    except msgspec.DecodeError as error:
        raise MalformedBody(str(error)) from error
    except UnicodeDecodeError as error:
        reason = f"not UTF-8 at byte {error.start}"
        raise MalformedBody(reason) from error
    except RecursionError as error:
        reason = "nested too deep"
        raise MalformedBody(reason) from error


def read_count(request: Request, name: str, *, most: int, default: int | None = None) -> int:
    """The number 1 to `most` that the query gives as `name`.

    Raises:
        InvalidRequest: it is none, or missing without a default.
    """
    text = request.query_params.get(name)
    if text is None and default is not None:
        return default
    if text is None or re.fullmatch(r"[0-9]{1,9}", text) is None or not 1 <= int(text) <= most:
        message = f"{name} must be 1 to {most}"
        raise InvalidRequest(message, ("query", name))
    return int(text)


def json_response(
    content: object, *, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """`content` as JSON."""
    return Response(
        msgspec.json.encode(content), status, headers=headers, media_type="application/json"
    )


async def _read_limited(request: Request) -> bytes:
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared[:20]) > MAX_BODY_BYTES:
        raise BodyTooLarge(MAX_BODY_BYTES)
    pieces, size_bytes, is_last = [], 0, False
    while not is_last:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        pieces.append(message.get("body", b""))
        is_last = not message.get("more_body", False)
        size_bytes += len(pieces[-1])
        if size_bytes > MAX_BODY_BYTES:
            raise BodyTooLarge(MAX_BODY_BYTES)
    return b"".join(pieces)


def _refuse_broken_rest(text: str) -> None:
    """Raise what is wrong with the JSON behind the first wrong value, if anything is."""
    with contextlib.suppress(msgspec.ValidationError):
        msgspec.json.decode(text)


def _parse_place(path: str) -> tuple[str | int, ...]:
    """Read msgspec's `$.slides[0].title` as `("slides", 0, "title")`."""
    parts = path.removeprefix("$").replace("[", ".").replace("]", "").split(".")
    return tuple(int(part) if part.isdecimal() else part for part in parts if part)
