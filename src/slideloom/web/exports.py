"""Decks to take home, and the original service's own export."""

import re
from collections.abc import Mapping
from typing import Annotated
from urllib.parse import quote

from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from slideloom.domain.album import Album, AlbumPage, in_page_order, to_album
from slideloom.domain.ratio import RATIO_PATTERN
from slideloom.domain.request import MAX_SLIDES, read_ratio
from slideloom.domain.status import ASSETS_PATH
from slideloom.exports.exporter import FileKind, MadeFile
from slideloom.web.batches import BATCH_ID
from slideloom.web.bodies import read_json
from slideloom.web.callers import get_named_batch
from slideloom.web.endpoint import Endpoint, Handler, services

_TYPES = {
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "pdf": "application/pdf",
    "zip": "application/zip",
}
_PICTURE_URL = re.compile(
    rf"(?:(?:https?:)?//[^/?#]*)?{ASSETS_PATH}(?P<name>[^/?#]+)(?:[?#].*)?", re.DOTALL
)
"""On whatever host the page was: only the name counts, nothing is fetched."""
_MOST_PAGE = 2**63 - 1
"""No page has it; but the numbers that are missing stand in a header."""
_NAME_CHARS, _NAME_BYTES = 80, 240
"""Of a file's name without its ending; file systems take 255 bytes."""
_UNFIT_FOR_NAMES = re.compile(
    r'[\x00-\x1f\x7f-\x9f<>:"/\\|?*\u061c\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]+'
)
"""What some file systems, or headers, do not take; what is not seen, or turns what is around."""


_RatioText = Annotated[
    str, Meta(extra_json_schema={"pattern": f"^$|{RATIO_PATTERN}", "examples": ["16:9"]})
]
"""Empty is as none: said to readers of the reference, decided by `read_ratio`."""


class ProjectSlide(Struct, frozen=True, kw_only=True):
    """One page of the original's project."""

    page_num: Annotated[int, Meta(ge=-_MOST_PAGE, le=_MOST_PAGE)] | None = None
    title: str = ""
    content_text: str | None = None
    image_url: str | None = None
    """Only our own `/assets/` names are opened; a page without one is left out."""


class Project(Struct, frozen=True, kw_only=True):
    """A deck as the original's interface keeps it; what else it sends is ignored."""

    slides: Annotated[tuple[ProjectSlide, ...], Meta(min_length=1, max_length=MAX_SLIDES)]
    title: str | None = None
    aspect_ratio: _RatioText | None = None


class ExportRequest(Struct, frozen=True, kw_only=True):
    """The body of the original's export."""

    project: Project
    file_name: str | None = None
    """Of the file; default the project's title."""


class Download(StreamingResponse):
    """A file to keep; what it holds open is let go when the sending ends, however it does."""

    def __init__(self, made: MadeFile, *, kind: FileKind, name: str = "") -> None:
        """Take the file, and its name if that is not the deck's title."""
        headers = {**_headers(made.album, kind, name), "Content-Length": str(made.size_bytes)}
        super().__init__(made.pieces, headers=headers, media_type=_TYPES[kind])
        self._made = made

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._made.close()


async def export_pptx(request: Request) -> Response:
    """The batch as PowerPoint file."""
    album = await _find_album(request)
    return Download(await services(request).exporter.make_pptx(album), kind="pptx")


async def export_pdf(request: Request) -> Response:
    """The batch as PDF."""
    album = await _find_album(request)
    return Download(await services(request).exporter.make_pdf(album), kind="pdf")


async def export_zip(request: Request) -> Response:
    """The batch's pictures in a ZIP, made while it is sent."""
    album = await _find_album(request)
    return Download(await services(request).exporter.open_zip(album), kind="zip")


async def export_project(request: Request) -> Response:
    """The original's export: a project's pictures as PowerPoint file."""
    asked = await read_json(request, ExportRequest)
    exporter = services(request).exporter
    album = await exporter.find_pages(_to_album(asked.project))
    name = (asked.file_name or "").removesuffix(".pptx")
    return Download(await exporter.make_pptx(album), kind="pptx", name=name)


async def _find_album(request: Request) -> Album:
    timeline = await get_named_batch(request)
    return await services(request).exporter.find_pages(to_album(timeline.state))


def _to_album(project: Project) -> Album:
    pages, missing = [], []
    for place, slide in enumerate(project.slides, 1):
        found = _PICTURE_URL.fullmatch(slide.image_url or "")
        if found is None:
            missing.append(slide.page_num or place)
            continue
        pages.append(
            AlbumPage(
                image=found["name"],
                page_num=slide.page_num or place,
                title=slide.title,
                notes=slide.content_text or "",
            )
        )
    return Album(
        title=project.title or project.slides[0].title,
        ratio=read_ratio(project.aspect_ratio),
        pages=in_page_order(pages),
        missing=tuple(missing),
    )


def _headers(album: Album, kind: FileKind, name: str = "") -> Mapping[str, str]:
    """The file's name, and the page numbers that are not in it."""
    wanted = " ".join(_UNFIT_FOR_NAMES.sub(" ", name or album.title).split())[:_NAME_CHARS]
    short = wanted.encode()[:_NAME_BYTES].decode(errors="ignore")
    file_name = quote(f"{short.strip(' .') or 'slides'}.{kind}")
    plain = f'attachment; filename="slides.{kind}"'
    headers = {"Content-Disposition": f"{plain}; filename*=UTF-8''{file_name}"}
    if album.missing:
        headers["X-Missing-Slides"] = ", ".join(map(str, album.missing))
    return headers


_PROBLEMS = (404, 409, 503, 507)

_BATCH_EXPORTS: Mapping[FileKind, tuple[Handler, str]] = {
    "pptx": (export_pptx, "The finished slides as PowerPoint file"),
    "pdf": (export_pdf, "The finished slides as PDF"),
    "zip": (export_zip, "The finished slides' pictures in a ZIP"),
}

ENDPOINTS = (
    *(
        Endpoint(
            method="GET",
            path=f"/slide/batch/{{batch_id}}/export.{kind}",
            handler=handler,
            summary=summary,
            tag="Exports",
            answers={200: None},
            media_type=_TYPES[kind],
            problems=_PROBLEMS,
            parameters=(BATCH_ID,),
        )
        for kind, (handler, summary) in _BATCH_EXPORTS.items()
    ),
    Endpoint(
        method="POST",
        path="/export/pptx",
        handler=export_project,
        summary="A project's pictures as PowerPoint file, as the original service makes it",
        tag="Exports",
        body=ExportRequest,
        answers={200: None},
        media_type=_TYPES["pptx"],
        problems=(400, 409, 413, 415, 422, 503, 507),
    ),
)
