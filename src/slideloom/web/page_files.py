"""The page's own files: compressed once, and under an address that changes when they do."""

import gzip
import hashlib
import re
from pathlib import Path

from msgspec import Struct
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from slideloom.web.file_ranges import settle_range

IMMUTABLE = "public, max-age=31536000, immutable"
"""Of what never changes under its address."""
_PACKED = {".css", ".html", ".js", ".json", ".svg"}
_PACKED_FROM_BYTES = 1000
"""What is smaller fits into one packet anyway."""
_VERSION = re.compile(r"v-[0-9a-f]{12}")
_CODE = re.compile(r'"/static/(?=[\w./-]+\.(?:js|css)")')


class _Packed(Struct, frozen=True):
    """A file's compressed bytes."""

    etag: str
    """Of the file they were made of."""
    body: bytes


class PageFiles(StaticFiles):
    """`/static/<name>` is asked for each time, `/static/<version>/<name>` once.

    Modules name each other relatively, so what the page loads by version stays below it.
    The image folder may lie in the files' folder; it is not among them.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(directory=folder)
        self._folder = folder
        self._version = ""
        self._packed: dict[str, _Packed] = {}

    async def name_version(self, page: str) -> str:
        """The page's text, its scripts and styles named by their present version."""
        self._version = await run_in_threadpool(_to_version, self._folder)
        return _CODE.sub(f'"/static/{self._version}/', page)

    async def get_response(self, path: str, scope: Scope) -> Response:
        """See `StaticFiles`."""
        first, *rest = Path(path).parts or (".",)
        if _VERSION.fullmatch(first) and rest:  # an old page's too: better new files than none
            path = str(Path(*rest))
        if Path(path).parts[:1] == ("assets",):
            raise HTTPException(404)
        answer = await super().get_response(path, scope)
        if isinstance(answer, FileResponse):
            settle_range(answer, scope)
            answer = await self._pack(answer, Headers(scope=scope))
        answer.headers["Cache-Control"] = IMMUTABLE if first == self._version else "no-cache"
        return answer

    async def _pack(self, whole: FileResponse, asked: Headers) -> Response:
        """The same compressed, if it is worth it and the reader takes it."""
        path, size_bytes = Path(whole.path), int(whole.headers["content-length"])
        if path.suffix not in _PACKED or size_bytes < _PACKED_FROM_BYTES:
            return whole
        whole.headers["Vary"] = "Accept-Encoding"
        if "gzip" not in asked.get("accept-encoding", "") or "range" in asked:
            return whole
        etag = whole.headers["etag"]
        packed = self._packed.get(str(path))
        if packed is None or packed.etag != etag:
            packed = _Packed(etag, await run_in_threadpool(_compress, path))
            self._packed[str(path)] = packed
        kept = ("etag", "last-modified", "vary")
        headers = {name: whole.headers[name] for name in kept}
        headers["Content-Encoding"] = "gzip"
        return Response(packed.body, headers=headers, media_type=whole.media_type)


def _compress(path: Path) -> bytes:
    return gzip.compress(path.read_bytes(), mtime=0)


def _to_version(folder: Path) -> str:
    """Changes when a file of the page does."""
    facts = hashlib.sha256()
    for path in sorted([*folder.glob("*.*"), *folder.glob("vendor/*.js")]):
        state = path.stat()
        facts.update(f"{path.name} {state.st_mtime_ns} {state.st_size}\n".encode())
    return f"v-{facts.hexdigest()[:12]}"
