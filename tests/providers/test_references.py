"""Orders with a picture whose style is wanted: how it is sent, and what is said when it is not."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from aioresponses import CallbackResult, aioresponses

from slideloom.errors import BadRequest, ProviderError, RateLimited
from slideloom.providers.answers import read_answer
from slideloom.providers.base import Reference
from slideloom.providers.call import NetworkProvider
from slideloom.providers.chat import ChatDialect
from slideloom.providers.images import list_images_dialects
from slideloom.providers.network import choose_dialect, open_network
from slideloom.providers.outcomes import judge
from slideloom.providers.references import TAKES_NONE, name_reference, to_data_url
from tests.providers.conftest import KEY, Open, draw, order
from tests.support.upstream import Plan, Upstream

REFERENCE = Reference(media_type="image/png", body=b"\x89PNG style")
ADDRESS = "data:image/png;base64,iVBORyBzdHlsZQ=="
GATEWAY = "https://gateway.example/v1"
PICTURE = {"data": [{"b64_json": "iVBORw0KGgo="}]}


@pytest.fixture
async def gateway() -> AsyncIterator[NetworkProvider]:
    """A provider at a gateway of unknown kind, whose answers a test makes up."""
    (provider,) = open_network(api="auto", base_url=GATEWAY, keys=(KEY,), model="m")
    yield provider
    await provider.close()


def build(base_url: str) -> Any:
    return list_images_dialects(base_url, None)[0].build(order(reference=REFERENCE), "m")


def test_openrouter_gets_it_among_the_input_references() -> None:
    ask = build("https://openrouter.ai/api/v1")
    assert ask.path == "/images"
    assert ask.body["input_references"] == [{"type": "image_url", "image_url": {"url": ADDRESS}}]


def test_others_are_asked_to_edit_it() -> None:
    ask = build(GATEWAY)
    assert ask.path == "/images/edits"
    assert ask.body["images"] == [{"image_url": ADDRESS}]
    assert (ask.body["size"], ask.body["prompt"]) == ("1536x864", "a calm slide")


def test_chat_gets_it_behind_the_words() -> None:
    ask = ChatDialect().build(order(reference=REFERENCE), "m")
    assert ask.body["messages"][0]["content"] == [
        {"type": "text", "text": "a calm slide"},
        {"type": "image_url", "image_url": {"url": ADDRESS}},
    ]


def test_order_without_one_is_asked_as_before() -> None:
    for dialect in (*list_images_dialects(GATEWAY, None), ChatDialect()):
        ask = dialect.build(order(), "m")
        assert not ask.has_reference
        assert "data:" not in msgspec.json.encode(ask.body).decode()


def test_it_is_encoded_once() -> None:
    again = Reference(media_type="image/png", body=bytes(bytearray(REFERENCE.body)))
    assert to_data_url(REFERENCE) is to_data_url(again)


@pytest.mark.parametrize("shape", ["images", "chat"])
async def test_picture_comes_for_an_order_with_one(
    shape: str, upstream: Upstream, open_provider: Open
) -> None:
    changes = {"path": "/images"} if shape == "images" else {}
    _, draft = await draw(open_provider(shape, **changes), reference=REFERENCE)
    await draft.inspect()
    assert ADDRESS in str(upstream.bill.calls[0].body)


async def test_missing_path_for_edits_is_said_and_the_reference_never_left_out(
    gateway: NetworkProvider,
) -> None:
    with aioresponses() as fake:
        fake.post(f"{GATEWAY}/images/generations", payload=PICTURE, repeat=True)
        for path in ("/images/edits", "/images", "/chat/completions"):
            fake.post(f"{GATEWAY}{path}", status=404, body="404 page not found", repeat=True)
        await draw(gateway)
        for _ in range(2):
            with pytest.raises(BadRequest, match=TAKES_NONE) as caught:
                await draw(gateway, reference=REFERENCE)
            assert caught.value.http_status == 404
        await draw(gateway)
        calls = {
            url.path.removeprefix("/v1"): len(made) for (_, url), made in fake.requests.items()
        }
    # The first order knocks everywhere, unbilled; the second at one door.
    assert calls.pop("/images/generations") == 2
    assert sum(calls.values()) == 4


async def test_reference_finds_another_shape_where_plain_orders_have_settled(
    upstream: Upstream,
) -> None:
    upstream.plan = Plan(missing_paths=("/images/edits",))
    (provider,) = open_network(api="auto", base_url=upstream.base_url, keys=("k",), model="m")
    assert (await draw(provider))[0].provider == "images"
    for _ in range(2):
        await draw(provider, reference=REFERENCE)
    await draw(provider)
    paths = [visit.path.rpartition("v1")[2] for visit in upstream.bill.visits]
    assert paths == ["/images/edits"], "asked in vain once"
    await provider.close()


async def test_first_order_with_one_finds_the_shape_that_takes_it(upstream: Upstream) -> None:
    upstream.plan = Plan(missing_paths=("/images/edits", "/images/generations", "/images"))
    (provider,) = open_network(api="auto", base_url=upstream.base_url, keys=("k",), model="m")
    assert (await draw(provider, reference=REFERENCE))[0].provider == "chat"
    assert (await draw(provider))[0].provider == "chat"
    assert [visit.path.rpartition("v1")[2] for visit in upstream.bill.visits] == [
        "/images/edits",
        "/images",
    ]
    await provider.close()


def test_missing_edits_say_nothing_about_orders_without_one() -> None:
    dialect = choose_dialect("auto", base_url=GATEWAY)
    ask = dialect.build(order(reference=REFERENCE), "m")
    assert dialect.learn(ask, read_answer(404, {}, b"404 page not found"))
    assert dialect.build(order(reference=REFERENCE), "m").path == "/images"
    assert dialect.build(order(), "m").path == "/images/generations"


def refuse(status: int, body: object) -> tuple[ProviderError, str]:
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    answer = read_answer(status, {}, raw)
    error = judge(answer, has_picture=False, now_s=0)
    assert error is not None
    return error, name_reference(error, answer)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, b"404 page not found"),
        (405, {"detail": "Method Not Allowed"}),
        (415, {"error": {"message": "Unsupported Media Type"}}),
        (400, {"error": {"message": "request Content-Type isn't multipart/form-data"}}),
        (400, b"expected multipart/form-data"),
        (422, {"detail": [{"type": "missing", "loc": ["body", "image"], "msg": "Field required"}]}),
        (400, {"error": {"message": "Unknown parameter: 'images'.", "code": "unknown_parameter"}}),
        (
            400,
            {
                "error": {
                    "message": "Unknown parameter: 'input_references[0]'.",
                    "param": "input_references[0]",
                    "code": "unknown_parameter",
                }
            },
        ),
    ],
)
def test_provider_that_takes_none_is_said_to(status: int, body: object) -> None:
    error, words = refuse(status, body)
    assert type(error) is BadRequest
    assert words.startswith(TAKES_NONE)
    assert error.detail in words


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (413, b"<html><title>413 Request Entity Too Large</title></html>"),
        (400, {"error": {"code": "invalid_image", "message": "broken"}}),
        (400, {"error": {"code": 400, "metadata": {"error_type": "image_download_failed"}}}),
        (400, {"error": {"code": 400, "metadata": {"error_type": "image_too_large"}}}),
        (404, {"error": {"code": 404, "metadata": {"error_type": "image_not_found"}}}),
    ],
)
def test_complaint_about_it_names_it(status: int, body: object) -> None:
    error, words = refuse(status, body)
    assert type(error) is BadRequest
    assert words.startswith("the reference picture was refused: ")


def test_other_errors_keep_their_own_words() -> None:
    error, words = refuse(429, {"error": {"code": 429, "message": "slow down"}})
    assert (type(error), words) == (RateLimited, "slow down")
    assert refuse(400, {"error": {"message": "prompt is too long"}})[1] == "prompt is too long"
    assert refuse(422, {"detail": [{"type": "missing", "loc": 5, "msg": "odd"}]})[1] == "odd"


async def test_parameters_are_still_left_out_beside_one(gateway: NetworkProvider) -> None:
    bodies: list[dict[str, Any]] = []

    def reply(_: object, **request: Any) -> CallbackResult:
        bodies.append(msgspec.json.decode(request["data"]))
        if "response_format" not in bodies[-1]:
            return CallbackResult(payload=PICTURE)
        error = {"code": "unknown_parameter", "param": "response_format", "message": "Unknown"}
        return CallbackResult(status=400, payload={"error": error})

    with aioresponses() as fake:
        fake.post(f"{GATEWAY}/images/edits", callback=reply, repeat=True)
        await draw(gateway, reference=REFERENCE)
    assert ["response_format" in body for body in bodies] == [True, False]
    assert all(body["images"] == [{"image_url": ADDRESS}] for body in bodies)
