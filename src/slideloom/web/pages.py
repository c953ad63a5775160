"""Files: the page, the API viewer, and the pictures."""

import html
import mimetypes
import os
import re
from pathlib import Path
from typing import Final

from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from slideloom.domain.images import NotAPicture
from slideloom.domain.status import ASSETS_PATH
from slideloom.errors import StoreError
from slideloom.web.endpoint import services
from slideloom.web.far_pictures import answer_far
from slideloom.web.file_ranges import settle_range
from slideloom.web.page_files import IMMUTABLE, PageFiles
from slideloom.web.problems import reader_language

PAGE_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'"
)
VIEWER_CSP = PAGE_CSP.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")
"""The vendored viewer styles its own shadow trees inline."""
_PREFIX_META = 'name="api-prefix" content="/api"'
"""Where the page reads the API's prefix."""
_PROVIDER_META = 'name="provider" content=""'
"""Where it reads who makes the pictures, so that it need not ask before it shows anything."""
_SIGN_IN_META = 'name="sign-in" content=""'
"""Where it reads whether the service wants a token."""
_ENGLISH, _CHINESE = ('<html lang="en">', "/words-en.js"), ('<html lang="zh-CN">', "/words-zh.js")
"""What it says of its language before the script has a look at what the reader chose."""
_PICTURE_NAME = re.compile(r"slide_(?:[0-9]{3,}_)?[0-9a-f]{32}\.(?:png|jpg|webp)")
FOLDERS: Final = ("/static/", ASSETS_PATH)
"""Of files: the page's own, and the pictures."""
_WIDTHS_PX = {"320": 320, "640": 640, "1280": 1280}
"""Of small copies, by the query's `w`: few, because each is kept."""


class _Pictures(StaticFiles):
    """The kept pictures, each as nothing but a picture."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        if _PICTURE_NAME.fullmatch(path) is None:
            raise HTTPException(404)  # whatever else lies in the folder is nobody's business
        small = await _find_small(path, scope)
        response = small or await self._find_whole(path, scope)
        response.headers["Content-Security-Policy"] = "sandbox; default-src 'none'"
        # Whoever knows its name may show it: other front-ends do.
        response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        if response.status_code in {200, 206, 304}:
            # Its name is made for it alone.
            response.headers["Cache-Control"] = IMMUTABLE
        if _is_to_keep(scope):
            name = path if small is None else f"{Path(path).stem}.webp"
            response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
        return response

    def lookup_path(self, path: str) -> tuple[str, os.stat_result | None]:
        """See `StaticFiles`; a link counts as a link, wherever it leads: it is no picture."""
        whole = os.path.join(self.directory or "", path)  # noqa: PTH118 - as the base class
        try:
            return whole, os.lstat(whole)
        except FileNotFoundError:
            return "", None

    async def _find_whole(self, name: str, scope: Scope) -> Response:
        far = services(Request(scope)).far_images
        if far is not None:
            return await answer_far(far, name, scope)
        answer = await super().get_response(name, scope)
        if isinstance(answer, FileResponse):
            settle_range(answer, scope)
        return answer


def _is_to_keep(scope: Scope) -> bool:
    """Whether the reader wants a file to keep rather than a picture to look at."""
    return QueryParams(scope["query_string"]).get("download") == "1"


async def _find_small(name: str, scope: Scope) -> Response | None:
    """The picture's copy of the wanted width; `None`: it is to come as it is, or is not there."""
    width_px = _WIDTHS_PX.get(QueryParams(scope["query_string"]).get("w", ""))
    if width_px is None or scope["method"] not in {"GET", "HEAD"}:
        return None
    try:
        small = await services(Request(scope)).images.read_small(name, width_px=width_px)
    except (StoreError, NotAPicture):
        return None
    return Response(small, media_type="image/webp")


def page_routes(*, static: Path, images: Path, prefix: str) -> list[BaseRoute]:
    """The routes of the page (`static`), the viewer and the pictures (`images`)."""
    # Not left to the machine: some registries call scripts text/plain.
    mimetypes.add_type("text/javascript", ".js")
    mimetypes.add_type("text/javascript", ".mjs")
    page_files = PageFiles(static)

    async def page(request: Request) -> Response:
        provider = services(request).provider
        text = (static / "index.html").read_text(encoding="utf-8")
        text = await page_files.name_version(text)
        if reader_language(request) == "zh":
            for english, chinese in zip(_ENGLISH, _CHINESE, strict=True):
                text = text.replace(english, chinese)
        text = text.replace(_PREFIX_META, f'name="api-prefix" content="{prefix}"')
        maker = html.escape(f"{provider.name} {provider.model}")
        text = text.replace(_PROVIDER_META, f'name="provider" content="{maker}"')
        if request.app.state.tokens:
            text = text.replace(_SIGN_IN_META, 'name="sign-in" content="needed"')
        headers = {"Content-Security-Policy": PAGE_CSP, "Cache-Control": "no-cache"}
        headers["Vary"] = "Accept-Language"
        return HTMLResponse(text, headers=headers)

    async def viewer(_: Request) -> Response:
        headers = {"Content-Security-Policy": VIEWER_CSP, "Cache-Control": "no-cache"}
        return HTMLResponse((static / "docs.html").read_bytes(), headers=headers)

    return [
        Route("/", page, middleware=[Middleware(GZipMiddleware)]),
        Route(f"{prefix}/docs", viewer),
        Mount("/assets", _Pictures(directory=images, check_dir=False)),
        Mount("/static", page_files),
    ]
