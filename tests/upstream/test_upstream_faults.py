"""The upstream emulator's faults: each is what its name says, byte for byte."""

import asyncio
import base64
import gzip
import time
from email.utils import parsedate_to_datetime
from io import BytesIO
from typing import Any

import aiohttp
import pytest
from PIL import UnidentifiedImageError

from tests.support.upstream import FAULTS, Plan, Upstream, read_stamp
from tests.upstream.calls import Caller, build_request, mark, open_picture

pytestmark = pytest.mark.slow  # the emulator's own


async def test_rate_limits_say_when_to_come_back(caller: Caller) -> None:
    async with Upstream() as up:

        async def ask(name: str) -> tuple[dict[str, str], Any]:
            got = await caller.ask(up, mark(f"F19_{name}", ":30"))
            assert got.status == 429
            return got.headers, got.json["error"]

        now_s = time.time()
        headers, _ = await ask("429_retry_after_s")
        assert headers["retry-after"] == "30"
        headers, _ = await ask("429_date")
        assert 28 <= parsedate_to_datetime(headers["retry-after"]).timestamp() - now_s <= 32
        headers, _ = await ask("429_ms")
        assert headers["retry-after-ms"] == "30000"
        headers, _ = await ask("429_reset_ms_epoch")
        assert 29 <= int(headers["x-ratelimit-reset"]) / 1000 - now_s <= 32
        headers, _ = await ask("429_openai_duration")
        assert headers["x-ratelimit-reset-input-images"] == "30s"
        _, error = await ask("429_retryinfo")
        assert {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "30s"} in error[
            "details"
        ]
        _, error = await ask("429_message")
        assert "try again after 30 seconds" in str(error["message"])
        headers, _ = await ask("429_none")
        assert not [name for name in headers if "retry" in name or "ratelimit" in name]
        _, error = await ask("capacity_exhausted")
        assert error["availability"]["retry_after"] == 30
        _, error = await ask("429_daily")
        assert error["metadata"]["limit_source"] == "openrouter_free_tier_daily"


async def test_no_image_and_refusals_are_whole_answers_without_a_picture(caller: Caller) -> None:
    async with Upstream() as up:
        for name in ("F01_text_only", "F03_IMAGE_SAFETY", "F02_no_choices", "F08_502", "F07_500"):
            got = await caller.ask(up, mark(name), shape="chat")
            assert (got.status, got.pictures) == (200, [])
            streamed = await caller.ask(up, mark(name), shape="chat", stream=True)
            assert streamed.headers["content-type"] == "text/event-stream"
            assert streamed.pictures == []
        for name in ("F02_null_data", "F02_empty_strings", "F18_ark_item_error"):
            got = await caller.ask(up, mark(name))
            assert (got.status, got.pictures) == (200, [])
        blocked = await caller.ask(up, mark("F04_block_SAFETY"), shape="gemini")
        assert blocked.json == {"promptFeedback": {"blockReason": "SAFETY"}}
        finished = await caller.ask(up, mark("F03_NO_IMAGE"), shape="gemini")
        assert finished.json["candidates"][0]["finishReason"] == "NO_IMAGE"


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("F13_cut_length", aiohttp.ClientPayloadError),
        ("F13_cut_chunked", aiohttp.ClientPayloadError),
        ("F13_cut_between_chunks", aiohttp.ClientPayloadError),
        ("F13_no_last_chunk", aiohttp.ClientPayloadError),
        ("F13_cut_reset", aiohttp.ClientError),
        ("F13_cut_head", aiohttp.ClientError),
        ("F26_reset", aiohttp.ClientOSError),
        ("F26_close", aiohttp.ServerDisconnectedError),
        ("F33_lost_reset", aiohttp.ClientOSError),
        ("F33_lost_close", aiohttp.ServerDisconnectedError),
        ("F33_lost_after_head", aiohttp.ClientError),
        ("X_not_http", aiohttp.ClientError),
    ],
)
async def test_lost_answer_is_an_error_of_the_connection(
    caller: Caller, name: str, error: type[Exception]
) -> None:
    async with Upstream() as up:
        for stream in (False, True):
            with pytest.raises(error):
                await caller.ask(up, mark(name), shape="chat", stream=stream)
        assert [call.billed for call in up.bill.calls] == [FAULTS[name].billed] * 2


async def test_answer_cut_by_closing_looks_whole_to_the_client(caller: Caller) -> None:
    async with Upstream() as up:
        whole = await caller.ask(up)
        cut = await caller.ask(up, mark("F13_cut_close", ":0.25"))
    assert cut.status == 200
    assert 0.2 < len(cut.body) / len(whole.body) < 0.3


