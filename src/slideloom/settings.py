"""Every setting: name, meaning, default, and where its value comes from.

Precedence: command line > environment > `.env` in the working folder > default.
Source: contract section 9. `.env.example` lists the same, held equal by a test.
"""

import difflib
import math
import re
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec
from dotenv import dotenv_values
from msgspec import Meta, Struct

from slideloom.domain.advice import CurrentConfig
from slideloom.errors import SettingsError

ImageApi = Literal["auto", "images", "chat", "gemini", "local"]
_NETWORK_APIS = ("images", "chat", "gemini")

_Count = Annotated[int, Meta(ge=1)]
_Seconds = Annotated[float, Meta(gt=0)]
_OUR_PREFIXES = ("BATCH_", "LLM_")
"""Unknown names that begin so are most likely misspelt settings."""
_OLD_NAMES = {
    "LLM_TIMEOUT_SECONDS": "SLIDE_TIMEOUT_SECONDS",
    "AWS_ENDPOINT_URL_S3": "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT": "AWS_ENDPOINT_URL",
    "AWS_DEFAULT_REGION": "AWS_REGION",
}
"""The original service's names for settings of ours, and others' for AWS's; the new name wins."""
_SECRETS = (
    "API_TOKENS",
    "LLM_API_KEY",
    "LLM_IMAGE_API_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
)
_OBJECT_STORE = re.compile(
    r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[\w!()*'-][\w.!()*'-]*)*/?", re.ASCII
)
"""A bucket and a prefix. Source: Amazon's rules for both, its characters that are safe anywhere."""
_LONG_KEY = 16
"""Characters from which on the last four give nothing away."""
_TOKEN = re.compile(r"[A-Za-z0-9._-]{1,64}:[!-~]+")
_HOST = re.compile(r"(\*\.)?[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\]")
"""A name, all below a name, or an address; ports do not count."""
_UNITS_S = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
_QUOTA = re.compile(rf"0|[1-9][0-9]{{0,8}} ?/ ?({'|'.join(_UNITS_S)})")
_PUBLIC_PATHS = ("/assets", "/static", "/healthz", "/readyz", "/metrics")


class RequestQuota(Struct, frozen=True):
    """So many requests in so long."""

    count: int
    window_s: int


