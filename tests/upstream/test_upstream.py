"""The upstream emulator when all goes well: its pictures, shapes, bill and own process."""

import asyncio
import time

import aiohttp
import pytest

from tests.support.upstream import (
    LogNormal,
    Plan,
    Uniform,
    Upstream,
    prompt_key,
    read_stamp,
    spawn_upstream,
)
from tests.support.upstream.choice import Chooser
from tests.support.upstream.pictures import make_plate
from tests.upstream.calls import Caller, build_body, build_request, open_picture


@pytest.mark.parametrize("size_bytes", [0, 60_000, 200_001])
@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
async def test_picture_is_valid_and_of_the_wanted_size(
    caller: Caller, kind: str, size_bytes: int
) -> None:
    async with Upstream(Plan(image_bytes=size_bytes)) as up:
        got = await caller.ask(up, output_format=kind)
    (picture,) = got.pictures
    image = open_picture(picture)
    assert image.size == (1376, 768)
    assert image.format == kind.upper()
    if size_bytes:
        # RIFF chunks have even lengths, so a WebP of an odd size is one byte longer.
        assert len(picture) - size_bytes in ({0, 1} if kind == "webp" else {0})


@pytest.mark.parametrize(
    ("shape", "ratio", "more", "size_px"),
    [
        ("images", "16:9", {}, (1376, 768)),
        ("images", "9:16", {"resolution": "2K"}, (1536, 2752)),
        ("images", "1:1", {"size": "1024x512"}, (1024, 512)),
        ("images", "5:2", {}, (1616, 648)),
        ("openai", "", {"size": "1280x720"}, (1280, 720)),
        ("openai", "", {"size": "auto"}, (1024, 1024)),
        ("chat", "4:3", {}, (1200, 896)),
        ("gemini", "21:9", {}, (1584, 672)),
    ],
)
async def test_every_dialect_of_the_ratio_is_obeyed(
    caller: Caller,
    shape: str,
    ratio: str,
    more: dict[str, object],
    size_px: tuple[int, int],
) -> None:
    async with Upstream() as up:
        got = await caller.ask(up, shape=shape, ratio=ratio, **more)  # type: ignore[arg-type]  # more of the body
    assert open_picture(got.pictures[0]).size == size_px


async def test_picture_tells_which_call_and_prompt_it_was_made_for(caller: Caller) -> None:
    async with Upstream() as up:
        first = await caller.ask(up, "one")
        second = await caller.ask(up, "two", shape="chat")
    stamps = [read_stamp(got.pictures[0]) for got in (first, second)]
    assert [(stamp.call, stamp.prompt_key, stamp.part) for stamp in stamps if stamp] == [
        (1, prompt_key("one"), "final"),
        (2, prompt_key("two"), "final"),
    ]


def test_picture_follows_from_the_seed() -> None:
    same = [
        make_plate.__wrapped__("image/png", 64, 32, size_bytes=5000, seed=seed).after
        for seed in (1, 1, 2)
    ]
    assert same[0] == same[1]
    assert same[0] != same[2]


async def test_shape_a_tells_cost_only_where_the_real_one_does(caller: Caller) -> None:
    async with Upstream(Plan(cost_usd=0.04)) as up:
        openrouter = await caller.ask(up)
        openai = await caller.ask(up, shape="openai")
    assert openrouter.json["usage"]["cost"] == 0.04
    assert openrouter.json["data"][0]["media_type"] == "image/png"
    assert "id" not in openrouter.json
    assert "cost" not in openai.json["usage"]
    assert openai.json["output_format"] == "png"
    assert up.bill.bill_usd == pytest.approx(0.08)


async def test_shape_b_gives_a_data_url_and_a_generation_id(caller: Caller) -> None:
    async with Upstream() as up:
        got = await caller.ask(up, shape="chat")
    message = got.json["choices"][0]["message"]
    assert message["images"][0]["image_url"]["url"].startswith("data:image/png;base64,iVBOR")
    assert got.headers["x-generation-id"] == got.json["id"]


