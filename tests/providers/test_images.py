"""Shape A: what is asked, what is learned, and the whole call over a real socket."""

import asyncio
from typing import Any

import msgspec
import pytest
from aioresponses import CallbackResult, aioresponses

from slideloom.domain.ratio import parse_ratio
from slideloom.errors import (
    AnswerLost,
    BadRequest,
    CorruptPicture,
    NoAnswerInTime,
    RequestNotSent,
    SettingsError,
)
from slideloom.providers.bases import read_base_url
from slideloom.providers.images import list_images_dialects
from slideloom.providers.ratios import NAMED_RATIOS, choose_size, name_ratio
from tests.providers.conftest import KEY, Open, draw, order
from tests.support.parts import MemoryDraft, MemoryImageStore
from tests.support.providers import open_provider as open_by_api
from tests.support.upstream import Plan, Upstream, prompt_key, read_stamp

MIB = 1024 * 1024


def build(base_url: str, ratio: str = "16:9", path: str | None = None) -> Any:
    return list_images_dialects(base_url, path)[0].build(order(ratio=ratio), "m")


def test_openrouter_is_asked_by_ratio_and_tier() -> None:
    ask = build("https://openrouter.ai/api/v1")
    assert ask.path == "/images"
    assert ask.body == {
        "model": "m",
        "prompt": "a calm slide",
        "aspect_ratio": "16:9",
        "resolution": "1K",
    }


def test_others_are_asked_by_size_and_for_base64() -> None:
    ask = build("https://gateway.example/v1")
    assert ask.path == "/images/generations"
    assert (ask.body["size"], ask.body["response_format"]) == ("1536x864", "b64_json")


def test_openai_is_not_asked_for_a_format_it_refuses() -> None:
    assert "response_format" not in build("https://api.openai.com/v1").body


def test_path_is_configuration() -> None:
    assert build("https://gateway.example/v1", path="images").body["aspect_ratio"] == "16:9"


@pytest.mark.parametrize(
    ("asked", "named"),
    [("16:9", "16:9"), ("1921:1080", "16:9"), ("9999:1", "8:1"), ("32:18", "16:9")],
)
def test_unusual_ratio_is_asked_by_the_nearest_name(asked: str, named: str) -> None:
    assert name_ratio(parse_ratio(asked)) == named


@pytest.mark.parametrize("name", [name for name in NAMED_RATIOS if "." not in name])
def test_every_size_is_legal_and_as_exact_as_can_be(name: str) -> None:
    ratio = parse_ratio(name)
    width, height = choose_size(ratio)
    assert width % 16 == height % 16 == 0
    assert 655_360 <= width * height <= 8_294_400
    assert max(width, height) <= min(3840, 3 * min(width, height))
    if 1 / 3 <= ratio.width / ratio.height <= 3:
        assert width / height == pytest.approx(ratio.width / ratio.height, rel=0.005)


@pytest.mark.parametrize(
    "base", ["", "openrouter.ai", "ftp://x/y", "https://", "https://k@host/v1"]
)
def test_base_that_is_no_web_address_is_a_setting_to_mend(base: str) -> None:
    with pytest.raises(SettingsError):
        read_base_url(base)


async def test_picture_comes_whole_and_is_its_own(upstream: Upstream, open_provider: Open) -> None:
    upstream.plan = Plan(image_bytes=3 * MIB)
    provider = open_provider(path="/images")
    drawn, draft = await draw(provider, "page 1")
    facts = await draft.inspect()
    stamp = read_stamp(draft._buffer.getvalue())
    assert facts.size_bytes >= 3 * MIB
    assert stamp is not None
    assert stamp.prompt_key == prompt_key("page 1")
    assert (drawn.provider, drawn.http_status, drawn.cost_usd) == ("images", 200, 0.0387)
    assert upstream.bill.calls[0].headers["accept-encoding"] == "identity"


async def test_model_of_the_order_wins(upstream: Upstream, open_provider: Open) -> None:
    await draw(open_provider(), model="another/model")
    assert upstream.bill.calls[0].model == "another/model"


async def test_unknown_parameter_is_left_out_from_then_on(
    upstream: Upstream, open_provider: Open
) -> None:
    provider = open_provider()
    for _ in range(2):
        await draw(provider, "[[fault:F24_unknown_parameter]] page")
    bodies = [call.body or {} for call in upstream.bill.calls]
    assert ["response_format" in body for body in bodies] == [True, False, False]
    assert len(upstream.bill.billed) == 2


async def test_missing_path_is_found_out_once(upstream: Upstream, open_provider: Open) -> None:
    upstream.plan = Plan(missing_paths=("/images/generations",), missing_html=True)
    provider = open_provider()
    await asyncio.gather(*(draw(provider, f"page {number}") for number in range(5)))
    await draw(provider)
    assert [call.path for call in upstream.bill.billed] == ["/api/v1/images"] * 6
    assert len(upstream.bill.visits) <= 5


