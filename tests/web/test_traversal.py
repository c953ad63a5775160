"""Hundreds of strings that try to leave a folder, in every place that takes a string."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_from_bytes

import pytest

from slideloom.domain.album import Album
from slideloom.domain.ratio import Ratio
from slideloom.stores.names import PICTURE_NAME
from slideloom.web.exports import _headers
from tests.support.escapes import CANARY, ESCAPES, Watch, fill_in, lay_canaries
from tests.support.orders import deck
from tests.support.service import PAGE, Running

pytestmark = pytest.mark.slow

WATCH = Watch()
OUTSIDE = (CANARY.encode(), b"root:x:0", b"[build-system]", b"# Slideloom")
"""What stands in files that nobody may read: ours, the machine's, the repository's."""
AT_ONCE = 32
UNFIT_FOR_A_LINE = re.compile(rb"[\x00-\x20\x7f]")
SESSION_FILE = re.compile(r"[0-9a-f-]{36}_[a-z_]+(?:_\d+){0,2}\.json")


class Place:
    """A service with one deck, a picture, and canaries around its folders."""

    def __init__(self, service: Running, made: dict[str, object], names: dict[str, str]) -> None:
        self.service = service
        self.batch_id, self.session_id = made["batch_id"], made["session_id"]
        self.escapes = [fill_in(text, names) for text in ESCAPES]
        self.picture = names["NAME"]
        self.slots = asyncio.Semaphore(AT_ONCE)
        self.before = read_tree(service.folder)

    def check(self) -> None:
        """Nothing was opened, changed or made outside; what was made has names of ours."""
        folder = self.service.folder
        roots = [folder / part for part in ("data", "logs", "assets")]
        assert WATCH.find_outside(*roots, PAGE) == []
        after = read_tree(folder)
        assert {path: after.get(path) for path in self.before} == self.before
        made = after.keys() - self.before.keys()
        assert [path for path in made if not is_ours(path.relative_to(folder))] == []


def read_tree(folder: Path) -> dict[Path, bytes | None]:
    """Every path below, and what its file holds; the database and the day's log may change."""
    return {
        path: path.read_bytes() if path.is_file() and is_still(path) else None
        for path in folder.rglob("*")
    }


def is_still(path: Path) -> bool:
    return ".sqlite3" not in path.name and not path.name.startswith("pipeline_")


def is_ours(path: Path) -> bool:
    """Whether a file that was made while strings were tried has a name we make."""
    match path.parts:
        case ("assets", name):
            is_draft = re.fullmatch(r"\.part-[0-9a-f]{32}", name) is not None
            return is_draft or PICTURE_NAME.fullmatch(name) is not None
        case ("assets", ".thumbnails" | ".references", name):
            return re.fullmatch(r"(slide|ref)_[0-9a-f_]+\.\w+(\.\d+\.webp)?", name) is not None
        case ("assets", ".thumbnails" | ".references"):
            return True
        case ("logs", "sessions", name):
            return SESSION_FILE.fullmatch(name) is not None
        case _:
            return False


@pytest.fixture
async def place(service: Running, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Place]:
    """A watched service."""
    _, made, _ = await service.post("/slide/batch/generate", deck(1))
    service.services.log_writer.flush()
    name = made["results"][0]["image_url"].rpartition("/")[2]
    names = lay_canaries(service.folder, service.folder / "assets", name)
    here = service.folder / "here"
    here.mkdir()
    monkeypatch.chdir(here)  # whoever writes a relative path writes here
    place = Place(service, made, names)
    WATCH.paths.clear()
    with WATCH.on():
        yield place
        service.services.log_writer.flush()
    place.check()


async def ask(place: Place, target: bytes, *, method: bytes = b"GET", body: bytes = b"") -> bytes:
    """The whole answer to a request whose target is sent exactly so."""
    host, port = place.service.url.removeprefix("http://").split(":")
    head = b"%s %s HTTP/1.1\r\nHost: %s:%s\r\n" % (method, target, host.encode(), port.encode())
    if method == b"POST":
        head += b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body)
    async with place.slots:
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(head + b"Connection: close\r\n\r\n" + body)
        async with asyncio.timeout(30):
            answer = await reader.read()
        writer.close()
    return answer


def spell_often(text: str) -> set[bytes]:
    """The ways in which a string goes into a path: as it is if it can, quoted, all quoted."""
    raw = text.encode("utf-8", "surrogatepass")
    ways = {quote(text, safe="/\\;%").encode(), quote(text, safe="").encode()}
    ways.add(b"".join(b"%%%02x" % byte for byte in raw)[:3000])
    ways.add(quote_from_bytes(raw, safe="./").encode())
    return ways if UNFIT_FOR_A_LINE.search(raw) else {*ways, raw}


