"""The file host: pictures behind addresses, for answers by URL; a name says how it behaves."""

import re
from collections import Counter
from typing import Final

from tests.support.upstream.answers import render_head
from tests.support.upstream.envelopes import html_page
from tests.support.upstream.scripts import Case, refuse
from tests.support.upstream.steps import Hang, Script, Send, Shut

_NAME_PATTERN: Final = re.compile(r"/files/([a-z]+)(\d*)-(\d+)\.(?:png|jpg|webp)")
_KEPT: Final = 4096
"""Calls whose files are remembered."""


class FileHost:
    """Files of the calls of one plan: `/files/<kind><n>-<call>.png`."""

    def __init__(self) -> None:
        self._cases: dict[int, Case] = {}
        self._asked: Counter[str] = Counter()

    def remember(self, case: Case) -> None:
        """Have the files of a call ready."""
        self._cases[case.number] = case
        if len(self._cases) > _KEPT:
            del self._cases[next(iter(self._cases))]

    def serve(self, path: str, origin: str) -> tuple[int, Script]:
        """The answer to a download, and its status."""
        found = _NAME_PATTERN.fullmatch(path)
        case = self._cases.get(int(found[3])) if found else None
        if found is None or case is None:
            return 404, refuse(404, b"no such file\n", media_type="text/plain")
        self._asked[path] += 1
        kind = found[1]
        if kind in {"late", "broken"} and self._asked[path] > int(found[2] or 0):
            kind = "ok"
        return _play(kind, case, f"{origin}{path}")


def _play(kind: str, case: Case, address: str) -> tuple[int, Script]:  # noqa: PLR0911 - a table
    picture, media_type = case.raw_picture(), case.ask.media_type
    match kind:
        case "denied":
            return 403, _xml(403, b"<Error><Code>AccessDenied</Code></Error>")
        case "gone" | "late":
            return 404, _xml(404, b"<Error><Code>NoSuchKey</Code></Error>")
        case "broken":
            return 503, refuse(503, html_page(503, "Slow Down"), media_type="text/html")
        case "redirect" | "loop" | "private":
            return 302, _redirect(kind, case, address)
        case "html":
            return 200, refuse(200, html_page(200, "Sign in"), media_type="text/html")
        case "cut":
            head = render_head(200, media_type=media_type, length=len(picture), close=True)
            return 200, (Send((head, picture[: len(picture) // 2])), Shut())
        case "silent":
            return 0, (Hang(),)
        case _:
            declared = "application/octet-stream" if kind == "wrongtype" else media_type
            return 200, refuse(200, picture, media_type=declared)


def _xml(status: int, body: bytes) -> Script:
    return refuse(status, body, media_type="application/xml")


def _redirect(kind: str, case: Case, address: str) -> Script:
    target = {
        "redirect": f"{address.rpartition('/')[0]}/ok-{case.number}.png",
        "loop": address,
        "private": "http://169.254.169.254/latest/meta-data/iam.png",
    }[kind]
    return refuse(302, b"", headers=(("Location", target),), media_type="text/plain")
