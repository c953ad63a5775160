"""Shape B: what is asked, what is learned, and where the picture may be."""

import pytest

from slideloom.errors import BadRequest, ContentBlocked, NoImage
from slideloom.providers.chat import ChatDialect
from tests.providers.conftest import Open, draw, order
from tests.support.upstream import Plan, Upstream, read_stamp


def test_body_is_worded_as_openrouter_wants_it() -> None:
    ask = ChatDialect().build(order(ratio="1921:1080"), "m")
    assert ask.path == "/chat/completions"
    assert ask.body == {
        "model": "m",
        "messages": [{"role": "user", "content": "a calm slide"}],
        "modalities": ["image", "text"],
        "image_config": {"aspect_ratio": "16:9"},
        "max_tokens": 4096,
        "stream": False,
    }


async def test_model_that_only_draws_is_found_out_once(
    upstream: Upstream, open_provider: Open
) -> None:
    upstream.plan = Plan(image_only_models=("a/model",))
    provider = open_provider("chat")
    await draw(provider)
    await draw(provider)
    asked = [call.body["modalities"] for call in upstream.bill.calls if call.body]
    assert asked == [["image", "text"], ["image"], ["image"]]
    assert len(upstream.bill.billed) == 2


async def test_model_without_any_endpoint_is_a_bad_request(
    upstream: Upstream, open_provider: Open
) -> None:
    with pytest.raises(BadRequest):
        await draw(open_provider("chat"), "[[fault:F22_no_endpoints]] page")
    assert not upstream.bill.billed


@pytest.mark.parametrize(
    "form",
    [
        "X_chat_flat_url",
        "X_chat_content_image_url",
        "X_chat_content_inline_data",
        "X_chat_content_image",
        "X_chat_markdown",
        "F16_charset",
        "F27_url",
        "F29_drafts",
        "F30_stream_unasked",
        "F30_json_then_done",
        "F12_comments",
        "F12_decoy",
    ],
)
async def test_picture_is_found_wherever_it_is(form: str, open_provider: Open) -> None:
    drawn, draft = await draw(open_provider("chat"), f"[[fault:{form}]] page")
    await draft.inspect()
    stamp = read_stamp(draft._buffer.getvalue())
    assert stamp is not None
    assert stamp.part != "draft-1"
    assert drawn.provider == "chat"


async def test_served_model_price_and_id_are_told(open_provider: Open) -> None:
    drawn, _ = await draw(open_provider("chat"))
    assert drawn.cost_usd == 0.0387
    assert drawn.request_id is not None
    assert drawn.request_id.startswith("gen-")
    assert drawn.usage is not None


async def test_refusal_and_prose_are_told_apart(open_provider: Open) -> None:
    provider = open_provider("chat")
    with pytest.raises(ContentBlocked, match="IMAGE_SAFETY"):
        await draw(provider, "[[fault:F03_IMAGE_SAFETY]] page")
    with pytest.raises(NoImage):
        await draw(provider, "[[fault:F01_text_only]] page")


async def test_padding_is_waited_out(upstream: Upstream, open_provider: Open) -> None:
    upstream.plan = Plan(latency_s=0.2, padding_every_s=0.01, framing="chunked")
    await draw(open_provider("chat", stall_s=0.05))


async def test_big_picture_in_one_line_of_a_stream_comes_through(open_provider: Open) -> None:
    _, draft = await draw(open_provider("chat"), "[[fault:F12_big_line]] page")
    assert (await draft.inspect()).size_bytes > 10_000_000
