"""The upstream emulator as Google: keys, models, and what a request may hold."""

import base64
from typing import Any

import aiohttp
import pytest

from tests.support.pictures import picture
from tests.support.upstream import Plan, Upstream
from tests.upstream.calls import GOOGLE_KEY, Caller, build_body, open_picture

PRO = "gemini-3-pro-image"


def ask_for(**image: object) -> dict[str, Any]:
    """A body with that `imageConfig`."""
    config = {"responseModalities": ["IMAGE"], "imageConfig": image}
    return {"contents": [{"parts": [{"text": "a slide"}]}], "generationConfig": config}


async def post(
    session: aiohttp.ClientSession, up: Upstream, body: dict[str, Any], model: str = PRO
) -> tuple[int, Any]:
    """Status and JSON of a call at Google's own path."""
    url = f"{up.google_url}/models/{model}:generateContent"
    async with session.post(url, json=body, headers=GOOGLE_KEY) as response:
        return response.status, await response.json()


@pytest.mark.parametrize(
    ("model", "image", "size_px"),
    [
        (PRO, {"aspectRatio": "16:9"}, (1376, 768)),
        (PRO, {"aspectRatio": "4:5", "imageSize": "2K"}, (1856, 2304)),
        (PRO, {"aspect_ratio": "21:9", "image_size": "1K"}, (1584, 672)),
        ("gemini-2.5-flash-image", {"aspectRatio": "16:9"}, (1344, 768)),
        ("gemini-2.5-flash-image", {"aspectRatio": "4:3"}, (1184, 864)),
        (PRO, {}, (1024, 1024)),
    ],
)
async def test_picture_has_the_models_own_pixels(
    session: aiohttp.ClientSession, model: str, image: dict[str, str], size_px: tuple[int, int]
) -> None:
    async with Upstream() as up:
        status, got = await post(session, up, ask_for(**image), model)
    assert status == 200
    data = got["candidates"][0]["content"]["parts"][0]["inlineData"]["data"]
    assert open_picture(base64.b64decode(data)).size == size_px
    assert got["candidates"][0]["finishReason"] == "STOP"
    assert (got["modelVersion"], got["responseId"]) == (model, "emulated")
    assert got["usageMetadata"]["candidatesTokenCount"] == 1290


@pytest.mark.parametrize(
    ("model", "body", "words"),
    [
        (PRO, ask_for(outputMimeType="image/png"), 'Unknown name "outputMimeType" at \'generation'),
        (PRO, {**ask_for(), "size": "1024x1024"}, 'Unknown name "size": Cannot find field.'),
        (PRO, ask_for(aspectRatio="2:1"), "aspect_ratio"),
        (PRO, ask_for(imageSize="1k"), "image_size"),
        ("gemini-3.1-flash-lite-image", ask_for(imageSize="2K"), "image_size"),
        ("gemini-2.5-flash-image", ask_for(imageSize="1K"), "Image size is not supported"),
        ("gemini-2.0-flash-exp", ask_for(), "combination of response modalities (IMAGE)"),
        (PRO, {"contents": []}, "contents is not specified"),
        (PRO, {"contents": [{"parts": []}]}, "must not be empty"),
        (PRO, {"contents": [{"parts": [{}]}]}, "required oneof field"),
        (PRO, {"contents": [{"role": "system", "parts": [{"text": "x"}]}]}, "valid role"),
    ],
)
async def test_request_that_google_would_not_take_is_400(
    session: aiohttp.ClientSession, model: str, body: dict[str, Any], words: str
) -> None:
    async with Upstream() as up:
        status, got = await post(session, up, body, model)
    assert (status, got["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert words in got["error"]["message"]
    assert (
        got["error"]["details"][0]["fieldViolations"][0]["description"] == got["error"]["message"]
    )
    assert [call.rejected for call in up.bill.calls] == ["request"]


async def test_reference_picture_must_be_what_it_says(session: aiohttp.ClientSession) -> None:
    async def show(kind: str, data: str) -> int:
        body = build_body("gemini", "a slide")
        blob = {"mime_type": kind, "data": data}
        body["contents"][0]["parts"].append({"inline_data": blob})
        return (await post(session, up, body))[0]

    png = base64.b64encode(picture()).decode()
    async with Upstream() as up:
        assert await show("image/png", png) == 200
        assert await show("image/jpeg", png) == 400
        assert await show("image/tiff", png) == 400
        assert await show("image/png", "!!!!") == 400


async def test_key_is_looked_at_in_googles_own_header_alone(
    session: aiohttp.ClientSession, caller: Caller
) -> None:
    async with Upstream(Plan(keys=("sk-test-7890",))) as up:
        body = build_body("gemini", "a slide")
        url = f"{up.google_url}/models/{PRO}:generateContent"
        async with session.post(url, json=body) as response:
            assert response.status == 403, "Bearer is no key here"
        async with session.post(url, json=body, headers={"x-goog-api-key": "no"}) as response:
            assert response.status == 400
            error = (await response.json())["error"]
        assert error["details"][0]["reason"] == "API_KEY_INVALID"
        assert (await caller.ask(up, shape="gemini")).status == 200
    assert [call.rejected for call in up.bill.calls] == ["key", "key", None]


async def test_models_are_told_to_those_with_a_key(session: aiohttp.ClientSession) -> None:
    async with Upstream(Plan(keys=("sk-test-7890",))) as up:

        async def get(path: str, key: str = "sk-test-7890") -> tuple[int, Any]:
            headers = {"x-goog-api-key": key}
            async with session.get(up.google_url + path, headers=headers) as response:
                return response.status, await response.json()

        status, got = await get("/models?pageSize=1000")
        assert status == 200
        names = [model["name"] for model in got["models"]]
        assert "models/gemini-2.5-flash-image" in names
        assert (await get("/models/gemini-2.5-flash-image"))[1]["name"] in names
        assert (await get("/models/gemini-0"))[0] == 404
        assert (await get("/models", "no"))[0] == 400
        assert (await get("/models", ""))[0] == 403
    assert not up.bill.calls


async def test_account_is_shown_to_its_key_alone(session: aiohttp.ClientSession) -> None:
    async with Upstream(Plan(keys=("sk-test-7890",), balance_usd=5.0)) as up:

        async def get(url: str, key: str) -> tuple[int, Any]:
            headers = {"Authorization": f"Bearer {key}"}
            async with session.get(url, headers=headers) as response:
                return response.status, await response.json()

        for ending in ("/key", "/credits"):
            assert (await get(up.base_url + ending, "sk-test-7890"))[0] == 200
            assert (await get(up.base_url + ending, "wrong"))[0] == 401
        assert (await get(up.origin + "/v1/models", "wrong"))[0] == 401
        status, models = await get(up.origin + "/v1/models", "sk-test-7890")
        assert (status, models["object"]) == (200, "list")


async def test_stream_is_as_google_writes_it(caller: Caller) -> None:
    async with Upstream(Plan(stream="always")) as up:
        got = await caller.ask(up, shape="gemini")
    assert got.headers["content-type"] == "text/event-stream"
    assert got.body.count(b"\r\n\r\n") == len(got.events) == 3
    assert "usageMetadata" in got.events[-1]
    open_picture(got.pictures[0])
