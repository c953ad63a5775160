"""The way to a service: one that runs, or one started here for as long as a command takes."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from dotenv import dotenv_values
from msgspec import Struct

from slideloom.cli.output import Output
from slideloom.cli.words import find_language, tell
from slideloom.client import (
    AsyncClient,
    Busy,
    ClientError,
    Unreachable,
)
from slideloom.client.tokens import VARIABLE
from slideloom.errors import SettingsError
from slideloom.settings import Settings, load_settings

_FIRST_CONTACT_S = 3.0
"""A service that is asked for by name may just be starting."""
_PATIENCE_S = 120.0
"""Once it has answered: a restart in the middle is sat out."""
_UNSEEN = ""
"""No token: nobody has named the service, so it may be anything that listens there."""
_THIS_MACHINE = {"127.0.0.1", "::1", "0.0.0.0", "::"}  # noqa: S104 - nothing is bound to it here
OWN_PREFIX = "/api"
"""Of a service that is started here; others have that of `API_PREFIX`."""


class Reached(Struct, frozen=True):
    """A service that answers."""

    client: AsyncClient
    url: str
    is_embedded: bool = False


def _load_settings() -> Settings:
    """As `slideloom serve` has them when it is started in this folder."""
    try:
        settings, _ = load_settings(os.environ, env_file=Path(".env"))
    except SettingsError:
        return Settings()  # their owner is told when they are served
    return settings


def default_url() -> str:
    """Where `slideloom serve` listens when it is started in this folder."""
    settings = _load_settings()
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    here = "localhost" if settings.host in _THIS_MACHINE else host
    return f"http://{here}:{settings.port or 8000}"


def is_near(server: str) -> bool:
    """Whether that service is this machine's or this folder's, whoever names it."""
    url = _to_url(server)
    return url == default_url() or urlsplit(url).hostname in {"localhost", *_THIS_MACHINE}


def find_token(given: str | None) -> str:
    """The token that was given, an empty one too, else that of `.env`; empty: none."""
    if given is not None:
        return given
    with suppress(OSError, UnicodeDecodeError):  # its owner is told when it is served
        return dotenv_values(Path(".env"), encoding="utf-8-sig").get(VARIABLE) or ""
    return ""


def _to_url(server: str) -> str:
    """What was typed, as an address."""
    return server if "://" in server else f"http://{server}"


async def is_served(url: str, *, patience_s: float, token: str) -> bool:
    """Whether a Slideloom answers there, be it ready or not.

    Raises:
        UnexpectedAnswer: something else does.
    """
    async with AsyncClient(
        url, patience_s=patience_s, language=find_language(), token=token
    ) as client:
        try:
            await client.ready()
        except Busy:
            return True
        except Unreachable:
            return False
    return True


@asynccontextmanager
async def reach(server: str | None, token: str | None, output: Output) -> AsyncIterator[Reached]:
    """The service at `server`, or where one is served from this folder.

    `token`: `None` is that of `.env`, an empty one none at all.

    Raises:
        Unreached: none answers.
    """
    url = _to_url(server) if server else default_url()
    token = find_token(token)
    patience_s, shown = (_FIRST_CONTACT_S, token) if server else (0.0, _UNSEEN)
    if not await is_served(url, patience_s=patience_s, token=shown):
        raise Unreached(url)
    async with open_client(url, output, token=token) as reached:
        yield reached


@asynccontextmanager
async def reach_or_embed(
    *, home: Path, is_embedded: bool, token: str | None, output: Output
) -> AsyncIterator[Reached]:
    """The service of this folder where one answers, else one of its own with its files in `home`.

    `is_embedded`: the latter in any case.

    Raises:
        SettingsError, StoreError: none can be started here.
    """
    url = default_url()
    if not is_embedded and await _is_somebody_there(url):
        async with open_client(url, output, token=find_token(token)) as reached:
            yield reached
        return
    from slideloom.cli.embedded import embedded_service  # noqa: PLC0415 - the whole service

    if not is_embedded:
        output.note(tell("No service is running: making the deck here."))
    async with (
        embedded_service(home, output) as own,
        open_client(own, output, token=_UNSEEN, is_embedded=True) as reached,
    ):
        yield reached


async def _is_somebody_there(url: str) -> bool:
    try:
        return await is_served(url, patience_s=0.0, token=_UNSEEN)
    except ClientError:
        return False  # something else listens there


@asynccontextmanager
async def open_client(
    url: str, output: Output, *, token: str, is_embedded: bool = False
) -> AsyncIterator[Reached]:
    """A client for a service that has answered."""
    prefix = OWN_PREFIX if is_embedded else _load_settings().api_prefix
    async with AsyncClient(
        url,
        api_prefix=prefix,
        patience_s=_PATIENCE_S,
        language=find_language(),
        token=token,
        on_wait=output.note_wait,
    ) as client:
        yield Reached(client, url, is_embedded)


class Unreached(Unreachable):
    """No service answers where one should."""

    def __init__(self, url: str) -> None:
        super().__init__(url, "nobody is there")

    def __str__(self) -> str:
        text = "No Slideloom answers at {url}. Start one: slideloom serve"
        return tell(text, url=self.url)
