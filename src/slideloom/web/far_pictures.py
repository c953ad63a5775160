"""Pictures that are no files here, passed on to readers as if they were."""

import re
from collections.abc import AsyncIterator
from typing import Final

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse
from starlette.types import Scope

from slideloom.domain.images import MEDIA_TYPES
from slideloom.stores.image_base import FarImages, PicturePiece
from slideloom.web.file_ranges import no_such_part

_RANGE: Final = re.compile(r"bytes=([0-9]{0,15})-([0-9]{0,15})")


async def answer_far(images: FarImages, name: str, scope: Scope) -> Response:
    """The picture, or the part of it that is asked for, piece by piece.

    Its name is made for it alone, so it is its entity tag too.

    Raises:
        HTTPException: another method, or there is none of that name, or no such part of it.
        StoreError: it cannot be read.
    """
    method = scope["method"]
    if method not in {"GET", "HEAD"}:
        raise HTTPException(405, headers={"Allow": "GET, HEAD"})
    asked, etag = Headers(scope=scope), f'"{name}"'
    if _is_known(asked, etag):
        await _measure(images, name)
        return Response(status_code=304, headers={"ETag": etag})
    wanted, first = _read_range(asked, etag), None
    if wanted is None and method == "GET":
        first = await _find(images, name, 0)  # tells its size too: one question less
    size = await _measure(images, name) if first is None else first.whole_bytes
    start, end = (0, size) if wanted is None else _to_span(wanted, size)
    if start >= end:
        raise no_such_part(size)
    headers = {"ETag": etag, "Accept-Ranges": "bytes", "Content-Length": str(end - start)}
    if wanted is not None:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    status, kind = 200 if wanted is None else 206, MEDIA_TYPES[name.rpartition(".")[2]]
    if method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=kind)
    pieces = _stream(images, name, first or await _find(images, name, start), start, end)
    return StreamingResponse(pieces, status_code=status, headers=headers, media_type=kind)


async def _stream(
    images: FarImages, name: str, piece: PicturePiece, start: int, end: int
) -> AsyncIterator[bytes]:
    """The bytes from `start` to `end`, of which `piece` has the first."""
    while True:
        yield piece.data[: end - start]
        start += len(piece.data)
        if start >= end:
            return
        piece = await _find(images, name, start)


async def _find(images: FarImages, name: str, start: int) -> PicturePiece:
    piece = await images.find_piece(name, start=start)
    if piece is None:
        raise HTTPException(404)
    return piece


async def _measure(images: FarImages, name: str) -> int:
    sizes = await images.measure([name])
    if name not in sizes:
        raise HTTPException(404)
    return sizes[name]


def _is_known(asked: Headers, etag: str) -> bool:
    """Whether the reader has the picture already."""
    tags = asked.get("if-none-match", "").split(",")
    return any(tag.strip().removeprefix("W/") in {etag, "*"} for tag in tags)


def _read_range(asked: Headers, etag: str) -> re.Match[str] | None:
    """The one part that is asked for; several at once are answered by the whole, as they may be."""
    wanted = _RANGE.fullmatch(asked.get("range", ""))
    is_ours = asked.get("if-range", etag) == etag
    return wanted if wanted is not None and any(wanted.groups()) and is_ours else None


def _to_span(wanted: re.Match[str], size: int) -> tuple[int, int]:
    """Where it begins, and where it has ended; empty when the picture has no such part."""
    first, last = wanted.groups()
    if not first:
        return max(0, size - int(last)), size
    return int(first), min(size, int(last) + 1) if last else size
