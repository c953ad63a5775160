"""What `slideloom check` looks at, unpaid: settings, folders, servers, each key at its provider."""

import os
import shutil
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Literal

from msgspec import Struct

from slideloom.assembly.lanes import open_providers
from slideloom.assembly.places import check_image_store
from slideloom.domain.prices import find_price
from slideloom.errors import (
    AuthFailed,
    ProviderError,
    QuotaExhausted,
    SettingsError,
    StoreUnusable,
)
from slideloom.providers.base import Provider
from slideloom.settings import Settings
from slideloom.settings.checks import find_exposure

_MB = 1024 * 1024

Trouble = Literal["none", "doubt", "here", "account", "provider"]
"""Who must act: nobody, nobody yet, the operator of this machine, of the account, the provider."""


class Finding(Struct, frozen=True):
    """One thing that was looked at."""

    part: str
    words: str
    """What was found, in a sentence."""
    trouble: Trouble = "none"


async def check_all(settings: Settings, warnings: Sequence[str]) -> AsyncIterator[Finding]:
    """Look at everything the service needs, one after the other; nothing is paid or changed.

    But for a small object that is put into IMAGE_STORE and taken away again.
    """
    yield Finding("settings", "read from the environment and .env")
    for warning in warnings:
        yield Finding("settings", warning, "doubt")
    yield _check_access(settings)
    yield _check_folder("DATA_DIR", settings.data_dir, least_mb=settings.min_free_mb)
    yield _check_folder("LOG_DIR", settings.log_dir, least_mb=0)
    yield _check_folder(
        "IMAGE_OUTPUT_DIR", settings.image_output_dir, least_mb=settings.min_free_mb
    )
    if settings.image_store:
        yield await _check_image_store(settings)
    for name, url, prefix in (
        ("STORE", settings.store, ""),
        ("QUEUE", settings.queue, "streaq:slideloom:"),
    ):
        if url:
            for finding in await _check_redis(name, url, prefix):
                yield finding
    providers = open_providers(settings)
    try:
        for number, provider in enumerate(providers, 1):
            part = "provider" if len(providers) == 1 else f"key {number} of {len(providers)}"
            yield await _check_provider(part, provider, fallback=settings.fallback_model)
    finally:
        for provider in providers:
            await provider.close()
    for model in filter(None, (providers[0].model, settings.fallback_model)):
        if providers[0].bills:
            yield _check_price(model)


def _check_access(settings: Settings) -> Finding:
    """Who could make decks."""
    exposure = find_exposure(settings)
    if exposure is not None:
        return Finding("access", exposure, "here")
    if settings.tokens:
        return Finding("access", f"tokens of {', '.join(settings.tokens)}")
    return Finding("access", f"without tokens; listens at {settings.host}")


def _check_folder(name: str, folder: str, *, least_mb: int) -> Finding:
    place = Path(folder).absolute()
    while not place.exists():
        place = place.parent  # it will be made there
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        return Finding(name, f"{place} cannot be written", "here")
    free_mb = shutil.disk_usage(place).free // _MB
    if free_mb < least_mb:
        return Finding(name, f"{folder}: {free_mb} MB free, {least_mb} MB wanted", "here")
    return Finding(name, f"{folder} can be written, {free_mb} MB free")


async def _check_redis(name: str, url: str, prefix: str) -> list[Finding]:
    """What a server is like; `prefix` is of the keys that are needed there, if not ours."""
    try:
        from slideloom.stores.redis_link import PREFIX, RedisLink  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        return [Finding(name, f"{error.name} is missing: install slideloom[cluster]", "here")]
    try:
        link = await RedisLink.open(url, max_connections=2, prefix=prefix or PREFIX)
    except StoreUnusable as error:
        return [Finding(name, str(error), "here")]
    await link.close()
    findings = [Finding(name, f"Redis {link.version} answers at {link.place}")]
    return findings + [Finding(name, doubt, "doubt") for doubt in link.doubts]


async def _check_image_store(settings: Settings) -> Finding:
    try:
        await check_image_store(settings)
    except SettingsError as error:
        return Finding("IMAGE_STORE", str(error).removeprefix("IMAGE_STORE="), "here")
    return Finding("IMAGE_STORE", f"{settings.image_store} takes pictures")


async def _check_provider(part: str, provider: Provider, *, fallback: str) -> Finding:
    try:
        checked = await provider.check(*filter(None, (provider.model, fallback)))
    except (AuthFailed, QuotaExhausted) as error:
        return Finding(part, f"{error.code}: {error.detail}", "account")
    except ProviderError as error:
        return Finding(part, f"{error.code}: {error.detail}", "provider")
    words = f"{provider.name}: {checked.words}"
    if checked.doubt:
        return Finding(part, f"{words}; {checked.doubt}", "doubt")
    return Finding(part, words)


def _check_price(model: str) -> Finding:
    price = find_price(model)
    if price is None:
        words = (
            f"{model} is not in the price list; budgeted decks go one call at a time until a bill"
        )
        return Finding("price", words, "doubt")
    if price.low_usd == price.high_usd:
        return Finding("price", f"{model}: ${price.low_usd:g} a picture")
    return Finding("price", f"{model}: ${price.low_usd:g} to ${price.high_usd:g} a picture")
