"""Pictures out of a byte stream, however it is cut into chunks."""

import base64
import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slideloom.providers.lift import MOST_PICTURES, SKELETON_BYTES, Lift, PictureEnd, PictureStart
from tests.support.pictures import picture

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256)) + b"\xff\xfb\xf0>?" * 40
Pictures = list[tuple[bytes, bool, bool]]


def lift(document: bytes, *cuts: int) -> tuple[Pictures, bytes]:
    """All pictures (bytes, whether whole, whether a draft) and the skeleton."""
    lifter = Lift()
    found: Pictures = []
    for start, end in zip((0, *cuts), (*cuts, len(document)), strict=True):
        for event in lifter.feed(document[start:end]):
            match event:
                case PictureStart(is_draft=is_draft):
                    found.append((b"", False, is_draft))
                case PictureEnd(is_whole=is_whole):
                    found[-1] = (found[-1][0], is_whole, found[-1][2])
                case bytes(piece):
                    found[-1] = (found[-1][0] + piece, *found[-1][1:])
    return found, lifter.finish()


def encode(raw: bytes = PNG) -> str:
    return base64.b64encode(raw).decode()


ONE: Pictures = [(PNG, True, False)]
WRAPPED = r"\n".join(encode()[at : at + 76] for at in range(0, len(encode()), 76))
FORMS: dict[str, tuple[str, str]] = {
    "b64_json": ('{"data":[{"b64_json":"%s"}],"usage":{}}', encode()),
    "white space": ('{"b64_json" \r\n\t:\n "%s" }', encode()),
    "escaped slashes": ('{"b64_json":"%s"}', encode().replace("/", r"\/")),
    "unicode escapes": (
        '{"b64_json":"%s"}',
        encode().replace("+", r"\u002b").replace("/", r"\u002F").replace("=", r"\u003d"),
    ),
    "wrapped lines": ('{"b64_json":"%s"}', WRAPPED),
    "bare line feeds": ('{"b64_json":"%s"}', WRAPPED.replace(r"\n", "\n")),
    "escaped slashes in bare lines": (
        '{"b64_json":"%s"}',
        WRAPPED.replace("/", r"\/").replace(r"\n", "\n"),
    ),
    "no padding": ('{"b64_json":"%s"}', encode().rstrip("=")),
    "URL-safe": ('{"b64_json":"%s"}', encode().replace("+", "-").replace("/", "_")),
    "data URL": ('{"url":"data:image/png;base64,%s"}', encode()),
    "data URL, charset": ('{"url":"data:image/png;charset=binary;base64,%s"}', encode()),
    "data URL, escaped": (r'{"url":"data:image\/png;base64,%s"}', encode().replace("/", r"\/")),
    "data URL, capitals": ('{"url":"DATA:IMAGE/PNG;BASE64,%s"}', encode()),
    "data URL in b64_json": ('{"b64_json":"data:image/png;base64,%s"}', encode()),
    "Markdown": (r'{"content":"Here:\n![x](data:image/png;base64,%s)\n\nDone"}', encode()),
    "Markdown, escaped": (r'{"content":"![x](data:image\/png;base64,%s)"}', encode()),
    "prose that goes on as padding": ('{"content":"A data:image/png;base64,%s= B"}', encode()),
    "HTML": (r'{"content":"<img src=\"data:image/png;base64,%s\"/>"}', encode()),
    "bare base64 as url": ('{"image_url":{"url":"%s"}}', encode()),
    "inlineData": ('{"inlineData":{"mimeType":"image/png","data":"%s"}}', encode()),
    "inline_data": ('{"inline_data":{"mime_type":"image/png","data":"%s"}}', encode()),
    "image part": ('{"type":"image","data":"%s","mime_type":"image/png"}', encode()),
    "event stream": (': PROCESSING\n\ndata: {"b64_json":"%s"}\n\ndata: [DONE]', encode()),
    "byte-order mark": ('\ufeff{"b64_json":"%s"}', encode()),
}


@pytest.mark.parametrize("form", FORMS)
def test_picture_is_found_in_every_form_at_every_cut(form: str) -> None:
    text, payload = FORMS[form]
    document = (text % payload).encode()
    skeleton = (text.removeprefix("\ufeff") % "lifted:0").encode()
    assert lift(document) == (ONE, skeleton)
    assert lift(document, *range(1, len(document))) == (ONE, skeleton)
    for cut in range(1, len(document)):
        assert lift(document, cut) == (ONE, skeleton)


NONE_IN: dict[str, str] = {
    "empty payload": '{"data":[{"b64_json":"","url":"https://host/picture.png"}]}',
    "null payload": '{"data":[{"b64_json":null}]}',
    "error": '{"error":{"code":500,"message":"Internal Server Error"}}',
    "HTML page": '<html><body>;base64, "data": nothing</body></html>',
    "quoted marker": r'{"text":"\"b64_json\":\"AAAA\" and data:image/png;base64,AAAA and so on"}',
    "encrypted reasoning": '{"type":"reasoning.encrypted","data":"' + "Q" * 400 + '"}',
    "relative address": '{"url":"/v1/images/' + "a" * 100 + '/content"}',
    "short data": '{"data":"all fine"}',
    "not JSON": "upstream connect error",
}


@pytest.mark.parametrize("case", NONE_IN)
def test_text_without_a_picture_is_kept_as_it_is(case: str) -> None:
    document = NONE_IN[case].encode()
    assert lift(document) == ([], document)
    assert lift(document, *range(1, len(document))) == ([], document)


