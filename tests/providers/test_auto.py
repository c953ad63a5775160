"""Which dialect is spoken at which base, and that nobody pays for finding it out twice."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest

from slideloom.errors import BadRequest, RequestNotSent
from slideloom.providers.answers import Answer, read_answer
from slideloom.providers.auto import AutoDialect
from slideloom.providers.call import Dialect, NetworkProvider
from slideloom.providers.chat import ChatDialect
from slideloom.providers.download import Downloads
from slideloom.providers.images import list_images_dialects
from slideloom.providers.network import choose_dialect, open_network
from slideloom.providers.paths import is_path_missing
from tests.providers.conftest import KEY, draw, order
from tests.support.upstream import Plan, Upstream

IMAGES = ("/images/generations", "/images")
NOBODY = b"404 page not found"
GOOD: dict[str, Any] = {"data": [{}]}

OpenAll = Callable[..., list[NetworkProvider]]


@pytest.fixture
async def open_all(upstream: Upstream) -> AsyncIterator[OpenAll]:
    """Providers that have to find out how the upstream is asked."""
    opened: list[NetworkProvider] = []

    def open_some(*keys: str, **changes: Any) -> list[NetworkProvider]:
        facts = {"api": "auto", "base_url": upstream.base_url, "model": "a/model"}
        opened.extend(open_network(keys=keys or (KEY,), **facts | changes))
        return opened[-len(keys or (KEY,)) :]

    yield open_some
    for provider in opened:
        await provider.close()


def answer(status: int, body: object) -> Answer:
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return read_answer(status, {}, raw)


def unknown_base() -> Dialect:
    return choose_dialect("auto", base_url="https://gateway.example/v1")


def path_of(dialect: Dialect) -> str:
    return dialect.build(order(), "m").path


@pytest.mark.parametrize(
    ("base_url", "name", "path"),
    [
        ("https://openrouter.ai/api/v1", "images", "/images"),
        ("https://eu.openrouter.ai/api/v1", "images", "/images"),
        ("https://gateway.example/v1", "images", "/images/generations"),
        ("https://openrouter.ai.gateway.example/v1", "images", "/images/generations"),
        ("https://notopenrouter.ai/v1", "images", "/images/generations"),
        ("https://notgoogleapis.com/v1", "images", "/images/generations"),
        (
            "https://generativelanguage.googleapis.com/v1beta/openai",
            "images",
            "/images/generations",
        ),
        ("http://[::1]:8000/v1", "images", "/images/generations"),
    ],
)
def test_base_names_the_first_guess(base_url: str, name: str, path: str) -> None:
    dialect = choose_dialect("auto", base_url=base_url)
    assert (dialect.name, path_of(dialect)) == (name, path)


def test_google_is_asked_in_its_own_way() -> None:
    base_url = "https://generativelanguage.googleapis.com/v1beta"
    assert choose_dialect("auto", base_url=base_url).name == "gemini"


def test_shape_that_was_named_is_kept() -> None:
    for api in ("images", "chat", "gemini"):
        assert choose_dialect(api, base_url="https://openrouter.ai/api/v1").name == api


def test_path_that_was_given_is_not_second_guessed() -> None:
    dialect = choose_dialect("auto", base_url="https://gateway.example/v1", path="made/here")
    ask = dialect.build(order(), "m")
    assert ask.path == "/made/here"
    assert not dialect.learn(ask, answer(404, NOBODY))


def test_missing_paths_lead_from_images_to_chat() -> None:
    dialect = unknown_base()
    asked = []
    for status in (404, 405):
        ask = dialect.build(order(), "m")
        asked.append(ask.path)
        assert dialect.learn(ask, answer(status, NOBODY))
    ask = dialect.build(order(), "m")
    assert not dialect.learn(ask, answer(200, {"choices": []}))
    assert [*asked, ask.path] == [*IMAGES, "/chat/completions"]
    assert dialect.name == "chat"


def test_what_has_answered_is_kept_whatever_is_missing_later() -> None:
    dialect = unknown_base()
    ask = dialect.build(order(), "m")
    assert not dialect.learn(ask, answer(200, GOOD))
    assert not dialect.learn(ask, answer(404, NOBODY))
    assert path_of(dialect) == IMAGES[0]


def test_slides_under_way_at_once_agree() -> None:
    dialect = unknown_base()
    first, second, third = (dialect.build(order(), "m") for _ in range(3))
    assert dialect.learn(first, answer(404, NOBODY))
    found = dialect.build(order(), "m")
    assert not dialect.learn(found, answer(200, GOOD))
    assert dialect.learn(second, answer(404, NOBODY))
    assert dialect.learn(third, answer(404, NOBODY))
    assert path_of(dialect) == found.path


def test_wrong_base_costs_each_later_slide_one_call_and_is_found_again() -> None:
    dialect = unknown_base()
    for _ in range(2):
        assert dialect.learn(dialect.build(order(), "m"), answer(404, NOBODY))
    knocked = []
    for _ in range(4):
        ask = dialect.build(order(), "m")
        knocked.append(ask.path)
        assert not dialect.learn(ask, answer(404, NOBODY))
    assert knocked == ["/chat/completions", *IMAGES, "/chat/completions"]
    ask = dialect.build(order(), "m")
    assert not dialect.learn(ask, answer(200, GOOD))
    assert path_of(dialect) == ask.path


def test_web_page_for_every_path_settles_nothing() -> None:
    dialect = unknown_base()
    ask = dialect.build(order(), "m")
    assert not dialect.learn(ask, answer(200, b"<!doctype html><title>Welcome</title>"))
    assert dialect.learn(ask, answer(404, NOBODY))


@pytest.mark.parametrize(
    ("status", "body", "is_missing"),
    [
        (404, NOBODY, True),
        (404, b"", True),
        (404, b"<html><title>404 Not Found</title></html>", True),
        (404, {"detail": "Not Found"}, True),
        (404, {"error": {"message": "Invalid URL (POST /v1/images/generations)"}}, True),
        (404, {"error": {"code": 404, "message": "No route for /v1/images"}}, True),
        (404, {"message": "no Route matched with those values"}, True),
        (405, {"detail": "Method Not Allowed"}, True),
        (405, b"", True),
        (404, {"error": {"message": "No endpoints found for typo/x."}}, False),
        (404, {"error": {"message": "The model `x` does not exist"}}, False),
        (404, {"error": {"message": "not found", "code": "model_not_found"}}, False),
        (404, {"error": "model 'x' not found, try pulling it first"}, False),
        (404, {"error": {"message": "Gone", "metadata": {"routing_funnel": []}}}, False),
        (400, NOBODY, False),
        (503, NOBODY, False),
        (200, GOOD, False),
    ],
)
def test_missing_path_is_told_from_a_missing_model(
    status: int,
    body: object,
    is_missing: bool,  # noqa: FBT001 - a column of the table
) -> None:
    assert is_path_missing(answer(status, body)) is is_missing


async def test_gateway_that_only_chats_is_found_out_once_for_all_keys(
    upstream: Upstream, open_all: OpenAll
) -> None:
    upstream.plan = Plan(missing_paths=IMAGES)
    one, other = open_all("sk-one-0123456789", "sk-two-0123456789")
    assert (one.name, other.name) == ("images", "images")
    drawn = await asyncio.gather(*(draw(one, f"page {number}") for number in range(4)))
    drawn.append(await draw(other, "page 5", model="another/model"))
    assert {told.provider for told, _ in drawn} == {"chat"}
    assert (one.name, other.name) == ("chat", "chat")
    assert len(upstream.bill.visits) <= 8  # four slides at once, two paths
    assert len(upstream.bill.billed) == len(upstream.bill.calls) == 5
    assert {call.key_tail for call in upstream.bill.calls} == {"6789"}


async def test_each_result_names_the_shape_that_served(open_all: OpenAll) -> None:
    drawn, _ = await draw(open_all()[0])
    assert drawn.provider == "images"


async def test_named_shape_does_not_fall_back(upstream: Upstream, open_all: OpenAll) -> None:
    upstream.plan = Plan(missing_paths=IMAGES)
    with pytest.raises(BadRequest):
        await draw(open_all(api="images")[0])
    assert not upstream.bill.calls


async def test_base_where_nobody_is_ends_in_a_bad_request(
    upstream: Upstream, open_all: OpenAll
) -> None:
    upstream.plan = Plan(missing_paths=(*IMAGES, "/chat/completions"))
    provider = open_all()[0]
    for visits in (3, 4):
        with pytest.raises(BadRequest):
            await draw(provider)
        assert len(upstream.bill.visits) == visits


async def test_every_key_is_shown_by_its_own_provider(
    upstream: Upstream, open_all: OpenAll
) -> None:
    for provider in open_all("key-aaaa", "key-bbbb"):
        await draw(provider)
    shown = [call.headers["authorization"] for call in upstream.bill.calls]
    assert shown == ["Bearer key-aaaa", "Bearer key-bbbb"]


async def test_closing_one_provider_leaves_the_others_what_they_use(upstream: Upstream) -> None:
    downloads = Downloads(pauses_s=())
    one, other = open_network(
        api="auto", base_url=upstream.base_url, keys=("k1", "k2"), model="m", downloads=downloads
    )
    await one.close()
    await one.close()
    assert not downloads._session.closed
    await draw(other)
    await other.close()
    assert downloads._session.closed


async def test_headers_suit_the_dialect_that_worded_the_call(upstream: Upstream) -> None:
    class Shy(ChatDialect):
        def authorize(self, key: str) -> dict[str, str]:
            return {"Authorization": f"Bearer {key}-chat"}

    upstream.plan = Plan(missing_paths=IMAGES)
    dialects = (*list_images_dialects(upstream.base_url, None), Shy())
    provider = NetworkProvider(
        AutoDialect(dialects), base_url=upstream.base_url, key="k1", model="m"
    )
    await draw(provider)
    shown = [asked.headers["authorization"] for asked in upstream.bill.visits]
    assert shown == ["Bearer k1", "Bearer k1"]
    assert upstream.bill.calls[0].headers["authorization"] == "Bearer k1-chat"
    await provider.close()


async def test_connection_that_fails_is_no_reason_to_ask_otherwise() -> None:
    (provider,) = open_network(api="auto", base_url="http://127.0.0.1:9/v1", keys=("k",), model="m")
    with pytest.raises(RequestNotSent, match=r"cannot connect to 127\.0\.0\.1:9: connection ref"):
        await draw(provider)
    assert provider.name == "images"
    await provider.close()
