"""Shape C: what is asked, what is learned, and where the picture may be."""

import base64
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from msgspec.structs import replace

from slideloom.domain.ratio import parse_ratio
from slideloom.errors import AuthFailed, BadRequest, ContentBlocked, NoImage, QuotaExhausted
from slideloom.providers.base import Reference
from slideloom.providers.call import NetworkProvider
from slideloom.providers.download import Downloads
from slideloom.providers.gemini import GEMINI_RATIOS, GeminiDialect
from slideloom.providers.ratios import name_ratio
from tests.providers.conftest import KEY, TRUSTING, draw, order
from tests.support.parts import MemoryDraft, MemoryImageStore
from tests.support.pictures import picture
from tests.support.providers import open_provider
from tests.support.upstream import Plan, Upstream, read_stamp

PRO = "gemini-3-pro-image"
OpenGemini = Callable[..., NetworkProvider]


@pytest.fixture
async def open_one(upstream: Upstream) -> AsyncIterator[OpenGemini]:
    """Providers of shape C at Google's own path, closed after the test."""
    opened: list[NetworkProvider] = []

    def open_here(**changes: Any) -> NetworkProvider:
        downloads = Downloads(guard=TRUSTING, pauses_s=(0.001,) * 3, stall_s=0.2)
        facts: dict[str, Any] = {"base_url": upstream.google_url, "key": KEY, "model": PRO}
        opened.append(open_provider("gemini", **facts | {"downloads": downloads} | changes))
        return opened[-1]

    yield open_here
    for provider in opened:
        await provider.close()


def configs(upstream: Upstream) -> list[dict[str, Any]]:
    """The `generationConfig` of every call."""
    return [(call.body or {}).get("generationConfig", {}) for call in upstream.bill.calls]


def test_body_is_worded_as_google_wants_it() -> None:
    ask = GeminiDialect().build(order(ratio="1921:1080"), PRO)
    assert ask.path == f"/models/{PRO}:generateContent"
    assert ask.body == {
        "contents": [{"role": "user", "parts": [{"text": "a calm slide"}]}],
        "generationConfig": {
            "responseModalities": ["IMAGE"],
            "imageConfig": {"aspectRatio": "16:9", "imageSize": "1K"},
        },
    }


@pytest.mark.parametrize("model", ["gemini-2.5-flash-image", "google/gemini-2.5-flash-image-x"])
def test_model_of_one_size_is_not_told_it(model: str) -> None:
    config = GeminiDialect().build(order(), model).body["generationConfig"]
    assert config["imageConfig"] == {"aspectRatio": "16:9"}


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (PRO, PRO),
        (f"google/{PRO}", PRO),
        (f"models/{PRO}", PRO),
        (f"google/models/{PRO}", PRO),
        ("models/tuned/a b?c#d", "tuned%2Fa%20b%3Fc%23d"),
        ("../../key", "..%2F..%2Fkey"),
    ],
)
def test_model_is_named_in_the_path_alone(model: str, name: str) -> None:
    ask = GeminiDialect().build(order(), model)
    assert ask.path == f"/models/{name}:generateContent"
    assert "model" not in ask.body


async def test_odd_name_reaches_google_as_it_is(upstream: Upstream, open_one: OpenGemini) -> None:
    await draw(open_one(model="google/a b/c?d#e%f"))
    assert upstream.bill.calls[0].model == "a b/c?d#e%f"


@pytest.mark.parametrize(
    ("ratio", "name"),
    [
        ("16:9", "16:9"),
        ("1920:1081", "16:9"),
        ("9:16", "9:16"),
        ("1:1", "1:1"),
        ("7:5", "4:3"),
        ("2:1", "16:9"),
        ("3:1", "21:9"),
        ("1:8", "9:16"),
    ],
)
def test_nearest_ratio_that_gemini_draws_is_asked(ratio: str, name: str) -> None:
    assert name_ratio(parse_ratio(ratio), GEMINI_RATIOS) == name


async def test_picture_of_the_wanted_ratio_comes(upstream: Upstream, open_one: OpenGemini) -> None:
    drawn, draft = await draw(open_one())
    facts = await draft.inspect()
    assert (facts.width_px, facts.height_px) == (1376, 768)
    assert (drawn.provider, drawn.model, drawn.request_id) == ("gemini", PRO, "emulated")
    assert drawn.usage is not None
    assert drawn.usage["candidatesTokenCount"] == 1290
    (call,) = upstream.bill.calls
    assert call.path == f"/v1beta/models/{PRO}:generateContent"
    assert call.headers["x-goog-api-key"] == KEY
    assert "authorization" not in call.headers
    assert KEY not in call.path


async def test_reference_comes_along_after_the_words(
    upstream: Upstream, open_one: OpenGemini
) -> None:
    body = picture("JPEG")
    asked = replace(order(), reference=Reference(media_type="image/jpeg", body=body))
    await open_one().draw(asked, MemoryDraft(MemoryImageStore()))
    sent = upstream.bill.calls[0].body
    assert sent is not None
    text, shown = sent["contents"][0]["parts"]
    assert text == {"text": "a calm slide"}
    assert shown["inlineData"]["mimeType"] == "image/jpeg"
    assert base64.b64decode(shown["inlineData"]["data"]) == body