async def test_reset_before_the_body_leaves_it_unread(session: aiohttp.ClientSession) -> None:
    async with Upstream(Plan(faults=("ok", "F26_reset_before_body"))) as up:
        body = BytesIO(b'{"prompt":"' + b"x" * 20_000_000 + b'"}')
        async with session.post(up.base_url + "/images", data=b'{"prompt":"x"}') as response:
            await response.read()
        with pytest.raises(aiohttp.ClientError):
            await session.post(up.base_url + "/images", data=body)
    assert [(call.fault, call.prompt) for call in up.bill.calls] == [
        (None, "x"),
        ("F26_reset_before_body", ""),
    ]


async def test_stale_connection_is_dropped_and_a_fresh_one_serves(caller: Caller) -> None:
    async with Upstream() as up:
        await caller.ask(up)
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await caller.ask(up, mark("F26_stale_keepalive"))
        assert (await caller.ask(up, mark("F26_stale_keepalive"))).status == 200
        assert [call.billed for call in up.bill.calls] == [True, False, True]
    async with Upstream(Plan(stale_after_s=0.01)) as up:
        await caller.ask(up)
        await asyncio.sleep(0.02)
        with pytest.raises(aiohttp.ClientError):
            await caller.ask(up)
        assert len(up.bill.calls) == 1


@pytest.mark.parametrize(
    "name", ["F26_silence", "F26_silence_after_head", "F11_endless_padding", "F26_slow_forever"]
)
async def test_endless_answer_ends_when_the_client_goes(caller: Caller, name: str) -> None:
    async with Upstream() as up:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(caller.ask(up, mark(name, ":0.01")), 0.05)
        await asyncio.sleep(0.01)
        assert up.bill.calls[0].client_went
        assert up.bill.in_flight == 0


async def test_padding_without_an_answer(caller: Caller) -> None:
    async with Upstream() as up:
        padded = await caller.ask(up, mark("F10_padding"), shape="chat")
        empty = await caller.ask(up, mark("F11_padding_only"), shape="chat")
        closed = await caller.ask(up, mark("F11_padding_closed"), shape="chat")
    assert padded.body[:660].isspace()
    open_picture(padded.pictures[0])
    assert empty.body == closed.body == (b"\n         \n") * 60


async def test_marker_may_be_split_at_every_offset(caller: Caller) -> None:
    async with Upstream() as up:
        for shape in ("images", "chat"):
            for offset in range(-2, 12):
                got = await caller.ask(up, mark("F12_split", f":{offset}"), shape=shape)
                open_picture(got.pictures[0])
        segments = await caller.ask(up, mark("F12_segments", ":97"))
        open_picture(segments.pictures[0])


async def test_segments_reach_the_client_one_by_one() -> None:
    async with Upstream() as up:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", int(up.origin.rpartition(":")[2])
        )
        writer.write(build_request("chat", mark("F12_segments", ":50")))
        sizes: list[int] = []
        while not sizes or sum(sizes) < 2000:
            sizes.append(len(await reader.read(65536)))
        writer.close()
        await writer.wait_closed()
    assert len(sizes) > 20


async def test_base64_is_broken_as_named(caller: Caller) -> None:
    async with Upstream() as up:

        async def ask(name: str) -> str:
            body = (await caller.ask(up, mark(name))).body
            return body.partition(b'"b64_json":"')[2].partition(b'"')[0].decode()

        assert "!!" in await ask("F14_bad_letters")
        assert len(await ask("F14_cut")) % 4 == 1
        assert len(await ask("F14_no_padding")) % 4 == 2
        assert not (await ask("F14_no_padding")).endswith("=")
        assert r"\n" in await ask("F14_newlines")
        assert set("-_") & set(await ask("F14_url_safe"))
        assert not set("+/") & set(await ask("F14_url_safe"))
        for name in ("F12_escaped_slashes", "F12_unicode_escapes"):
            got = await caller.ask(up, mark(name))
            assert b"\\/" in got.body or b"\\u002f" in got.body
            open_picture(base64.b64decode(got.json["data"][0]["b64_json"], validate=True))
        with pytest.raises(ValueError, match="JSON"):
            _ = (await caller.ask(up, mark("F14_raw_newlines"))).json


@pytest.mark.parametrize(
    "name",
    [
        "F15_text",
        "F15_html",
        "F15_zeros",
        "F15_signature_only",
        "F15_png_no_iend",
        "F15_jpeg_no_eoi",
        "F15_webp_short",
        "F15_png_spoilt",
    ],
)
async def test_broken_picture_is_broken(caller: Caller, name: str) -> None:
    async with Upstream() as up:
        got = await caller.ask(up, mark(name))
    letters = got.json["data"][0]["b64_json"]
    with pytest.raises((UnidentifiedImageError, OSError, SyntaxError)):
        open_picture(base64.b64decode(letters, validate=True))


