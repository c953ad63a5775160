"""Every setting: name, meaning, default.

Source: contract section 9. `.env.example` lists the same, held equal by a test.
"""

from ipaddress import ip_address
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

from slideloom.domain.advice import CurrentConfig

ImageApi = Literal["auto", "images", "chat", "gemini", "local"]

_Count = Annotated[int, Meta(ge=1)]
_Seconds = Annotated[float, Meta(gt=0)]
UNITS_S: Final = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
"""Of a rate limit."""


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
    max_connections: _Count = 4096
    """Connections at once; fewer where the system lets the service open fewer files."""
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
        """`allowed_origins` as a list, as browsers send them."""
        return [origin.lower() for origin in read_list(self.allowed_origins)]

    @property
    def hosts(self) -> list[str]:
        """`allowed_hosts` as a list."""
        return read_list(self.allowed_hosts)

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
        return RequestQuota(int(count), UNITS_S[unit.strip()]) if int(count) else None

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


def read_list(text: str) -> list[str]:
    """A comma list, or a JSON list.

    Raises:
        msgspec.DecodeError: it begins as a JSON list and is none.
    """
    if text.lstrip().startswith("["):
        return msgspec.json.decode(text, type=list[str])
    return [item.strip() for item in text.split(",") if item.strip()]