class Settings(Struct, frozen=True, kw_only=True, rename="upper"):
    """The service's settings; each field is the environment variable of its name."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: Annotated[int, Meta(ge=0, le=65535)] = 8000
    """Port to listen on; 0 takes a free one."""
    data_dir: str = "data"
    """Folder of the database."""
    log_dir: str = "logs"
    """Folder of the log files."""
    image_output_dir: str = "static/assets"
    """Folder of the pictures; with IMAGE_STORE, of those that are on their way there."""
    image_store: str = ""
    """Object storage for the pictures, as s3://bucket/prefix; not set: IMAGE_OUTPUT_DIR."""
    aws_endpoint_url: str = ""
    """Address of the object storage; not set: Amazon's own."""
    aws_region: str = ""
    """Region of its bucket."""
    aws_access_key_id: str = ""
    """Key for it; not set: what the cloud's machine knows by itself."""
    aws_secret_access_key: str = ""
    """Secret of that key."""
    aws_session_token: str = ""
    """Token of a key that is only lent."""
    store: str = ""
    """Redis that keeps all batches, for several processes: redis://host:6379/0; none: DATA_DIR."""
    queue: str = ""
    """Redis that carries batches to `slideloom worker`; set with STORE. None: made in-process."""
    api_prefix: str = "/api"
    """In front of every API route."""
    api_tokens: str = ""
    """Who may use the API, as name:secret pairs (comma list); none: whoever reaches it."""
    rate_limit: str = "600/minute"
    """Requests each token may send, in a second, minute, hour or day; 0: any number."""
    insecure: bool = False
    """Listen beyond this machine though there are no API_TOKENS."""
    allowed_hosts: str = ""
    """Names the service is reached by, besides loopback: comma list or JSON list; *.name too."""
    allowed_origins: str = (
        "http://localhost:3000,http://localhost:5173,http://127.0.0.1:3000,http://127.0.0.1:5173"
    )
    """Origins of other web pages that may call the API: comma list or JSON list."""

    llm_api_key: str = ""
    """API key of the image provider, or several (comma list); none: the embedded renderer."""
    llm_api_base: str = "https://openrouter.ai/api/v1"
    """Base address of the image provider."""
    llm_image_api_key: str = ""
    """Wins over LLM_API_KEY when set."""
    llm_image_api_base: str = ""
    """Wins over LLM_API_BASE when set."""
    llm_image_model: str = "google/gemini-3-pro-image-preview"
    """Image model."""
    fallback_model: str = ""
    """Model asked while the first one is down or has no room; never after a refusal."""
    llm_image_api: ImageApi = "auto"
    """Shape of the provider's interface: auto, images, chat, gemini or local."""
    llm_image_path: str = ""
    """Path of the images shape, when auto guesses wrong: /images or /images/generations."""

    lane_start: Annotated[int, Meta(ge=1, le=1000)] = 8
    """Calls at once with one key at first; the service finds out how many the provider takes."""
    max_cost_usd: Annotated[float, Meta(ge=0)] | None = None
    """The most one batch may cost, in US dollars; not set: no limit."""
    max_cost_per_day: Annotated[float, Meta(ge=0)] | None = None
    """The most each token may spend in a UTC day, in US dollars; without tokens: all together."""
    cache_ttl_hours: Annotated[float, Meta(ge=0)] = 24
    """Hours in which a like request gets the same picture, unpaid; 0: never."""
    cache_max_mb: Annotated[int, Meta(ge=0)] = 10_240
    """Pictures the cache points at, in MB; beyond it the oldest are forgotten, never removed."""
    aspect_fix: Literal["off", "crop", "pad"] = "off"
    """What is done to a picture whose ratio is off by more than 3 %."""

    batch_default_workers: _Count = 3
    """Slides of one batch under way at once, unless the request says."""
    batch_max_workers: _Count = 10
    """The most a request may ask for."""
    batch_max_concurrent: _Count = 50
    """Batches running at once; the rest wait as pending."""
    batch_cleanup_hours: _Seconds = 24
    """Hours a finished batch's record is kept; pictures stay."""
    batch_timeout_seconds: Annotated[float, Meta(ge=0)] = 0
    """Seconds a batch may run; 0: max(600, 120 x rounds of workers)."""
    batch_wait_seconds: _Seconds = 300
    """Seconds a waiting batch/generate call waits before it answers `running`."""
    slide_timeout_seconds: _Seconds = 120
    """Seconds one call to the provider may take (old name LLM_TIMEOUT_SECONDS)."""
    retry_no_image: Annotated[int, Meta(ge=0)] = 1
    """Further calls after an answer without a picture (each may be billed)."""
    backoff_base_seconds: _Seconds = 1
    """Upper end of the first back-off before a retry; each further one doubles it, up to 30."""
    resume_in_flight: Literal["fail", "retry"] = "fail"
    """What becomes, after a crash, of a slide whose paid call was under way: fail or retry."""
    stop_grace_seconds: Annotated[float, Meta(ge=0)] = 30
    """Seconds running calls get to end when the service is told to stop."""
    min_free_mb: Annotated[int, Meta(ge=0)] = 64
    """Free disk space below which no picture is ordered, in MB."""
    log_retention_days: Annotated[int, Meta(ge=1, le=36500)] = 30
    """Days log files are kept."""
    image_retention_days: Annotated[int, Meta(ge=0, le=36500)] = 0
    """Days pictures are kept, whoever still points at them; 0: for ever."""

    @property
    def image_keys(self) -> tuple[str, ...]:
        """The keys that count, in the order given."""
        keys = (self.llm_image_api_key or self.llm_api_key).split(",")
        return tuple(dict.fromkeys(key.strip() for key in keys if key.strip()))

    @property
    def image_base(self) -> str:
        """The base address that counts, without a slash at its end."""
        return (self.llm_image_api_base or self.llm_api_base).rstrip("/")

    @property
    def origins(self) -> list[str]:
        """`allowed_origins` as a list."""
        return _read_list(self.allowed_origins)

    @property
    def hosts(self) -> list[str]:
        """`allowed_hosts` as a list."""
        return _read_list(self.allowed_hosts)

    @property
    def is_exposed(self) -> bool:
        """Whether it listens beyond this machine."""
        try:
            return not ip_address(self.host).is_loopback
        except ValueError:
            return self.host.lower() != "localhost"

    @property
    def tokens(self) -> dict[str, str]:
        """The secret of each name in `api_tokens`."""
        pairs = [pair.strip().partition(":") for pair in self.api_tokens.split(",") if pair.strip()]
        return {name.strip(): secret.strip() for name, _, secret in pairs}

    @property
    def request_quota(self) -> RequestQuota | None:
        """`rate_limit` in numbers; `None`: no limit."""
        count, _, unit = self.rate_limit.partition("/")
        return RequestQuota(int(count), _UNITS_S[unit.strip()]) if int(count) else None

    @property
    def current_config(self) -> CurrentConfig:
        """The batch limits, as the advice routes show them."""
        return CurrentConfig(
            batch_default_workers=self.batch_default_workers,
            batch_max_workers=self.batch_max_workers,
            batch_max_concurrent=self.batch_max_concurrent,
            batch_cleanup_hours=self.batch_cleanup_hours,
        )

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be seen in a log or an answer: each key, and all as they were set."""
        texts = (
            self.llm_api_key,
            self.llm_image_api_key,
            self.aws_access_key_id,
            self.aws_secret_access_key,
            self.aws_session_token,
        )
        parts = [part.strip() for text in texts for part in (text, *text.split(","))]
        parts += self.tokens.values()
        parts += [urlsplit(address).password or "" for address in (self.store, self.queue)]
        return tuple(sorted({part for part in parts if part}, key=len, reverse=True))


def load_settings(
    environ: Mapping[str, str],
    *,
    env_file: Path | None = None,
    overrides: Mapping[str, str | None] | None = None,
) -> tuple[Settings, list[str]]:
    """Settings from the command line (`overrides`), `environ` and `env_file`.

    Returns:
        The settings, and warnings for the operator in words.

    Raises:
        SettingsError: a value is of the wrong kind, or asks for what is not there.
    """
    merged = {
        name: value
        for _, values in _read_sources(environ, env_file, overrides)
        for name, value in values.items()
    }
    for old, new in _OLD_NAMES.items():
        if old in merged:
            merged.setdefault(new, merged[old])
    known = {field.encode_name for field in msgspec.structs.fields(Settings)}
    try:
        settings = msgspec.convert(
            {name: value.strip() for name, value in merged.items() if name in known},
            Settings,
            strict=False,
        )
    except msgspec.ValidationError as error:
        raise SettingsError(_explain(error, merged)) from error
    _check(settings)
    empty = [
        f"{name} is set, but holds no key"
        for name in ("LLM_IMAGE_API_KEY", "LLM_API_KEY")
        if name in merged and not merged[name].strip(", ")
    ]
    return settings, _misspelt(merged, known) + empty + _weak_tokens(settings)


class TracedSetting(Struct, frozen=True, kw_only=True):
    """One setting as it is in force, and who says so."""

    name: str
    value: object
    """A key is masked."""
    source: str
    """`default`, `.env`, `environment` or `command line`; with the old name where that was used."""


def trace_settings(
    environ: Mapping[str, str],
    *,
    env_file: Path | None = None,
    overrides: Mapping[str, str | None] | None = None,
) -> list[TracedSetting]:
    """Every setting with its value and where that comes from; arguments as `load_settings`.

    Raises:
        SettingsError: as `load_settings`.
    """
    settings, _ = load_settings(environ, env_file=env_file, overrides=overrides)
    source_of = {
        name: source
        for source, values in _read_sources(environ, env_file, overrides)
        for name in values
    }
    for old, new in _OLD_NAMES.items():
        if old in source_of:
            source_of.setdefault(new, f"{source_of[old]} ({old})")
    return [
        TracedSetting(
            name=field.encode_name,
            value=_mask(field.encode_name, getattr(settings, field.name)),
            source=source_of.get(field.encode_name, "default"),
        )
        for field in msgspec.structs.fields(Settings)
    ]


def _read_sources(
    environ: Mapping[str, str],
    env_file: Path | None,
    overrides: Mapping[str, str | None] | None,
) -> list[tuple[str, dict[str, str]]]:
    """What each source sets, the one that wins last."""
    from_file = _read_env_file(env_file) if env_file is not None and env_file.is_file() else {}
    sources = ((".env", from_file), ("environment", environ), ("command line", overrides or {}))
    # An empty value is how compose files and .env.example say "not set".
    return [
        (name, {key: value for key, value in values.items() if value and value.strip()})
        for name, values in sources
    ]


def _mask(name: str, value: object) -> object:
    """The value, unless it is a key (its last characters tell which) or an address with one."""
    if name in _SECRETS and value:
        keys = [key.strip() for key in str(value).split(",") if key.strip()]
        return ",".join(f"••••{key[-4:] if len(key) >= _LONG_KEY else ''}" for key in keys)
    if isinstance(value, str) and "://" in value:
        return re.sub(r"(?<=://)\S*@", "••••@", value)  # a password may hold any character
    return value


def _read_env_file(path: Path) -> dict[str, str | None]:
    try:
        return dotenv_values(path, encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"{path} is not UTF-8 text; save it as UTF-8"
        raise SettingsError(message) from error
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror}"
        raise SettingsError(message) from error


_CHOICES = {
    "LLM_IMAGE_API": "must be auto, images, chat, gemini or local",
    "ASPECT_FIX": "must be off, crop or pad",
    "RESUME_IN_FLIGHT": "must be fail or retry",
}
_PLAIN_WORDS = (
    (r"Expected `int`, got `str`", "must be a whole number"),
    (r"Expected `float( \| null)?`, got `str`", "must be a number"),
    (r"Expected `(?:int|float)(?: \| null)?` (>=?|<=?) (\S+)", r"must be \1 \2"),
)


def _explain(error: msgspec.ValidationError, merged: Mapping[str, str]) -> str:
    message, _, place = str(error).partition(" - at `$.")
    name = place.rstrip("`")
    message = _CHOICES.get(name, message)
    for theirs, ours in _PLAIN_WORDS:
        message = re.sub(theirs, ours, message)
    return f"{name}={merged.get(name, '')!r}: {message}" if name in merged else str(error)


def _check(settings: Settings) -> None:
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
            wildcard = "*" in _read_list(text)
        except msgspec.DecodeError as error:
            message = f"{name} is neither a comma list nor a JSON list"
            raise SettingsError(message) from error
        if wildcard:
            message = f"{name} must list names; * would let any web page spend your money"
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


def _weak_tokens(settings: Settings) -> list[str]:
    weak = [name for name, secret in settings.tokens.items() if len(secret) < _LONG_KEY]
    return [
        f"the secret of API_TOKENS' {name} can be guessed: take {_LONG_KEY} characters or more"
        for name in weak
    ]


def _read_list(text: str) -> list[str]:
    if text.lstrip().startswith("["):
        return msgspec.json.decode(text, type=list[str])
    return [item.strip() for item in text.split(",") if item.strip()]


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


def _misspelt(merged: Mapping[str, str], known: set[str]) -> list[str]:
    warnings = []
    for name in sorted(merged):
        if name.startswith(_OUR_PREFIXES) and name not in known | set(_OLD_NAMES):
            near = difflib.get_close_matches(name, known | set(_OLD_NAMES), n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            warnings.append(f"unknown setting {name}{hint}")
    return warnings
