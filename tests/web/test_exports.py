"""Decks to take home."""

import io
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pypdfium2
import pytest
from pptx import Presentation

from slideloom.errors import ContentBlocked
from tests.support.orders import deck
from tests.support.parts import ScriptedProvider
from tests.support.pictures import picture
from tests.support.service import Running

XML_REFUSES = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


async def make(service: Running, count: int = 3, **changes: Any) -> dict[str, Any]:
    """A finished batch."""
    _, body, _ = await service.post("/slide/batch/generate", deck(count) | changes)
    return dict(body)


async def fetch(service: Running, path: str) -> tuple[int, bytes, Mapping[str, str]]:
    async with service.client.get(f"{service.url}/api/slide/batch/{path}") as answer:
        return answer.status, await answer.read(), answer.headers


async def test_pptx_has_a_page_a_slide_with_alt_text_and_notes(service: Running) -> None:
    slides = [{"title": "封面 <1>", "content_text": "notes\u0001 here"}, {"title": ""}]
    batch = await make(service, slides=slides, aspect_ratio="4:3")
    status, body, headers = await fetch(service, f"{batch['batch_id']}/export.pptx")
    assert status == 200
    assert "presentationml" in headers["Content-Type"]
    assert "封面 1.pptx" in unquote(headers["Content-Disposition"])
    shown = Presentation(io.BytesIO(body))
    assert shown.slide_width / shown.slide_height == pytest.approx(4 / 3, abs=0.001)
    assert len(shown.slides) == 2
    picture = shown.slides[0].shapes[0]
    assert picture._element.nvPicPr.cNvPr.get("descr") == "封面 <1>"
    assert shown.slides[0].notes_slide.notes_text_frame.text == "封面 <1>\n\nnotes here"
    assert picture.width / picture.height == pytest.approx(16 / 9, abs=0.01), "not distorted"


async def test_pdf_has_a_page_a_slide_of_the_decks_shape(service: Running) -> None:
    batch = await make(service, 4, aspect_ratio="9:16")
    status, body, headers = await fetch(service, f"{batch['batch_id']}/export.pdf")
    assert (status, headers["Content-Type"]) == (200, "application/pdf")
    pages = pypdfium2.PdfDocument(body)
    assert [round(page.get_size()[0] / page.get_size()[1], 3) for page in pages] == [0.562] * 4
    pages.close()


async def test_zip_holds_the_pictures_as_they_are(service: Running) -> None:
    batch = await make(
        service, slides=[{"title": "x", "page_num": 7}, {"title": "y", "page_num": 7}]
    )
    status, body, headers = await fetch(service, f"{batch['batch_id']}/export.zip")
    assert (status, int(headers["Content-Length"])) == (200, len(body))
    packed = zipfile.ZipFile(io.BytesIO(body))
    assert packed.namelist() == ["slide_007.png", "slide_007_2.png"]
    assert packed.testzip() is None
    url = batch["results"][1]["image_url"]
    async with service.client.get(service.url + url) as picture:
        assert packed.read("slide_007_2.png") == await picture.read()


async def test_missing_slides_are_left_out_and_named(
    provider: ScriptedProvider, service: Running
) -> None:
    provider._script = iter([ContentBlocked()])
    batch = await make(service, 3, max_workers=1)
    lost = Path(batch["results"][2]["image_url"]).name
    (service.folder / "assets" / lost).unlink()
    _, body, headers = await fetch(service, f"{batch['batch_id']}/export.zip")
    assert headers["X-Missing-Slides"] == "1, 3"
    assert zipfile.ZipFile(io.BytesIO(body)).namelist() == ["slide_002.png"]


@pytest.mark.parametrize("kind", ["pptx", "pdf", "zip"])
async def test_deck_without_a_picture_is_a_problem(
    provider: ScriptedProvider, service: Running, kind: str
) -> None:
    provider._script = iter([ContentBlocked()])
    batch = await make(service, 1)
    status, body, _ = await fetch(service, f"{batch['batch_id']}/export.{kind}")
    assert (status, b'"no_pictures"' in body) == (409, True)
    assert (await fetch(service, f"nope/export.{kind}"))[0] == 404