async def test_shape_a_streams_drafts_and_then_the_picture(caller: Caller) -> None:
    async with Upstream(Plan(partials=2)) as up:
        got = await caller.ask(up, stream=True)
    assert got.headers["content-type"] == "text/event-stream"
    assert [event["type"].partition(".")[2] for event in got.events] == [
        "partial_image",
        "partial_image",
        "completed",
    ]
    parts = [stamp.part for stamp in map(read_stamp, got.pictures) if stamp]
    assert parts == ["draft-0", "draft-1", "final"]
    assert got.body.endswith(b"data: [DONE]\n\n")


async def test_stream_is_ignored_when_the_plan_says_so(caller: Caller) -> None:
    async with Upstream(Plan(stream="never")) as up:
        got = await caller.ask(up, stream=True)
    assert got.headers["content-type"] == "application/json"


async def test_shape_b_streams_comments_and_one_whole_picture(caller: Caller) -> None:
    async with Upstream(Plan(latency_s=0.03, padding_every_s=0.01)) as up:
        got = await caller.ask(up, shape="chat", stream=True)
    assert got.body.startswith(b": OPENROUTER PROCESSING\n\n: OPENROUTER PROCESSING\n\ndata: {")
    images = [
        event
        for event in got.events
        if event["choices"] and "images" in event["choices"][0]["delta"]
    ]
    assert len(images) == 1
    assert got.events[-1]["choices"] == []
    assert "cost" in got.events[-1]["usage"]


async def test_shape_b_pads_with_white_space_while_it_works(caller: Caller) -> None:
    async with Upstream(Plan(latency_s=0.03, padding_every_s=0.01)) as up:
        got = await caller.ask(up, shape="chat")
    assert got.body.startswith(b"\n         \n\n         \n{")
    open_picture(got.pictures[0])


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
async def test_end_of_an_answer_is_told_in_every_way(caller: Caller, framing: str) -> None:
    plan = Plan(framing=framing)  # type: ignore[arg-type]  # the three it takes
    async with Upstream(plan) as up:
        first, second = await caller.ask(up), await caller.ask(up)
    open_picture(first.pictures[0])
    open_picture(second.pictures[0])
    assert up.bill.connections == (2 if framing == "close" else 1)


async def test_bill_records_what_was_asked(caller: Caller) -> None:
    async with Upstream(Plan(latency_s=0.02)) as up:
        await asyncio.gather(*(caller.ask(up, f"slide {page}") for page in range(5)))
        await caller.ask(up, "slide 0", shape="chat")
    assert len(up.bill.calls) == len(up.bill.billed) == 6
    assert len(up.bill.distinct_prompts) == 5
    assert up.bill.peak_in_flight == 5
    assert up.bill.in_flight == 0
    call = up.bill.calls[-1]
    assert call.body == build_body("chat", "slide 0")
    assert (call.key_tail, call.model, call.shape) == ("7890", "a/model", "chat")
    assert call.headers["content-type"] == "application/json"
    assert call.ended_s is not None
    assert call.ended_s - call.started_s >= 0.02


@pytest.mark.parametrize("latency", [Uniform(1.0, 3.0), LogNormal(2.0)])
def test_latency_follows_from_seed_and_prompt(latency: Uniform | LogNormal) -> None:
    def draw(seed: int) -> list[float]:
        chooser = Chooser(Plan(latency_s=latency, seed=seed))
        return [chooser.draw_latency_s(f"slide {page}") for page in range(50)]

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)
    assert 1.7 < sorted(draw(1))[25] < 2.3
    assert len(set(draw(1))) == 50


async def test_client_that_goes_pays_only_where_the_real_one_would(caller: Caller) -> None:
    async with Upstream(Plan(latency_s=0.1)) as up:
        for shape, stream in (("images", False), ("chat", False), ("chat", True)):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(caller.ask(up, shape=shape, stream=stream), 0.02)
        await asyncio.sleep(0.11)
    assert [call.client_went for call in up.bill.calls] == [True, True, True]
    assert [call.billed for call in up.bill.calls] == [False, True, False]


