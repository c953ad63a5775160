"""What one value's type cannot say: how settings must look, and go together."""

import math
import re
from typing import Final
from urllib.parse import urlsplit

import msgspec

from slideloom.errors import SettingsError
from slideloom.settings.values import UNITS_S, Settings, read_list

LONG_KEY: Final = 16
"""Characters from which on the last four give nothing away, and nobody guesses the whole."""
_NETWORK_APIS = ("images", "chat", "gemini")
_OBJECT_STORE = re.compile(
    r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[\w!()*'-][\w.!()*'-]*)*/?", re.ASCII
)
"""A bucket and a prefix. Source: Amazon's rules for both, its characters that are safe anywhere."""
_TOKEN = re.compile(r"[A-Za-z0-9._-]{1,64}:[!-~]+")
_HOST = re.compile(r"(\*\.)?[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\]")
"""A name, all below a name, or an address; ports do not count."""
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://([a-z0-9_.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")
"""Not `null`, which any page can send from a frame without an origin: it would be as wide as *."""
_QUOTA = re.compile(rf"0|[1-9][0-9]{{0,8}} ?/ ?({'|'.join(UNITS_S)})")
_PUBLIC_PATHS = ("/assets", "/static", "/healthz", "/readyz", "/metrics")


def check(settings: Settings) -> None:
    """Make sure that the service can be as it is told to.

    Raises:
        SettingsError: it cannot, in words for the operator.
    """
    _check_cluster(settings)
    _check_tokens(settings)
    limits_usd = {
        "MAX_COST_USD": settings.max_cost_usd,
        "MAX_COST_PER_DAY": settings.max_cost_per_day,
    }
    for name, limit_usd in limits_usd.items():
        if not math.isfinite(limit_usd or 0.0):
            message = f"{name} must be a number of dollars; leave it empty for no limit"
            raise SettingsError(message)
    if settings.llm_image_api in _NETWORK_APIS and not settings.image_keys:
        message = f"LLM_IMAGE_API={settings.llm_image_api} needs LLM_IMAGE_API_KEY or LLM_API_KEY"
        raise SettingsError(message)
    if not all(key.isascii() and key.isprintable() for key in settings.secrets):
        message = "a key holds a line break or a strange character; check how it was pasted"
        raise SettingsError(message)
    if not _is_url(settings.image_base):
        message = f"the provider's base address is not a URL: {settings.image_base!r}"
        raise SettingsError(message)
    _check_image_store(settings)
    is_path = re.fullmatch(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+", settings.api_prefix)
    if not is_path or settings.api_prefix.startswith(_PUBLIC_PATHS):
        message = f"API_PREFIX={settings.api_prefix!r} is not a path like /api"
        raise SettingsError(message)
    _check_doors(settings)


def _check_doors(settings: Settings) -> None:
    for name, text in (
        ("ALLOWED_ORIGINS", settings.allowed_origins),
        ("ALLOWED_HOSTS", settings.allowed_hosts),
    ):
        try:
            wildcard = "*" in read_list(text)
        except msgspec.DecodeError as error:
            message = f"{name} is neither a comma list nor a JSON list"
            raise SettingsError(message) from error
        if wildcard:
            message = f"{name} must list names; * would let any web page spend your money"
            raise SettingsError(message)
    for origin in settings.origins:
        if _ORIGIN.fullmatch(origin) is None:
            message = (
                f"ALLOWED_ORIGINS: {origin!r} is not an origin like https://slides.example.com"
            )
            raise SettingsError(message)
    for host in settings.hosts:
        if _HOST.fullmatch(host) is None:
            message = f"ALLOWED_HOSTS: {host!r} is not a name like slides.example.com"
            raise SettingsError(message)
    if _QUOTA.fullmatch(settings.rate_limit) is None:
        message = f"RATE_LIMIT={settings.rate_limit!r} is not like 600/minute"
        raise SettingsError(message)


def _check_tokens(settings: Settings) -> None:
    """Nothing of the setting is repeated: it is all secrets."""
    pairs = [pair.strip() for pair in settings.api_tokens.split(",") if pair.strip()]
    if settings.api_tokens and not pairs:
        message = "API_TOKENS is set, but holds no token"
        raise SettingsError(message)
    if not all(_TOKEN.fullmatch(pair) for pair in pairs):
        message = (
            "API_TOKENS must be name:secret pairs in a comma list; a name has letters, digits"
            " and . _ -, a secret no spaces"
        )
        raise SettingsError(message)
    if not len(pairs) == len(settings.tokens) == len(set(settings.tokens.values())):
        message = "API_TOKENS has the same name or the same secret twice"
        raise SettingsError(message)


def _check_cluster(settings: Settings) -> None:
    if bool(settings.store) != bool(settings.queue):
        message = "STORE and QUEUE go together: set both to a redis:// address, or neither"
        raise SettingsError(message)
    for name, address in (("STORE", settings.store), ("QUEUE", settings.queue)):
        if address and not _is_redis(address):
            message = (
                f"{name} must be an address like redis://:password@host:6379/0"
                " (in the password, / is written %2F, @ is written %40 and : is written %3A)"
            )
            raise SettingsError(message)


def _is_redis(text: str) -> bool:
    """Whether it leads to a server: without a host, clients silently take localhost."""
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    if parts.scheme == "unix":
        return bool(parts.path)
    is_number = re.fullmatch(r"/?|/\d+", parts.path) is not None
    return parts.scheme in {"redis", "rediss"} and bool(host) and is_number


def _check_image_store(settings: Settings) -> None:
    if not settings.image_store:
        return
    if _OBJECT_STORE.fullmatch(settings.image_store) is None:
        # Not repeated: some write the key into it.
        message = "IMAGE_STORE must be like s3://bucket or s3://bucket/prefix"
        raise SettingsError(message)
    if settings.aws_endpoint_url and not _is_url(settings.aws_endpoint_url):
        message = f"AWS_ENDPOINT_URL={settings.aws_endpoint_url!r} is not a URL"
        raise SettingsError(message)
    if bool(settings.aws_access_key_id) != bool(settings.aws_secret_access_key):
        message = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are needed both, or neither"
        raise SettingsError(message)


def _is_url(text: str) -> bool:
    try:
        base = urlsplit(text)
    except ValueError:
        return False
    return base.scheme in {"http", "https"} and bool(base.hostname)


def find_exposure(settings: Settings) -> str | None:
    """Why it must not be served so, in words; `None`: it may."""
    if not settings.is_exposed or settings.tokens or settings.insecure:
        return None
    return (
        f"HOST={settings.host} is reached from other machines, and without API_TOKENS everybody"
        " there could make decks at your cost: set API_TOKENS, or start with --insecure"
    )


def find_doubts(settings: Settings) -> list[str]:
    """What is allowed and better were otherwise, in words."""
    weak = [name for name, secret in settings.tokens.items() if len(secret) < LONG_KEY]
    return [
        f"the secret of API_TOKENS' {name} can be guessed: take {LONG_KEY} characters or more"
        for name in weak
    ]