async def test_originals_export_takes_a_project(service: Running) -> None:
    batch = await make(service, 2)
    first, second = (result["image_url"] for result in batch["results"])
    project = {
        "template_id": "t",
        "title": "Deck",
        "aspect_ratio": "16:9",
        "slides": [
            {"id": "b", "page_num": 2, "type": "content", "title": "B", "image_url": second},
            {
                "id": "a",
                "page_num": 1,
                "type": "cover",
                "title": "A",
                "image_url": "http://h" + first,
            },
            {"id": "c", "page_num": 3, "type": "ending", "title": "C", "image_url": None},
        ],
    }
    url = f"{service.url}/api/export/pptx"
    async with service.client.post(url, json={"project": project, "file_name": "x.pptx"}) as answer:
        assert answer.status == 200
        assert answer.headers["X-Missing-Slides"] == "3"
        assert "x.pptx" in answer.headers["Content-Disposition"]
        shown = Presentation(io.BytesIO(await answer.read()))
    titles = [page.shapes[0]._element.nvPicPr.cNvPr.get("descr") for page in shown.slides]
    assert titles == ["A", "B"]


@pytest.mark.parametrize(
    "url",
    [
        "/assets/../secret",
        "/assets/%2e%2e/x",
        "file:///etc/passwd",
        "/etc/passwd",
        "//evil/x",
        "/assets/",
        "[",
        "http://[/assets/slide_x.png",
        "http://\u2100/assets/slide_x.png",
        "/assets/%NAME%",
        "/assets/../assets/NAME",
        "/assets/./NAME",
        "/assets//NAME",
        "/assets/x/NAME",
        "/assets/NAME/",
        "/assets/NAME\0",
        "/assets/NAME\n",
        "/assets/NAME;x",
        "/assets\\NAME",
        "/static/assets/NAME",
        "file:///assets/NAME",
        "ftp://host/assets/NAME",
        "javascript:/assets/NAME",
        "NAME",
        "/assets/.hidden",
        "/assets/" + "x" * 9999,
    ],
)
async def test_originals_export_opens_only_pictures_of_ours(service: Running, url: str) -> None:
    batch = await make(service, 1)
    name = Path(batch["results"][0]["image_url"]).name
    encoded = "".join(f"%{ord(letter):02x}" for letter in name)
    (service.folder / "assets" / ".hidden").write_bytes(picture())
    slides = [{"title": "x", "image_url": url.replace("%NAME%", encoded).replace("NAME", name)}]
    status, body, _ = await service.post("/export/pptx", {"project": {"slides": slides}})
    assert (status, body["code"]) == (409, "no_pictures")


@pytest.mark.parametrize(
    "url",
    [
        "/assets/NAME?w=640",
        "/assets/NAME#x",
        "http://localhost:5173/assets/NAME?w=640&x=/y",
        "https://other.example/assets/NAME",
        "//other.example/assets/NAME",
    ],
)
async def test_originals_export_knows_our_pictures_on_whatever_host_the_page_was(
    service: Running, url: str
) -> None:
    batch = await make(service, 1)
    name = Path(batch["results"][0]["image_url"]).name
    slides = [{"title": "x", "image_url": url.replace("NAME", name)}]
    answer = await post_project(service, {"slides": slides})
    assert answer[0] == 200
    assert len(Presentation(io.BytesIO(answer[1])).slides) == 1


async def post_project(service: Running, project: Any, **more: Any) -> tuple[int, bytes, Any]:
    url = f"{service.url}/api/export/pptx"
    async with service.client.post(url, json={"project": project, **more}) as answer:
        return answer.status, await answer.read(), answer.headers


TITLES = [
    "封面：织机 🧵👩‍👩‍👧",
    "",
    " ",
    "a\0b\u0001\u001f\u007f\u0085\ufffe\uffff",
    "<&>\"']]>\r\n\v\t\u2028",
    "\u202eright to left",
    "../../etc/passwd",
    "long " * 60,
]


