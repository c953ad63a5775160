"""Which part of a file a reader asks for, where it is no part that there is."""

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, MalformedRangeHeader, RangeNotSatisfiable
from starlette.types import Scope


def settle_range(file: FileResponse, scope: Scope) -> None:
    """Take what is no range out of the request, so that the whole file is its answer.

    Starlette would answer in plain text. Source: RFC 9110, sections 14.2 and 15.5.17.

    Raises:
        HTTPException: 416, the file has no such part.
    """
    asked = Headers(scope=scope)
    text, tag = asked.get("range"), asked.get("if-range")
    if text is None or (tag is not None and not file._should_use_range(tag)):  # noqa: SLF001
        return
    size_bytes = int(file.headers["content-length"])
    try:
        file._parse_range_header(text, size_bytes)  # noqa: SLF001 - as it will read it itself
    except MalformedRangeHeader:
        scope["headers"] = [line for line in scope["headers"] if line[0] != b"range"]
    except RangeNotSatisfiable as error:
        raise no_such_part(size_bytes) from error


def no_such_part(size_bytes: int) -> HTTPException:
    """What is answered for a part that begins behind the end."""
    return HTTPException(416, headers={"Content-Range": f"bytes */{size_bytes}"})