def spell_once(text: str) -> set[bytes]:
    """As it is if it can stand so in a path, else quoted as little as can be."""
    return {UNFIT_FOR_A_LINE.sub(_quote, text.encode("utf-8", "surrogatepass"))}


def _quote(byte: re.Match[bytes]) -> bytes:
    return b"%%%02x" % byte[0][0]


async def try_paths(
    place: Place,
    pattern: str,
    *,
    spell: Callable[[str], set[bytes]] = spell_often,
    method: bytes = b"GET",
) -> list[tuple[bytes, bytes]]:
    """Every escape in place of `{}`, spelt so; the targets, and the answers."""
    start, end = (part.encode() for part in pattern.split("{}"))
    targets = sorted({start + way + end for text in place.escapes for way in spell(text)})
    answers = await asyncio.gather(*(ask(place, target, method=method) for target in targets))
    assert len(targets) >= 500
    return list(zip(targets, answers, strict=True))


def find_faults(told: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
    """The targets that were answered with a canary or a fault, or not at all."""
    return [
        target
        for target, answer in told
        if not re.match(rb"HTTP/1.1 [234]\d\d ", answer) or any(word in answer for word in OUTSIDE)
    ]


async def test_no_path_below_assets_leads_to_anything_but_its_pictures(place: Place) -> None:
    told = await try_paths(place, "/assets/{}")
    assert find_faults(told) == []
    own = (place.service.folder / "assets" / place.picture).read_bytes()
    found = [answer for _, answer in told if answer.startswith(b"HTTP/1.1 2")]
    assert found  # some are ways to write its name
    assert all(answer.endswith(own) for answer in found)


async def test_no_path_below_static_leads_out_of_it(place: Place) -> None:
    assert find_faults(await try_paths(place, "/static/{}")) == []
    for start in ("/static/v-0123456789ab/", "/static/vendor/"):
        assert find_faults(await try_paths(place, start + "{}", spell=spell_once)) == []


@pytest.mark.parametrize(
    "pattern",
    [
        "/{}",
        "/api/{}",
        "/api/slide/batch/{}",
        "/api/slide/batch/{}/events",
        "/api/slide/batch/{}/export.zip",
        "/api/sessions/{}/logs",
        "/api/sessions/SESSION{}/logs",
        "/api/slide/batch?cursor={}",
        "/assets/PICTURE?w={}",
    ],
)
async def test_no_id_in_a_path_is_a_path(place: Place, pattern: str) -> None:
    pattern = pattern.replace("PICTURE", place.picture).replace("SESSION", str(place.session_id))
    assert find_faults(await try_paths(place, pattern, spell=spell_once)) == []


@pytest.mark.parametrize(
    "pattern",
    [
        "/api/slide/batch/{}/cancel",
        "/api/slide/batch/BATCH/slides/{}/regenerate",
        "/api/slide/batch/BATCH/slides/{}/versions/1/restore",
        "/api/slide/batch/BATCH/slides/s1/versions/{}/restore",
    ],
)
async def test_no_id_in_a_path_that_is_posted_to_is_one(place: Place, pattern: str) -> None:
    pattern = pattern.replace("BATCH", str(place.batch_id))
    told = await try_paths(place, pattern, spell=spell_once, method=b"POST")
    assert find_faults(told) == []
    assert not any(answer.startswith(b"HTTP/1.1 2") for _, answer in told)


async def test_no_text_of_a_deck_names_a_file(place: Place) -> None:
    texts = [text[:128] for text in place.escapes if text]
    for start in range(0, len(texts), 200):
        slides = [
            {"id": f"{number} {text}"[:128], "title": text, "content_text": text}
            for number, text in enumerate(texts[start : start + 200])
        ]
        body = {"slides": slides, "style_prompt": texts[start], "max_workers": 200}
        status, answer, _ = await place.service.post("/slide/batch/generate", body)
        assert (status, answer["failed"]) == (200, 0)
        names = [result["image_url"].removeprefix("/assets/") for result in answer["results"]]
        assert all(PICTURE_NAME.fullmatch(name) for name in names)


async def test_no_id_of_a_slide_names_a_file_when_it_is_asked_for_again(place: Place) -> None:
    ids = list(dict.fromkeys(text[:128] for text in place.escapes if text))
    for start in range(0, len(ids), 200):
        some = ids[start : start + 200]
        body = {"slides": [{"id": one, "title": ""} for one in some], "style_prompt": ""}
        _, answer, _ = await place.service.post("/slide/batch/generate", body)
        assert [result["slide_id"] for result in answer["results"]] == some
        path = f"/slide/batch/{answer['batch_id']}"
        assert (await place.service.post(f"{path}/retry", {"slide_ids": some}))[0] < 300
        for one in some[::20]:
            told = await ask(
                place,
                f"/api{path}/slides/{quote(one, safe='')}/regenerate".encode(),
                method=b"POST",
            )
            assert told.startswith(b"HTTP/1.1 20"), one


async def post_each(
    place: Place, path: str, bodies: Sequence[Mapping[str, object]], **more: Any
) -> list[tuple[int, Any, Mapping[str, str]]]:
    """What each body is answered with; none with a canary."""

    async def post(body: Mapping[str, object]) -> tuple[int, Any, Mapping[str, str]]:
        async with place.slots:
            return await place.service.post(path, body, **more)

    told = await asyncio.gather(*map(post, bodies))
    assert not any(word.decode() in str(answer) for _, answer, _ in told for word in OUTSIDE)
    return told


@pytest.mark.parametrize("field", ["style_reference", "model", "aspect_ratio"])
async def test_no_other_field_of_a_deck_is_a_path(place: Place, field: str) -> None:
    bodies = [{**deck(1), field: text} for text in place.escapes]
    told = await post_each(place, "/slide/batch/generate", bodies)
    assert {status for status, _, _ in told} <= {200, 422}


async def test_no_picture_of_a_project_is_opened_but_ours(place: Place) -> None:
    addresses = [start + text for text in place.escapes for start in ("", "/assets/", "http://h/")]
    for start in range(0, len(addresses), 200):
        slides = [{"title": "x", "image_url": one} for one in addresses[start : start + 200]]
        url = f"{place.service.url}/api/export/pptx"
        async with place.service.client.post(url, json={"project": {"slides": slides}}) as answer:
            assert answer.status in {200, 409}  # some mean our picture
            assert CANARY.encode() not in await answer.read()


async def test_no_file_name_of_a_project_is_a_path(place: Place) -> None:
    slides = [{"title": "x", "image_url": f"/assets/{place.picture}"}]
    for text in place.escapes[::20]:  # each makes a file, which takes a while
        body = {"project": {"slides": slides, "title": text}, "file_name": text}
        url = f"{place.service.url}/api/export/pptx"
        async with place.service.client.post(url, json=body) as answer:
            assert answer.status == 200
            assert is_harmless(answer.headers["Content-Disposition"])


def is_harmless(disposition: str) -> bool:
    """Whether a file is offered for download under a name without folders."""
    plain = r"attachment; filename=\"slides\.pptx\"; filename\*=UTF-8''[\w.~%-]+\.pptx"
    is_plain = re.fullmatch(plain, disposition) is not None
    return is_plain and not re.search(r"(?i)%(?:2f|5c|00|0d|0a)|''(?:\.|%2e)", disposition)


def test_no_file_is_offered_under_a_path() -> None:
    for text in ESCAPES:
        album = Album(title=text, ratio=Ratio(16, 9), pages=(), missing=())
        for name in (text, ""):
            assert is_harmless(_headers(album, "pptx", name)["Content-Disposition"]), text


@pytest.mark.parametrize("path", ["/slide/batch/status", "/slide/batch/BATCH/retry"])
async def test_no_id_in_a_body_is_a_path(place: Place, path: str) -> None:
    path = path.replace("BATCH", str(place.batch_id))
    bodies = [{"batch_id": text, "slide_ids": [text]} for text in place.escapes]
    told = await post_each(place, path, bodies)
    assert {status for status, _, _ in told} <= {404, 422}


async def test_no_header_that_is_echoed_or_kept_is_a_path(place: Place) -> None:
    sendable = [text for text in place.escapes if text.isascii() and text.isprintable()]
    names = ("Idempotency-Key", "X-Request-Id", "Last-Event-ID", "traceparent")
    for text in sendable[::3]:
        headers = dict.fromkeys(names, text[:255])
        (told,) = await post_each(place, "/slide/batch/generate", [deck(1)], headers=headers)
        assert told[0] in {200, 422}
        assert re.fullmatch(r"[A-Za-z0-9._-]{1,64}", told[2]["X-Request-Id"])


def test_there_are_enough_of_them() -> None:
    assert len(ESCAPES) >= 500


def test_whoever_opened_a_file_outside_would_be_seen(tmp_path: Path) -> None:
    WATCH.paths.clear()
    with WATCH.on():
        (tmp_path / "canary.txt").write_text(CANARY)
        (tmp_path / "link").symlink_to("/etc/passwd")
        (tmp_path / "link").read_bytes()
    assert WATCH.find_outside(tmp_path) == [Path("/etc/passwd").resolve()]
    assert WATCH.find_outside(tmp_path / "x") != WATCH.find_outside(tmp_path)
