"""Whether a provider would serve, asked without paying: what it said, in a sentence."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import aiohttp

from slideloom.clock import wall_s
from slideloom.errors import AnswerLost, QuotaExhausted, RequestNotSent, UpstreamDown
from slideloom.providers.answers import Answer, Json, read_answer
from slideloom.providers.base import Checked
from slideloom.providers.bases import is_google, is_openrouter, read_place
from slideloom.providers.complaints import find_complaint, list_dicts
from slideloom.providers.http import ProviderLine
from slideloom.providers.outcomes import judge
from slideloom.providers.trouble import describe_break

_TIMEOUT_S = 10.0
_MOST_BYTES = 2 * 1024 * 1024
"""OpenRouter's whole list of models is half of it."""
_KEY_UNTRIED = "whether it takes the key shows at the first picture"
_NO_SUCH_PATH = frozenset({404, 405})
_KEY_PATH = "/key"
"""Source: contracts 1.9."""
_MODELS_PATH = "/models"
_GOOGLE_MODELS_PATH = "/models?pageSize=1000"
"""Without it Google tells the first fifty only."""


async def check_base(
    line: ProviderLine,
    *,
    base_url: str,
    headers: Mapping[str, str],
    models: Sequence[str],
    scrub: Callable[[str], str],
) -> Checked:
    """Ask what costs nothing: OpenRouter for the key's account, others for their models.

    Raises:
        ProviderError: it would not serve.
    """
    place = read_place(base_url)
    answer = await _fetch(line, base_url + choose_check_path(base_url), headers, place=place)
    if answer.status in _NO_SUCH_PATH:
        return Checked(f"{place} answers, but lists no models", _KEY_UNTRIED)
    if answer.is_page and answer.is_good:
        message = f"{place} answers with a web page, not as an API: {scrub(answer.words)}"
        raise UpstreamDown(message, http_status=answer.status)
    if not answer.is_good or find_complaint(answer, has_picture=False):
        error = judge(answer, has_picture=False, now_s=wall_s(), clean=scrub)
        if error:
            raise error
    if is_openrouter(base_url):
        return Checked(_describe_key(next(answer.objects, {}), place=place, scrub=scrub))
    return _describe_models(answer, models, place=place, is_key_tried=is_google(base_url))


def choose_check_path(base_url: str) -> str:
    """What is asked: it goes by whose base it is, for OpenRouter speaks two dialects."""
    if is_openrouter(base_url):
        return _KEY_PATH
    return _GOOGLE_MODELS_PATH if is_google(base_url) else _MODELS_PATH


async def _fetch(line: ProviderLine, url: str, headers: Mapping[str, str], *, place: str) -> Answer:
    try:
        async with asyncio.timeout(_TIMEOUT_S), line.send(url, headers=headers) as response:
            body = await _read(response.content)
            return read_answer(response.status, response.headers, body)
    except AnswerLost as error:
        raise RequestNotSent(error.detail) from error  # nothing was ordered
    except TimeoutError as error:
        message = f"{place} gave no answer within {_TIMEOUT_S:g} s"
        raise RequestNotSent(message) from error
    except (aiohttp.ClientError, OSError) as error:
        raise RequestNotSent(describe_break(error)) from error


async def _read(content: aiohttp.StreamReader) -> bytes:
    """The body, or so much of it as is worth having."""
    body = bytearray()
    while len(body) < _MOST_BYTES and (piece := await content.read(_MOST_BYTES - len(body))):
        body += piece
    return bytes(body)


def _describe_key(told: Json, *, place: str, scrub: Callable[[str], str]) -> str:
    data = told.get("data")
    account: Json = data if isinstance(data, dict) else {}
    left, used = _read_usd(account.get("limit_remaining")), _read_usd(account.get("usage"))
    if left is not None and left <= 0:
        message = f"{place} takes the key, but its limit is used up"
        raise QuotaExhausted(message)
    label = account.get("label")
    # The label is the key's first and last letters, unless somebody gave it a name.
    name = f" “{label}”" if isinstance(label, str) and label and scrub(label) == label else ""
    facts = [
        f"{place} takes the key{name}",
        f"${used:.2f} used" if used is not None else "",
        f"${left:.2f} left of its limit" if left is not None else "no limit of its own",
        "free tier" if account.get("is_free_tier") is True else "",
    ]
    return ", ".join(filter(None, facts))


def _describe_models(
    answer: Answer, models: Sequence[str], *, place: str, is_key_tried: bool
) -> Checked:
    names = {name for item in answer.objects for name in _list_names(item)}
    if not names:
        return Checked(f"{place} answers, but lists no models", _KEY_UNTRIED)
    amount = "1 model" if len(names) == 1 else f"{len(names)} models"
    known = set(map(_plain_name, names))
    there = [model for model in models if _plain_name(model) in known]
    missing = [model for model in models if model not in there]
    among = f", {' and '.join(there)} among them" if there else ""
    doubts = [f"{' and '.join(missing)} not among them"] if missing else []
    tried = "" if is_key_tried else f"; {_KEY_UNTRIED}"
    return Checked(f"{place} answers and lists {amount}{among}{tried}", ", ".join(doubts))


def _list_names(item: Json) -> Iterator[str]:
    """OpenAI's `data[].id`, Google's `models[].name`, or the objects of a bare list."""
    entries = [item, *list_dicts(item.get("data")), *list_dicts(item.get("models"))]
    for entry in entries:
        name = entry.get("id") or entry.get("name")
        if isinstance(name, str):
            yield name


def _plain_name(model: str) -> str:
    """Google lists `models/x` for what may be asked as `x` or `google/x`."""
    return model.removeprefix("models/").removeprefix("google/")


def _read_usd(told: Any) -> float | None:  # noqa: ANN401 - of whatever type it is told
    return float(told) if isinstance(told, int | float) and not isinstance(told, bool) else None
