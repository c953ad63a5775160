"""What the emulator shall do: the plan a test or bench sets."""

from typing import Literal

from msgspec import Struct

Shape = Literal["images", "chat", "gemini"]
"""How a picture is asked for: A images POST, B chat with images, C Gemini generateContent."""
MediaType = Literal["image/png", "image/jpeg", "image/webp"]


class Uniform(Struct, frozen=True, tag="uniform", tag_field="kind"):
    """Seconds drawn evenly between two bounds."""

    least_s: float
    most_s: float


class LogNormal(Struct, frozen=True, tag="lognormal", tag_field="kind"):
    """Seconds with a long tail, as image models really take them."""

    median_s: float
    sigma: float = 0.35
    """Spread of the logarithm; 0.35 puts the 99th percentile at 2.3 times the median."""
    most_s: float = 600.0


class Rule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A fault for every call that all the given conditions fit."""

    fault: str
    """`NAME` or `NAME:argument`; `ok` is a good answer."""
    contains: str = ""
    """Text the prompt holds."""
    page: int | None = None
    """Page the prompt names; see `Plan.page_pattern`."""
    nth: int | None = None
    """The n-th admitted call since the plan was set, from 1."""
    shape: Shape | None = None
    model: str | None = None
    times: int | None = None
    """How many calls at most; without it, all."""
    share: float = 1.0
    """Part of the fitting calls that get it; which ones follows from the seed and the prompts."""


class Plan(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that can be set; the default answers at once, well, and small."""

    seed: int = 0
    """Pictures and drawn seconds follow from it."""
    faults: tuple[str | Rule, ...] = ()
    """Rules apply where they fit; plain strings (`NAME`, `NAME:arg`, `NAME*3`, `ok`) are a queue,
    one call each, in order. A marker in the prompt goes before rules, rules before the queue."""
    page_pattern: str = r"(?i)\b(?:page|slide)\s*#?\s*(\d+)|第\s*(\d+)\s*页"
    """How a prompt names its page; the first group that matched."""

    media_type: MediaType = "image/png"
    """Type of the pictures unless the call asks for one (`output_format`)."""
    image_bytes: int = 0
    """Size of a picture; 0 is as small as it comes (a few KiB)."""
    latency_s: float | Uniform | LogNormal = 0.0
    """How long an image takes."""
    cost_usd: float = 0.0387
    """Price of one image. Source: OpenRouter's example for gemini-2.5-flash-image."""
    framing: Literal["length", "chunked", "close"] = "length"
    """How the end of a good JSON answer is told."""
    padding_every_s: float = 0.0
    """White space (chat, JSON) or comments (SSE) that often while working; 0 is none."""
    pad_images: bool = False
    """Pad shape A too. Source: whether `/images` does is not known."""
    stream: Literal["asked", "never", "always"] = "asked"
    """When an answer is an event stream; OpenRouter's non-streaming models ignore the wish."""
    partials: int = 0
    """Drafts in an event stream before the final picture (shape A)."""

    keys: tuple[str, ...] = ()
    """Keys taken; empty takes any."""
    revoke_after_calls: int | None = None
    """401 for every call after that many admitted ones."""
    balance_usd: float | None = None
    """402 when what is billed and being made leaves too little for one more."""
    rate_per_s: float | None = None
    """Token bucket: calls a second."""
    burst: int = 1
    """Token bucket: how many at once."""
    rate_hint: bool = True
    """Whether a 429 of the token bucket says Retry-After (whole seconds, rounded up)."""
    limit: int | None = None
    """Calls at once; 429 above."""
    limit_schedule: tuple[tuple[float, int], ...] = ()
    """`(t, n)`: from t seconds after the first call on, the limit is n."""
    limit_retry_after_s: float | None = None
    """Retry-After of a 429 of the limit; without it none is sent."""
    outages: tuple[tuple[float, float], ...] = ()
    """`(from, to)` seconds after the first call: everything is `outage_status`."""
    outage_status: int = 503
    reject_latency_s: float = 0.0
    """How long a rejection takes to come."""

    missing_paths: tuple[str, ...] = ()
    """Path endings that do not exist here: 404, or 405 with `missing_status`."""
    missing_status: int = 404
    missing_html: bool = False
    image_only_models: tuple[str, ...] = ()
    """Models whose chat form refuses `modalities` with text (F22)."""
    files_base: str | None = None
    """Where answers by URL point to; default is this emulator's own `/files`."""
    stale_after_s: float | None = None
    """A kept connection idle longer is dropped, without a byte, when a request comes on it."""
    record_bodies: bool = True
    """Whether the bill keeps request bodies; benches may save the memory."""