@pytest.mark.parametrize(
    "payload",
    [
        "!!!!" + encode(),
        encode()[:40] + "%%" + encode()[42:],
        encode()[:401],
        "A",
        encode() + "=",
        r"AAAA\qAAA",
        encode()[:40] + "==" + encode()[42:],
    ],
)
def test_broken_base64_is_a_picture_that_is_not_whole(payload: str) -> None:
    document = f'{{"b64_json":"{payload}"}}'.encode()
    for pictures, skeleton in (lift(document), lift(document, *range(1, len(document)))):
        assert [whole for _, whole, _ in pictures] == [False]
        assert skeleton == b'{"b64_json":"lifted:0"}'


def test_inline_image_counts_even_when_its_bytes_are_no_picture() -> None:
    prose = b"This is not a picture. " * 10
    part = {"inlineData": {"mimeType": "image/png", "data": encode(prose)}}
    assert lift(json.dumps(part).encode())[0] == [(prose, True, False)]


def test_several_pictures_are_told_apart() -> None:
    other = picture()
    document = json.dumps({"data": [{"b64_json": encode()}, {"b64_json": encode(other)}]})
    pictures, skeleton = lift(document.encode())
    assert pictures == [(PNG, True, False), (other, True, False)]
    assert json.loads(skeleton) == {"data": [{"b64_json": "lifted:0"}, {"b64_json": "lifted:1"}]}


def test_beyond_the_most_pictures_all_is_text() -> None:
    one = '{"b64_json":"AAAA"}'
    pictures, skeleton = lift(f"[{','.join([one] * (MOST_PICTURES + 5))}]".encode())
    assert len(pictures) == MOST_PICTURES
    assert skeleton.endswith(b",".join([one.encode()] * 5) + b"]")


def test_previews_of_an_event_stream_are_drafts() -> None:
    event = 'event: %s\ndata: {"type":"%s","b64_json":"%s"}\n\n'
    names = ("image_generation.partial_image", "image_generation.completed")
    document = "".join(event % (name, name, encode()) for name in names).encode()
    assert [is_draft for _, _, is_draft in lift(document)[0]] == [True, False]


def test_cut_off_picture_is_seen_to_be_cut_off() -> None:
    lifter = Lift()
    lifter.feed(f'{{"data":[{{"b64_json":"{encode()}'.encode())
    assert lifter.is_in_picture


def test_leading_white_space_is_not_kept_and_a_flood_is_cut() -> None:
    lifter = Lift()
    for _ in range(1000):
        lifter.feed(b"\n         \n" * 100)
    assert lifter.is_idle
    lifter.feed(b'{"text":"')
    assert not lifter.is_idle
    for _ in range(100):
        lifter.feed(b"flood " * 10_000)
    assert len(lifter.finish()) == SKELETON_BYTES


def test_event_stream_may_pause_between_events_only() -> None:
    lifter = Lift()
    states = []
    for chunk in (b": PROCESSING", b"\n\n", b"data: {", b"}\n", b"\n", b"data: [DONE]\n\n"):
        lifter.feed(chunk)
        states.append((lifter.is_idle, lifter.is_done))
    assert [idle for idle, _ in states] == [True, True, False, True, True, True]
    assert [done for _, done in states] == [False] * 5 + [True]


text = st.text(st.characters(codec="utf-8"), max_size=40)
base64_text = st.binary(min_size=1, max_size=300).map(encode)


@st.composite
def documents(draw: st.DrawFn) -> tuple[bytes, list[bytes], object]:
    """An answer, its pictures, and its value with the pictures' places marked."""
    raw = draw(st.lists(st.binary(min_size=1, max_size=400), max_size=3))
    before, after = draw(text), draw(text)
    indent = draw(st.sampled_from([None, 1]))
    spell = draw(st.sampled_from(["plain", "slashes", "url-safe", "unpadded"]))

    def build(payloads: list[str]) -> object:
        return {"a": before, "data": [{"b64_json": one, "n": after} for one in payloads]}

    payloads = [encode(one) for one in raw]
    if spell == "url-safe":
        payloads = [one.replace("+", "-").replace("/", "_") for one in payloads]
    if spell == "unpadded":
        payloads = [one.rstrip("=") for one in payloads]
    document = json.dumps(build(payloads), indent=indent, ensure_ascii=draw(st.booleans()))
    if spell == "slashes":
        document = document.replace("/", r"\/")
    marked = build([f"lifted:{number}" for number in range(len(raw))])
    return document.encode(), raw, marked


@given(documents(), st.randoms(use_true_random=False), st.integers(0, 30))
@settings(max_examples=200, deadline=None)
def test_any_chunking_of_any_document_gives_what_reading_it_whole_gives(
    case: tuple[bytes, list[bytes], object], source: random.Random, count: int
) -> None:
    document, raw, marked = case
    cuts = sorted(source.randrange(len(document) + 1) for _ in range(count))
    pictures, skeleton = lift(document, *cuts)
    assert pictures == [(one, True, False) for one in raw]
    assert json.loads(skeleton) == marked


def test_only_a_pictures_plain_middle_is_skimmed() -> None:
    encoded = base64.b64encode(PNG)
    lifter = Lift()
    assert lifter.skim(bytearray(encoded), len(encoded)) is None, "before the picture"
    lifted = lifter.feed(b'{"b64_json":"' + encoded[:150])
    middle = bytearray(encoded[150:300] + b"old bytes")
    skimmed = lifter.skim(middle, 150)
    assert skimmed
    for other in (b'AAAA"', b"AA\\/A"):
        assert lifter.skim(bytearray(other), len(other)) is None, "an end, an escape"
    lifted += [*skimmed, *lifter.feed(encoded[300:] + b'"}')]
    assert b"".join(piece for piece in lifted if isinstance(piece, bytes)) == PNG
    assert lifter.finish() == b'{"b64_json":"lifted:0"}'
