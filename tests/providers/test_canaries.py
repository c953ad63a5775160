"""Three keys, and every way in which an upstream may give one away: none is shown anywhere."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from html import escape
from typing import Any

import msgspec
import pytest
from aioresponses import CallbackResult, aioresponses

from slideloom.errors import ProviderError
from slideloom.providers.base import Checked, Drawn
from slideloom.providers.call import NetworkProvider
from slideloom.providers.download import Downloads
from slideloom.providers.network import open_network
from tests.providers.conftest import TRUSTING, draw
from tests.support.upstream import FAULTS, Fault, Plan, Upstream

KEYS = (
    "sk-or-v1-canary-4f1c9be27d80a6e35512",
    "AIzaCanary_Zq81mWv07LtXr3KpNb-6YdEhJ",
    "plain/canary+9d3e&5b<7a1c'4=60f8",
)
"""OpenRouter's, Google's, and one that looks like none, with letters that are often escaped."""
SHAPES = ("images", "chat", "gemini")
BASE = "https://gateway.example/v1"
OPENROUTER = "https://openrouter.ai/api/v1"

Outcome = Drawn | ProviderError | str
Echo = Callable[[str], CallbackResult]


def open_all(base_url: str, api: Any = "auto") -> list[NetworkProvider]:
    return open_network(
        api=api,
        base_url=base_url,
        keys=KEYS,
        model="m",
        downloads=Downloads(guard=TRUSTING, pauses_s=(0.001,), stall_s=0.1),
        stall_s=0.1,
    )


async def try_it(call: Awaitable[Any]) -> Outcome:
    try:
        async with asyncio.timeout(0.5):
            told = await call
    except ProviderError as error:
        return error
    except TimeoutError:
        return "cut off by the caller"  # what a call without an answer ends in
    if isinstance(told, Checked):
        return told.words + told.doubt
    return told if isinstance(told, str) else told[0]


async def try_all(base_url: str, api: Any = "auto", prompt: str = "page") -> list[Outcome]:
    """What comes of a call and a check with each key."""
    providers = open_all(base_url, api)
    calls = [try_it(draw(provider, prompt)) for provider in providers]
    checks = [try_it(provider.check()) for provider in providers]
    outcomes = await asyncio.gather(*calls, *checks)
    for provider in providers:
        await provider.close()
    return outcomes


def read_all(outcome: Outcome) -> str:
    """Everything that an outcome may show, wherever it is printed."""
    if isinstance(outcome, ProviderError):
        return f"{outcome} {outcome!r} {vars(outcome)}"
    return outcome if isinstance(outcome, str) else f"{outcome!r} {msgspec.to_builtins(outcome)}"


def find_leaks(outcomes: list[Outcome]) -> list[str]:
    parts = {key[at : at + 8] for key in KEYS for at in range(len(key) - 7)}
    shown = [read_all(outcome) for outcome in outcomes]
    return [text for text in shown if any(part in text for part in parts)]


def echo_json(status: int, **more: Any) -> Echo:
    """An error that quotes the key in every place where there are words."""

    def say(key: str) -> CallbackResult:
        words = f"Incorrect API key provided: {key[:14]}…{key[-9:]} ({key})"
        error = {"message": words, "code": key, "type": key, "metadata": {"raw": words}}
        body = {"error": error, "id": key, "model": key, "usage": {"cost": 1, key: [key]}, **more}
        return CallbackResult(status=status, payload=body, headers={"x-request-id": key})

    return say


def echo_page(status: int, page: str) -> Echo:
    return lambda key: CallbackResult(
        status=status, body=page.format(key=escape(key)), content_type="text/html"
    )


def echo_picture(key: str) -> CallbackResult:
    """A good answer that has the key wherever words are."""
    body = {
        "data": [{"b64_json": "iVBORw0KGgo=", "revised_prompt": f"with {key} on it"}],
        "model": key,
        "id": key,
        "usage": {"cost": 0.1, "by": {key: key}},
    }
    return CallbackResult(payload=body, headers={"x-generation-id": key})


def echo_prose(key: str) -> CallbackResult:
    message = {"role": "assistant", "content": f"I cannot draw {key}."}
    return CallbackResult(payload={"choices": [{"finish_reason": key, "message": message}]})


def redirect(key: str) -> CallbackResult:
    return CallbackResult(status=302, headers={"Location": f"https://elsewhere.example/?k={key}"})


def point_at(address: str) -> Echo:
    return lambda key: CallbackResult(payload={"data": [{"url": address.format(key=key)}]})


ECHOES: dict[str, Echo] = {
    **{f"{status} JSON": echo_json(status) for status in (200, 400, 401, 402, 403, 404, 429, 503)},
    "401 page": echo_page(401, "<html><title>401</title><b>{key}</b> is no key</html>"),
    "502 page, in its title": echo_page(502, "<html><title>502 for {key}</title></html>"),
    "200 page": echo_page(200, "<!doctype html><title>Hello {key}</title>"),
    "plain text": lambda key: CallbackResult(
        status=500, body=f"panic: Authorization: Bearer {key}"
    ),
    "picture": echo_picture,
    "prose": echo_prose,
    "redirect": redirect,
    "address with the key": point_at("http://127.0.0.1:9/{key}.png?key={key}"),
    "address that is none": point_at("https://[{key}/a.png"),
    "address of another kind": point_at("{key}://a.png"),
    "list of models": lambda key: CallbackResult(payload={"data": [{"id": key}]}),
    "label": lambda key: CallbackResult(payload={"data": {"label": f"my {key[:12]}", "usage": 1}}),
}


@pytest.mark.parametrize("base_url", [BASE, OPENROUTER])
@pytest.mark.parametrize("name", ECHOES)
async def test_no_echo_of_a_key_is_shown(name: str, base_url: str) -> None:
    def reply(_: object, *, headers: dict[str, str], **__: Any) -> CallbackResult:
        return ECHOES[name](headers["Authorization"].removeprefix("Bearer "))

    with aioresponses(passthrough=["http://127.0.0.1"]) as fake:
        for path in ("/images", "/images/generations", "/chat/completions"):
            fake.post(base_url + path, callback=reply, repeat=True)
        for path in ("/key", "/models"):
            fake.get(base_url + path, callback=reply, repeat=True)
        outcomes = await try_all(base_url)
    assert len(outcomes) == 2 * len(KEYS)
    assert find_leaks(outcomes) == []


def test_a_leak_would_be_found() -> None:
    for key in KEYS:
        outcomes: list[Outcome] = ["fine", f"key {key[5:14]}", ProviderError(key), drawn_with(key)]
        assert len(find_leaks(outcomes)) == 3


def drawn_with(key: str) -> Drawn:
    return Drawn(provider="images", model="m", usage={"by": [key]})


async def test_connection_that_is_refused_shows_no_key() -> None:
    for api in SHAPES:
        outcomes = await try_all("http://127.0.0.1:9/v1", api)
        assert all(isinstance(outcome, ProviderError) for outcome in outcomes)
        assert find_leaks(outcomes) == []


@pytest.mark.slow
async def test_bad_encryption_shows_no_key(server_tls: ssl.SSLContext) -> None:
    async with Upstream(tls=server_tls) as upstream:
        outcomes = await try_all(upstream.base_url)
        assert not upstream.bill.calls
    assert all(isinstance(outcome, ProviderError) for outcome in outcomes)
    assert find_leaks(outcomes) == []


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
async def test_no_fault_of_the_emulator_shows_a_key(shape: Any) -> None:
    faults = [fault for fault in FAULTS.values() if shape in fault.shapes]

    few = asyncio.Semaphore(8)

    async def play(fault: Fault) -> list[Outcome]:
        async with few, Upstream(Plan()) as upstream:
            base_url = upstream.google_url if shape == "gemini" else upstream.base_url
            return await try_all(base_url, shape, f"page [[fault:{fault.name}]]")

    outcomes = await asyncio.gather(*map(play, faults))
    assert [leak for some in outcomes for leak in find_leaks(some)] == []


async def test_key_never_follows_an_address_or_a_redirect(upstream: Upstream) -> None:
    for fault in ("F27_url", "F27_redirect", "X_redirect"):
        await try_all(upstream.base_url, prompt=f"page [[fault:{fault}]]")
    asked = [visit for visit in upstream.bill.visits if visit.path.startswith("/files/")]
    assert asked
    for visit in asked:
        assert not any(key in f"{visit.headers}" for key in KEYS)
