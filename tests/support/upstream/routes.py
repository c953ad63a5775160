"""Which path is what, and the answers that are no images: discovery, account, files."""

import re
from typing import Any, Final

from msgspec import Struct

from tests.support.upstream.asks import Dialect
from tests.support.upstream.envelopes import html_page, openrouter_error
from tests.support.upstream.plan import Plan, Shape
from tests.support.upstream.scripts import refuse
from tests.support.upstream.steps import Script
from tests.support.upstream.wire import Head, read_key

_GEMINI_PATTERN: Final = re.compile(r".*/models/(.+):generateContent")
_ENDPOINTS_PATTERN: Final = re.compile(r".*/images/models/([^/]+/[^/]+)/endpoints")

MODELS: Final = (
    "google/gemini-3-pro-image-preview",
    "google/gemini-3.1-flash-image",
    "google/gemini-2.5-flash-image",
    "openai/gpt-image-2",
    "black-forest-labs/flux.2-pro",
)
"""Models told by discovery; others are served as well."""


class Generation(Struct, frozen=True):
    """A path that makes images."""

    shape: Shape
    dialect: Dialect
    model: str = ""
    """Where the path names it."""


def find_generation(method: str, path: str) -> Generation | None:
    """What images a path makes, if it does."""
    if method != "POST":
        return None
    if path.endswith("/images/generations"):
        return Generation("images", "openai")
    if path.endswith("/images"):
        return Generation("images", "openrouter")
    if path.endswith("/chat/completions"):
        return Generation("chat", "openrouter")
    found = _GEMINI_PATTERN.fullmatch(path)
    return Generation("gemini", "google", found[1]) if found else None


def is_missing(plan: Plan, path: str) -> bool:
    """Whether the plan has taken the path away."""
    return any(path.endswith(ending) for ending in plan.missing_paths)


def tell_missing(plan: Plan, head: Head) -> Script:
    """The answer for a path the plan has taken away."""
    status = plan.missing_status
    if plan.missing_html:
        page = html_page(status, "Not Found")
        return refuse(status, page, media_type="text/html; charset=UTF-8")
    return refuse(status, openrouter_error(status, f"No route for {head.path}"))


def tell(  # noqa: PLR0911 - a table
    head: Head,
    plan: Plan,
    spent_usd: float,
) -> tuple[int, Script]:
    """Discovery and account: the status and the answer; 404 for anything else."""
    ending = head.path.rpartition("/")[2]
    if head.method != "GET":
        return 404, refuse(404, openrouter_error(404, "Not Found"))
    if ending in {"key", "credits"} and not read_key(head):
        return 401, refuse(401, openrouter_error(401, "Missing Authentication header"))
    match ending:
        case "models":
            images_only = head.path.endswith("/images/models")
            return 200, refuse(200, _build_models(images_only=images_only))
        case "endpoints" if _ENDPOINTS_PATTERN.fullmatch(head.path):
            return 200, refuse(200, _build_endpoints(head.path, plan.cost_usd))
        case "key":
            return 200, refuse(200, _build_key(plan, spent_usd))
        case "credits":
            return 200, refuse(200, _build_credits(plan, spent_usd))
        case _:
            return 404, refuse(404, openrouter_error(404, "Not Found"))


def _build_models(*, images_only: bool) -> dict[str, Any]:
    values = ["1:1", "16:9", "9:16", "4:3", "3:4", "21:9"]
    return {
        "data": [
            {
                "id": name,
                "name": name,
                "description": "",
                "created": 1748372400,
                "architecture": {
                    "input_modalities": ["image", "text"],
                    "output_modalities": ["image"]
                    if images_only or "flux" in name
                    else ["image", "text"],
                },
                "supported_parameters": {
                    "aspect_ratio": {"type": "enum", "values": values},
                    "n": {"type": "range", "min": 1, "max": 1},
                    "seed": {"type": "boolean"},
                },
                "supports_streaming": name.startswith("openai/"),
                "endpoints": f"/api/v1/images/models/{name}/endpoints",
            }
            for name in MODELS
        ],
    }


def _build_endpoints(path: str, cost_usd: float) -> dict[str, Any]:
    found = _ENDPOINTS_PATTERN.fullmatch(path)
    price = {"billable": "output_image", "unit": "image", "cost_usd": cost_usd}
    endpoint: dict[str, Any] = {
        "provider_name": "Google",
        "provider_slug": "google-ai-studio",
        "provider_tag": None,
        "supported_parameters": {},
        "allowed_passthrough_parameters": [],
        "supports_streaming": False,
        "pricing": [price],
    }
    return {"id": found[1] if found else "", "endpoints": [endpoint]}


def _build_key(plan: Plan, spent_usd: float) -> dict[str, Any]:
    limit = plan.balance_usd
    return {
        "data": {
            "label": "sk-or-v1-emu...ted",
            "limit": limit,
            "limit_remaining": None if limit is None else round(limit - spent_usd, 6),
            "limit_reset": None,
            "usage": round(spent_usd, 6),
            "usage_daily": round(spent_usd, 6),
            "is_free_tier": False,
            "is_management_key": False,
            "expires_at": None,
        },
    }


def _build_credits(plan: Plan, spent_usd: float) -> dict[str, Any]:
    total = 100.0 if plan.balance_usd is None else plan.balance_usd
    return {"data": {"total_credits": total, "total_usage": round(spent_usd, 6)}}
