"""Which path is what, and the answers that are no images: discovery, account, files."""

import re
from typing import Any, Final
from urllib.parse import unquote

from msgspec import Struct

from tests.support.upstream.asks import Dialect
from tests.support.upstream.envelopes import (
    bad_key_error,
    google_error,
    html_page,
    openai_error,
    openrouter_error,
)
from tests.support.upstream.limits import Gate
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
    return Generation("gemini", "google", unquote(found[1])) if found else None


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


def tell(head: Head, plan: Plan, gate: Gate) -> tuple[int, Script]:
    """Discovery and account: the status and the answer; 404 for anything else."""
    if head.method != "GET":
        status, body = 404, openrouter_error(404, "Not Found")
    elif "/v1beta/" in head.path or "x-goog-api-key" in head.headers:
        status, body = _tell_google(head, gate)
    elif head.path == "/v1/models":
        status, body = _tell_openai(head, gate)
    else:
        status, body = _tell_openrouter(head, plan, gate)
    return status, refuse(status, body)


def _tell_openrouter(head: Head, plan: Plan, gate: Gate) -> tuple[int, dict[str, Any]]:
    ending = head.path.rpartition("/")[2]
    key = read_key(head)
    if ending in {"key", "credits"} and (reject := gate.check_key(key)):
        return 401, openrouter_error(401, reject.message)
    match ending:
        case "models":
            return 200, _build_models(images_only=head.path.endswith("/images/models"))
        case "endpoints" if _ENDPOINTS_PATTERN.fullmatch(head.path):
            return 200, _build_endpoints(head.path, plan.cost_usd)
        case "key":
            return 200, _build_key(_find_limit(plan, gate, key), gate.spent_usd)
        case "credits":
            return 200, _build_credits(_find_limit(plan, gate, key), gate.spent_usd)
        case _:
            return 404, openrouter_error(404, "Not Found")


def _find_limit(plan: Plan, gate: Gate, key: str) -> float | None:
    """What the account may spend in all; a broke one no more than it has."""
    return gate.spent_usd if key in gate.broke else plan.balance_usd


def _tell_openai(head: Head, gate: Gate) -> tuple[int, dict[str, Any]]:
    """OpenAI and most gateways show their models to those with a key alone."""
    if gate.check_key(read_key(head)):
        kind, code = "invalid_request_error", "invalid_api_key"
        return 401, openai_error("Incorrect API key provided.", kind, code)
    models = [{"id": name, "object": "model", "owned_by": "emulated"} for name in MODELS]
    return 200, {"object": "list", "data": models}


def _tell_google(head: Head, gate: Gate) -> tuple[int, dict[str, Any]]:
    """Google's list of models, or one of them; it costs nothing, and the key is looked at."""
    key = read_key(head, is_google=True)
    if gate.check_key(key):
        said = bad_key_error(is_missing=not key)
        return said["error"]["code"], said
    names = [name.removeprefix("google/") for name in MODELS if name.startswith("google/")]
    models = [_build_google_model(name) for name in names]
    path, _, ending = head.path.rpartition("/")
    if ending == "models":
        return 200, {"models": models}
    if path.endswith("/models") and ending in names:
        return 200, models[names.index(ending)]
    message = f"models/{ending} is not found for API version v1beta"
    return 404, google_error(404, message)


def _build_google_model(name: str) -> dict[str, Any]:
    return {
        "name": f"models/{name}",
        "version": "1",
        "displayName": name,
        "inputTokenLimit": 65536,
        "outputTokenLimit": 32768,
        "supportedGenerationMethods": ["generateContent", "countTokens"],
    }


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


def _build_key(limit: float | None, spent_usd: float) -> dict[str, Any]:
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


def _build_credits(limit: float | None, spent_usd: float) -> dict[str, Any]:
    total = 100.0 if limit is None else limit
    return {"data": {"total_credits": total, "total_usage": round(spent_usd, 6)}}