@pytest.mark.parametrize("title", TITLES)
async def test_any_title_makes_readable_files(service: Running, title: str) -> None:
    batch = await make(service, slides=[{"title": title, "content_text": title}])
    for kind in ("pptx", "pdf", "zip"):
        status, body, headers = await fetch(service, f"{batch['batch_id']}/export.{kind}")
        assert status == 200
        name = unquote(headers["Content-Disposition"].partition("UTF-8''")[2])
        assert name.endswith(f".{kind}")
        assert not set(name) & set('/\\:*?"<>|\r\n\0')
        if kind == "pptx":
            (page,) = Presentation(io.BytesIO(body)).slides
            described = page.shapes[0]._element.nvPicPr.cNvPr.get("descr")
            assert described.split() == XML_REFUSES.sub("", title).split()
        elif kind == "pdf":
            document = pypdfium2.PdfDocument(body)
            assert len(document) == 1
            assert "\0" in title or document.get_metadata_value("Title").strip() == title.strip()
            document.close()


@pytest.mark.parametrize(
    "changes",
    [
        {"title": "\ud83e"},
        {"slides": [{"title": "\udfff", "image_url": "/assets/x"}]},
        {"slides": [{"page_num": 10**400, "image_url": None}]},
        {"slides": [{"page_num": -(2**63), "image_url": "/assets/\ud800"}]},
        {"slides": []},
        {"slides": [{}] * 201},
        {"aspect_ratio": "0:1"},
        {"slides": None},
    ],
)
async def test_project_that_cannot_be_is_refused(service: Running, changes: Any) -> None:
    status, body, _ = await post_project(service, {"slides": [{"title": "x"}]} | changes)
    assert status in {400, 409, 422}, body


async def test_page_numbers_of_a_project_may_be_any(service: Running) -> None:
    batch = await make(service, 1)
    url = batch["results"][0]["image_url"]
    slides = [{"page_num": number, "image_url": url} for number in (2**62, -5, 0)]
    status, body, headers = await post_project(
        service, {"slides": [*slides, {"page_num": -(2**62)}]}
    )
    assert (status, headers["X-Missing-Slides"]) == (200, str(-(2**62)))
    assert len(Presentation(io.BytesIO(body)).slides) == 3


async def test_missing_pages_stay_short_enough_for_a_header(service: Running) -> None:
    slides = [{"page_num": 10**1000}] * 100
    assert (await post_project(service, {"slides": slides}))[0] == 422


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("a\u202egnp.exe", "a gnp.exe.pptx"),
        ("\u200b\u2066\x9f\ufeff", "slides.pptx"),
        ("\U0001f600" * 300, "\U0001f600" * 60 + ".pptx"),
        ("名" * 300, "名" * 80 + ".pptx"),
    ],
)
async def test_files_name_is_what_it_looks_like_and_fits_every_disk(
    service: Running, title: str, name: str
) -> None:
    url = (await make(service, 1))["results"][0]["image_url"]
    slides = [{"image_url": url}]
    _, _, headers = await post_project(service, {"title": title, "slides": slides})
    told = unquote(headers["Content-Disposition"]).partition("filename*=UTF-8''")[2]
    assert told == name
    assert len(told.encode()) <= 255


@pytest.mark.parametrize("kind", ["pptx", "pdf", "zip"])
async def test_length_is_told_and_right(service: Running, kind: str) -> None:
    batch = await make(service, 3)
    status, body, headers = await fetch(service, f"{batch['batch_id']}/export.{kind}")
    assert (status, int(headers["Content-Length"])) == (200, len(body))


@pytest.mark.parametrize("kind", ["pptx", "pdf"])
async def test_damaged_picture_is_left_out_and_named(service: Running, kind: str) -> None:
    batch = await make(service, 3)
    damaged = service.folder / "assets" / Path(batch["results"][1]["image_url"]).name
    damaged.write_bytes(damaged.read_bytes()[:-9])
    status, body, headers = await fetch(service, f"{batch['batch_id']}/export.{kind}")
    assert (status, headers["X-Missing-Slides"]) == (200, "2")
    assert body