async def test_discovery_account_and_unknown_paths_answer(session: aiohttp.ClientSession) -> None:
    async with Upstream(Plan(balance_usd=5.0)) as up:
        answers = {}
        for path in ("/images/models", "/models", "/key", "/credits", "/nothing"):
            async with session.get(up.base_url + path) as response:
                answers[path] = (response.status, await response.json())
    assert answers["/images/models"][1]["data"][0]["architecture"]["output_modalities"] == ["image"]
    assert answers["/key"][1]["data"]["limit_remaining"] == 5.0
    assert answers["/credits"][1]["data"]["total_credits"] == 5.0
    assert answers["/nothing"][0] == 404
    assert [visit.status for visit in up.bill.visits] == [200, 200, 200, 200, 404]


async def test_bad_request_body_is_400(session: aiohttp.ClientSession) -> None:
    async with Upstream() as up:
        for body in (b"{", b"[]", b"{}", b'{"prompt":"p","size":"9999x9999"}'):
            async with session.post(up.base_url + "/images", data=body) as response:
                assert response.status == 400
    assert [call.rejected for call in up.bill.calls] == ["request"] * 4


async def test_requests_in_one_segment_or_many_are_all_answered() -> None:
    async with Upstream() as up:
        port = int(up.origin.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        request = build_request("images", "x")
        writer.write(request * 2)
        for byte in request:
            writer.write(bytes([byte]))
        chunked = request.replace(b"Content-Length", b"Transfer-Encoding: chunked\r\nX-Old")
        head, _, body = chunked.partition(b"\r\n\r\n")
        writer.write(head + b"\r\n\r\n3\r\n" + body[:3] + b"\r\n")
        writer.write(b"%x\r\n" % len(body[3:]) + body[3:] + b"\r\n0\r\n\r\n")
        for _ in range(4):
            got = await reader.readuntil(b"\r\n\r\n")
            length = int(got.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
            await reader.readexactly(length)
        writer.close()
        await writer.wait_closed()
    assert [call.prompt for call in up.bill.calls] == ["x"] * 4
    assert up.bill.connections == 1


async def test_stopping_ends_whatever_is_under_way(caller: Caller) -> None:
    async with Upstream(Plan(latency_s=60)) as up:
        request = asyncio.create_task(caller.ask(up))
        await asyncio.sleep(0.02)
        assert up.bill.in_flight == 1
    with pytest.raises(aiohttp.ClientError):
        await request


async def test_reset_begins_an_empty_bill(caller: Caller) -> None:
    async with Upstream() as up:
        await caller.ask(up)
        up.reset(Plan(cost_usd=1.0))
        await caller.ask(up)
    assert len(up.bill.calls) == 1
    assert up.bill.bill_usd == 1.0


@pytest.mark.slow
async def test_emulator_runs_as_its_own_process(session: aiohttp.ClientSession) -> None:
    async with spawn_upstream(Plan(faults=("F25_502",))) as upstream:
        statuses = []
        for prompt in ("one", "two"):
            url = upstream.base_url + "/images"
            async with session.post(url, json={"model": "m", "prompt": prompt}) as response:
                statuses.append(response.status)
                await response.read()
        report = await upstream.fetch_report()
        assert statuses == [502, 200]
        assert (report.call_count, report.billed_count) == (2, 1)
        assert report.fault_counts == {"F25_502": 1}
        assert [call.prompt for call in report.bill.calls] == ["one", "two"]
        await upstream.reset(Plan(cost_usd=2.0))
        assert (await upstream.fetch_report()).call_count == 0
        with pytest.raises(ValueError, match="NoSuchFault"):
            await upstream.send_plan(Plan(faults=("F99_never",)))
        origin = upstream.origin
    with pytest.raises(aiohttp.ClientConnectorError):
        await session.get(origin)


async def test_a_hundred_big_answers_at_once_cost_little_memory_and_time(caller: Caller) -> None:
    async with Upstream(Plan(image_bytes=1_000_000)) as up:
        await caller.ask(up)
        started_s = time.perf_counter()
        answers = await asyncio.gather(*(caller.ask(up) for _ in range(20)))
        assert time.perf_counter() - started_s < 2
    assert {len(got.body) for got in answers} == {len(answers[0].body)}