async def test_reference_of_another_type_than_it_says_is_a_bad_request(
    upstream: Upstream, open_one: OpenGemini
) -> None:
    wrong = Reference(media_type="image/png", body=picture("JPEG"))
    with pytest.raises(BadRequest, match="not valid"):
        await open_one().draw(replace(order(), reference=wrong), MemoryDraft(MemoryImageStore()))
    assert len(upstream.bill.calls) == 1


async def test_model_that_wants_to_talk_as_well_is_found_out_once(
    upstream: Upstream, open_one: OpenGemini
) -> None:
    provider = open_one(model="gemini-2.0-flash-preview-image-generation")
    await draw(provider)
    await draw(provider)
    asked = [config["responseModalities"] for config in configs(upstream)]
    assert asked == [["IMAGE"], ["TEXT", "IMAGE"], ["TEXT", "IMAGE"], ["TEXT", "IMAGE"]]
    assert ["imageConfig" in config for config in configs(upstream)] == [True, True, False, False]
    assert len(upstream.bill.billed) == 2


@pytest.mark.parametrize("field", ["imageSize", "aspectRatio", "imageConfig", "responseModalities"])
async def test_field_that_is_not_known_is_left_out_from_then_on(
    upstream: Upstream, open_one: OpenGemini, field: str
) -> None:
    provider = open_one()
    for _ in range(2):
        await draw(provider, f"[[fault:F24_unknown_name:{field}]] page")
    await draw(provider, f"[[fault:F24_unknown_name:{field}]] page", model="another")
    sent = [str(config) for config in configs(upstream)]
    assert [field in config for config in sent] == [True, False, False, True, False]
    assert len(upstream.bill.billed) == 3


async def test_ratio_that_a_model_does_not_know_is_left_out(
    upstream: Upstream, open_one: OpenGemini
) -> None:
    await draw(open_one(), "[[fault:F24_no_ratio]] page")
    assert [config["imageConfig"] for config in configs(upstream)] == [
        {"aspectRatio": "16:9", "imageSize": "1K"},
        {"imageSize": "1K"},
    ]


async def test_request_that_is_never_taken_is_asked_once(
    upstream: Upstream, open_one: OpenGemini
) -> None:
    for fault in ("F24_google_always", "F23_google_model", "F31_google_location"):
        with pytest.raises(BadRequest):
            await draw(open_one(), f"[[fault:{fault}]] page")
    assert len(upstream.bill.calls) == 3


@pytest.mark.parametrize(
    "form",
    [
        "F12_comments",
        "F12_decoy",
        "F16_snake_case",
        "F16_data_first",
        "F16_no_mime_type",
        "F16_octet_stream",
        "F16_jpeg",
        "F27_url",
        "F29_duplicates",
        "F29_thought_drafts",
        "F29_thought_before_data",
        "F29_stream_thoughts",
        "F30_stream_unasked",
        "F30_json_array",
        "F30_json_then_done",
    ],
)
async def test_picture_is_found_wherever_it_is(form: str, open_one: OpenGemini) -> None:
    drawn, draft = await draw(open_one(), f"[[fault:{form}]] page")
    await draft.inspect()
    stamp = read_stamp(draft._buffer.getvalue())
    assert stamp is not None
    assert stamp.part == "final"
    assert drawn.provider == "gemini"


async def test_thoughts_alone_are_no_picture(open_one: OpenGemini) -> None:
    with pytest.raises(NoImage):
        await draw(open_one(), "[[fault:F29_thoughts_only]] page")
    with pytest.raises(ContentBlocked, match="IMAGE_SAFETY"):
        await draw(open_one(), "[[fault:F03_draft_then_safety]] page")


async def test_refusal_is_told_in_googles_words(open_one: OpenGemini) -> None:
    with pytest.raises(ContentBlocked, match=r"PROHIBITED_CONTENT: The prompt was blocked\."):
        await draw(open_one(), "[[fault:F04_empty_candidates]] page")
    with pytest.raises(ContentBlocked, match=r"SPII: Unable to show it\."):
        await draw(open_one(), "[[fault:F03_SPII]] page")
    with pytest.raises(NoImage, match="Unable to show it") as missed:
        await draw(open_one(), "[[fault:F03_NO_IMAGE]] page")
    assert missed.value.provider_code == "NO_IMAGE"
    with pytest.raises(NoImage, match="imagine a calm blue slide"):
        await draw(open_one(), "[[fault:F01_text_only]] page")


async def test_bad_key_is_known_though_google_calls_it_a_bad_request(
    upstream: Upstream, open_one: OpenGemini
) -> None:
    upstream.plan = Plan(keys=("another",))
    with pytest.raises(AuthFailed, match="API key not valid"):
        await draw(open_one())
    with pytest.raises(AuthFailed, match="unregistered callers"):
        await draw(open_one(key=""))


async def test_limit_of_a_day_is_no_rate_limit(open_one: OpenGemini) -> None:
    with pytest.raises(QuotaExhausted):
        await draw(open_one(), "[[fault:F19_429_daily_free_tier]] page")


async def test_big_picture_in_one_line_of_a_stream_comes_through(open_one: OpenGemini) -> None:
    _, draft = await draw(open_one(), "[[fault:F12_big_line]] page")
    assert (await draft.inspect()).size_bytes > 10_000_000
