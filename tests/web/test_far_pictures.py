"""Pictures that are no files here come as files would."""

from collections.abc import Collection
from types import SimpleNamespace

import pytest
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Message

from slideloom.errors import StoreError
from slideloom.stores.image_base import PicturePiece
from slideloom.web.far_pictures import answer_far
from slideloom.web.pages import _Pictures

NAME = f"slide_{'a' * 32}.png"
ETAG = f'"{NAME}"'
DATA = bytes(range(100))


class Far:
    """One picture, thirty bytes at a time."""

    def __init__(self) -> None:
        self.asked: list[int | None] = []
        """Where pieces began; `None`: its size."""

    async def find_piece(self, name: str, *, start: int) -> PicturePiece | None:
        self.asked.append(start)
        data = DATA[start : start + 30]
        return PicturePiece(data=data, whole_bytes=len(DATA)) if name == NAME else None

    async def measure(self, names: Collection[str]) -> dict[str, int]:
        self.asked.append(None)
        return {name: len(DATA) for name in names if name == NAME}


async def ask(
    far: Far, name: str = NAME, method: str = "GET", **headers: str
) -> tuple[Response, bytes]:
    """The answer, and its body as it is sent."""
    raw = [(key.replace("_", "-").encode(), value.encode()) for key, value in headers.items()]
    scope = {"type": "http", "method": method, "headers": raw}
    answer = await answer_far(far, name, scope)
    body = b""

    async def send(message: Message) -> None:
        nonlocal body
        body += message.get("body", b"")

    async def receive() -> Message:
        return {"type": "http.request"}

    await answer({**scope, "extensions": {}, "asgi": {"spec_version": "2.4"}}, receive, send)
    return answer, body


async def test_whole_picture_is_asked_for_piece_by_piece_and_for_nothing_else() -> None:
    far = Far()
    answer, body = await ask(far)
    assert (answer.status_code, body) == (200, DATA)
    assert answer.headers["content-length"] == "100"
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["etag"] == ETAG
    assert far.asked == [0, 30, 60, 90]


async def test_picture_that_cannot_be_read_to_its_end_is_no_whole_answer() -> None:
    class Torn(Far):
        async def find_piece(self, name: str, *, start: int) -> PicturePiece | None:
            if start:
                raise StoreError(name)
            return await super().find_piece(name, start=start)

    with pytest.raises(StoreError):
        await ask(Torn())


@pytest.mark.parametrize(
    ("wanted", "start", "end"),
    [
        ("bytes=0-7", 0, 8),
        ("bytes=10-", 10, 100),
        ("bytes=-5", 95, 100),
        ("bytes=-500", 0, 100),
        ("bytes=90-500", 90, 100),
        ("bytes=25-64", 25, 65),
    ],
)
async def test_part_of_it_comes_alone(wanted: str, start: int, end: int) -> None:
    for method in ("GET", "HEAD"):
        answer, body = await ask(Far(), method=method, range=wanted)
        assert answer.status_code == 206
        assert body == (DATA[start:end] if method == "GET" else b"")
        assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/100"
        assert answer.headers["content-length"] == str(end - start)


@pytest.mark.parametrize("wanted", ["bytes=100-", "bytes=500-600", "bytes=-0", "bytes=9-3"])
async def test_part_that_it_has_not_is_416(wanted: str) -> None:
    with pytest.raises(HTTPException) as refusal:
        await ask(Far(), range=wanted)
    assert refusal.value.status_code == 416
    assert refusal.value.headers == {"Content-Range": "bytes */100"}


@pytest.mark.parametrize(
    "headers",
    [
        {"range": "bytes=0-1,5-6"},
        {"range": "bytes=-"},
        {"range": "lines=0-1"},
        {"range": "bytes=0-1", "if_range": '"other"'},
    ],
)
async def test_other_wishes_for_parts_are_answered_by_the_whole(headers: dict[str, str]) -> None:
    answer, body = await ask(Far(), **headers)
    assert (answer.status_code, body) == (200, DATA)


async def test_part_is_sent_when_the_reader_has_the_rest_of_the_same() -> None:
    answer, _ = await ask(Far(), range="bytes=0-1", if_range=ETAG)
    assert answer.status_code == 206


@pytest.mark.parametrize("tags", [ETAG, f"W/{ETAG}", "*", f'"x", {ETAG}'])
async def test_picture_that_the_reader_has_is_not_sent_again(tags: str) -> None:
    answer, body = await ask(far := Far(), if_none_match=tags)
    assert (answer.status_code, body, far.asked) == (304, b"", [None])
    assert answer.headers["etag"] == ETAG


async def test_head_sends_no_body_and_asks_for_none() -> None:
    answer, body = await ask(far := Far(), method="HEAD")
    assert (answer.status_code, body, far.asked) == (200, b"", [None])
    assert answer.headers["content-length"] == "100"


@pytest.mark.parametrize(
    ("headers", "method", "status"),
    [
        ({}, "GET", 404),
        ({}, "HEAD", 404),
        ({"range": "bytes=0-1"}, "GET", 404),
        ({"if_none_match": "*"}, "GET", 404),
        ({}, "POST", 405),
    ],
)
async def test_picture_that_is_not_there_is_404(
    headers: dict[str, str], method: str, status: int
) -> None:
    with pytest.raises(HTTPException) as refusal:
        await ask(Far(), f"slide_{'b' * 32}.png", method, **headers)
    assert refusal.value.status_code == status


@pytest.mark.parametrize(
    ("query", "wanted"), [("download=1", f'attachment; filename="{NAME}"'), ("", None)]
)
async def test_picture_that_is_no_file_here_is_offered_for_download_too(
    query: str, wanted: str | None
) -> None:
    services = SimpleNamespace(far_images=Far())
    app = SimpleNamespace(state=SimpleNamespace(services=services))
    scope = {"type": "http", "method": "GET", "headers": [], "app": app}
    pictures = _Pictures(directory="nowhere", check_dir=False)
    answer = await pictures.get_response(NAME, {**scope, "query_string": query.encode()})
    assert answer.status_code == 200
    assert answer.headers.get("content-disposition") == wanted
    assert answer.headers["content-security-policy"] == "sandbox; default-src 'none'"