async def test_odd_pictures_are_pictures(caller: Caller) -> None:
    async with Upstream() as up:
        formats = {
            name: open_picture((await caller.ask(up, mark(name), shape="chat")).pictures[0])
            for name in (
                "F16_jpeg",
                "F16_webp",
                "F16_charset",
                "F17_square",
                "F17_turned",
                "F17_one_pixel",
            )
        }
    assert formats["F16_jpeg"].format == "JPEG"
    assert formats["F16_webp"].format == "WEBP"
    assert formats["F16_charset"].format == "PNG"
    assert formats["F17_square"].size == (1024, 1024)
    assert formats["F17_turned"].size == (768, 1376)
    assert formats["F17_one_pixel"].size == (1, 1)


async def test_several_pictures_tell_which_is_final(caller: Caller) -> None:
    async with Upstream() as up:
        chat = await caller.ask(up, mark("F29_drafts"), shape="chat")
        stream = await caller.ask(up, mark("F29_stream_drafts"))
        gemini = await caller.ask(up, mark("F29_thought_drafts"), shape="gemini")
        error = await caller.ask(up, mark("F09_stream_error"))

    def parts(pictures: list[bytes]) -> list[str]:
        return [stamp.part for stamp in map(read_stamp, pictures) if stamp]

    assert parts(chat.pictures) == ["draft-0", "final"]
    assert parts(stream.pictures) == ["draft-0", "draft-1", "final"]
    assert parts(gemini.pictures) == ["draft-0", "draft-1", "final"]
    assert parts(error.pictures) == ["draft-0"]
    assert error.events[-1]["error"]["code"] == "server_error"


async def test_answer_by_address_is_served_by_the_file_host(caller: Caller) -> None:
    async with Upstream() as up:

        async def fetch(name: str, *, tries: int = 1) -> list[tuple[int, bytes]]:
            url = (await caller.ask(up, mark(name))).json["data"][0]["url"]
            found = []
            for _ in range(tries):
                async with caller.session.get(url, allow_redirects=False) as response:
                    found.append((response.status, await response.read()))
            return found

        ((status, picture),) = await fetch("F27_url")
        assert status == 200
        stamp = read_stamp(picture)
        assert stamp is not None
        assert stamp.call == 1
        assert [status for status, _ in await fetch("F27_late", tries=3)] == [404, 404, 200]
        assert (await fetch("F27_denied"))[0][0] == 403
        assert (await fetch("F27_redirect"))[0][0] == 302
        assert (await fetch("F27_html"))[0][1].startswith(b"<!DOCTYPE")
        with pytest.raises(aiohttp.ClientPayloadError):
            await fetch("F27_cut")
        assert len(up.bill.downloads) == 8
        assert len(up.bill.calls) == 6


async def test_odd_framing_is_as_named(session: aiohttp.ClientSession, caller: Caller) -> None:
    async with Upstream() as up:
        body = {"model": "m", "prompt": mark("X_gzip"), "aspect_ratio": "16:9"}
        async with session.post(
            up.base_url + "/images", json=body, auto_decompress=False
        ) as response:
            packed = await response.read()
            assert response.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(packed).startswith(b'{"created"')
        assert (await caller.ask(up, mark("X_bom"))).body.startswith(b"\xef\xbb\xbf{")
        cookies = await session.post(up.base_url + "/images", json={"prompt": mark("X_cookies")})
        assert len(cookies.headers.getall("Set-Cookie")) == 100
        assert (await caller.ask(up, mark("X_early_hints"))).status == 200
        with pytest.raises(aiohttp.ClientResponseError):
            await caller.ask(up, mark("X_headers_1000"))
        done = await caller.ask(up, mark("F30_json_then_done"))
        assert done.body.endswith(b"}\n\ndata: [DONE]\n\n")
        unasked = await caller.ask(up, mark("F30_stream_unasked"), shape="chat")
        assert unasked.headers["content-type"] == "text/event-stream"


async def test_huge_answers_are_huge(session: aiohttp.ClientSession) -> None:
    async with Upstream() as up:
        for name in ("X_huge", "X_huge_chunked", "X_gzip_bomb"):
            size = 0
            async with session.post(
                up.base_url + "/images", json={"prompt": mark(name)}
            ) as response:
                async for piece in response.content.iter_any():
                    size += len(piece)
                    if size > 70_000_000:
                        break
                response.close()
            assert size > 70_000_000