async def test_given_path_is_not_second_guessed(upstream: Upstream, open_provider: Open) -> None:
    upstream.plan = Plan(missing_paths=("/images/generations",))
    with pytest.raises(BadRequest):
        await draw(open_provider(path="/images/generations"))
    assert not upstream.bill.calls


async def test_refused_connection_asked_nobody() -> None:
    provider = open_by_api("images", base_url="http://127.0.0.1:9/v1", key=KEY, model="m")
    with pytest.raises(RequestNotSent):
        await draw(provider)
    await provider.close()


async def test_stale_connection_costs_nothing(upstream: Upstream, open_provider: Open) -> None:
    upstream.plan = Plan(stale_after_s=0.05)
    provider = open_provider()
    await draw(provider)
    await asyncio.sleep(0.1)
    await draw(provider)
    assert len(upstream.bill.billed) == 2
    assert upstream.bill.connections == 2


@pytest.mark.slow
async def test_kept_connection_that_breaks_late_may_have_been_billed(
    upstream: Upstream, open_provider: Open
) -> None:
    upstream.plan = Plan(latency_s=0.6)
    provider = open_provider()
    await draw(provider)
    with pytest.raises(AnswerLost):
        await draw(provider, "[[fault:F33_lost_close]] page")
    assert len(upstream.bill.calls) == 2


async def test_cancelled_call_closes_its_connection(
    upstream: Upstream, open_provider: Open
) -> None:
    provider = open_provider()
    for prompt in ("[[fault:F26_silence]] page", "[[fault:F26_silence_in_body]] page"):
        call = asyncio.create_task(draw(provider, prompt))
        await asyncio.sleep(0.05)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await asyncio.sleep(0.02)
    assert not upstream._connections


async def test_silence_in_the_middle_is_a_timeout(open_provider: Open) -> None:
    provider = open_provider(stall_s=0.05)
    with pytest.raises(NoAnswerInTime):
        await draw(provider, "[[fault:F26_silence_in_body]] page")


@pytest.mark.slow
async def test_slow_answer_is_waited_for(open_provider: Open) -> None:
    provider = open_provider(stall_s=0.2)
    await draw(provider, "[[fault:F26_slow_body:0.5]] page")


async def test_blanks_do_not_start_the_clock(upstream: Upstream, open_provider: Open) -> None:
    upstream.plan = Plan(latency_s=0.3, padding_every_s=0.02, pad_images=True)
    await draw(open_provider(stall_s=0.1))


async def test_answer_over_the_limit_is_cut_off(open_provider: Open) -> None:
    with pytest.raises(CorruptPicture, match="over"):
        await draw(open_provider(), "[[fault:X_huge_chunked]] page")


async def test_last_picture_counts_and_previews_do_not(open_provider: Open) -> None:
    provider = open_provider()
    for fault in ("F29_stream_drafts", "F29_three"):
        _, draft = await draw(provider, f"[[fault:{fault}]] page")
        stamp = read_stamp(draft._buffer.getvalue())
        assert stamp is not None
        assert not stamp.part.startswith("draft")
        await draft.inspect()


async def test_key_reaches_neither_errors_nor_file_hosts(
    upstream: Upstream, open_provider: Open
) -> None:
    provider = open_provider()
    await draw(provider, "[[fault:F27_url]] page")
    assert [visit.headers.get("authorization") for visit in upstream.bill.downloads] == [None]
    assert upstream.bill.calls[0].headers["authorization"] == f"Bearer {KEY}"
    echo = {"error": {"message": f"bad key {KEY}", "code": KEY}}
    with aioresponses() as fake:
        fake.post("https://host/v1/images", status=400, payload=echo, headers={"x-request-id": "r"})
        echoing = open_provider(base_url="https://host/v1", path="/images")
        with pytest.raises(BadRequest) as caught:
            await draw(echoing)
    assert "canary" not in f"{caught.value} {caught.value.detail} {caught.value.provider_code}"


async def test_faults_of_ours_are_not_hidden(open_provider: Open) -> None:
    class Broken(MemoryDraft):
        async def write(self, piece: bytes | bytearray | memoryview) -> None:
            raise ZeroDivisionError(len(piece))

    with pytest.raises(ZeroDivisionError):
        await open_provider().draw(order(), Broken(MemoryImageStore()))


async def test_usage_and_revised_prompt_are_told(open_provider: Open) -> None:
    answer = {
        "data": [{"url": "", "b64_json": "iVBORw0KGgo=", "revised_prompt": "calmer"}],
        "usage": {"total_tokens": 9, "cost": 0.5},
    }

    def reply(_: object, **request: Any) -> CallbackResult:
        assert msgspec.json.decode(request["data"])["prompt"] == "a calm slide"
        return CallbackResult(payload=answer)

    with aioresponses() as fake:
        fake.post("https://host/v1/images", callback=reply)
        drawn, _ = await draw(open_provider(base_url="https://host/v1", path="/images"))
    assert (drawn.revised_prompt, drawn.cost_usd, drawn.model) == ("calmer", 0.5, "a/model")
    assert drawn.usage == answer["usage"]
