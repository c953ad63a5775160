"""Paid providers, opened as the settings want them: one for each key, all of one mind."""

from collections.abc import Sequence
from typing import Literal, assert_never

from slideloom.providers.auto import AutoDialect
from slideloom.providers.bases import is_google, is_openrouter, read_base_url
from slideloom.providers.call import STALL_S, Dialect, NetworkProvider
from slideloom.providers.chat import ChatDialect
from slideloom.providers.download import Downloads
from slideloom.providers.gemini import GeminiDialect
from slideloom.providers.images import list_images_dialects

Api = Literal["auto", "images", "chat", "gemini"]


def open_network(  # noqa: PLR0913 - one base's facts, all named
    *,
    api: Api,
    base_url: str,
    keys: Sequence[str],
    model: str,
    path: str | None = None,
    stall_s: float = STALL_S,
    downloads: Downloads | None = None,
) -> list[NetworkProvider]:
    """One provider for each key; be on the running loop, and close every one of them.

    They share what is found out about the base, and the downloads, which are closed
    with the last of them.

    Args:
        api: the shape that is spoken, or `auto` to go by the base and what it answers.
        base_url: the API's base, as `https://openrouter.ai/api/v1`.
        keys: sent to the base alone.
        model: asked unless an order names another.
        path: where shape A makes images, behind the base; found out when not given.
        stall_s: longest silence in the middle of an answer.
        downloads: fetches answers by address; for public https only, when not given.

    Raises:
        SettingsError: the base is no web address.
    """
    dialect = choose_dialect(api, base_url=read_base_url(base_url), path=path)
    providers: list[NetworkProvider] = []
    for key in keys:
        downloads = downloads.hold() if downloads and providers else downloads
        downloads = downloads or Downloads(stall_s=stall_s)
        provider = NetworkProvider(
            dialect,
            base_url=base_url,
            key=key,
            model=model,
            stall_s=stall_s,
            downloads=downloads,
            secrets=keys,
        )
        providers.append(provider)
    return providers


def choose_dialect(api: Api, *, base_url: str, path: str | None = None) -> Dialect:
    """How a base is asked; `auto` knows OpenRouter and Google, and finds out the rest.

    Source: providers policy, choice of shape. A path that was given is not second-guessed.
    """
    images = list_images_dialects(base_url, path)
    match api:
        case "gemini":
            return GeminiDialect()
        case "chat":
            return ChatDialect()
        case "images":
            return AutoDialect(images)
        case "auto" if path or is_openrouter(base_url):
            return AutoDialect(images)
        case "auto" if is_google(base_url):
            return GeminiDialect()
        case "auto":
            return AutoDialect((*images, ChatDialect()))
    assert_never(api)
