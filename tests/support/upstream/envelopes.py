"""How errors are said: each vendor's envelope, and the HTML pages of the proxies before them."""

from typing import Any, Final

from tests.support.upstream.asks import Dialect

GOOGLE_STATUSES: Final = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def openrouter_error(code: object, message: str, **more: object) -> dict[str, Any]:
    """OpenRouter's envelope; `more` stands beside code and message (metadata, availability)."""
    return {"error": {"code": code, "message": message, **more}, "user_id": "org_emulated"}


def openai_error(
    message: str, kind: str, code: str | None = None, **more: object
) -> dict[str, Any]:
    """OpenAI's envelope."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code, **more}}


def google_error(code: int, message: str, *details: dict[str, Any]) -> dict[str, Any]:
    """Google's envelope."""
    error: dict[str, Any] = {
        "code": code,
        "message": message,
        "status": GOOGLE_STATUSES.get(code, "UNKNOWN"),
    }
    if details:
        error["details"] = list(details)
    return {"error": error}


def bad_key_error(*, is_missing: bool) -> dict[str, Any]:
    """Google's word for a bad key: status 403 without one, 400 for a wrong or dead one."""
    if is_missing:
        return google_error(
            403, "Method doesn't allow unregistered callers. Please use API Key to call this API."
        )
    return google_error(
        400,
        "API key not valid. Please pass a valid API key.",
        {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "API_KEY_INVALID",
            "domain": "googleapis.com",
        },
    )


def bad_request_error(dialect: Dialect, message: str, *, field: str = "") -> dict[str, Any]:
    """A request that cannot be taken, in the dialect's envelope; Google names the field."""
    if dialect != "google":
        return plain_error(dialect, 400, message)
    violation = {"field": field, "description": message} if field else {"description": message}
    kind = "type.googleapis.com/google.rpc.BadRequest"
    return google_error(400, message, {"@type": kind, "fieldViolations": [violation]})


def plain_error(
    dialect: Dialect, status: int, message: str, *, kind: str = "server_error"
) -> dict[str, Any]:
    """The status and nothing special, in the dialect's envelope."""
    match dialect:
        case "openrouter":
            return openrouter_error(status, message)
        case "openai":
            return openai_error(message, kind)
        case "google":
            return google_error(status, message)


def html_page(status: int, title: str, *, server: str = "cloudflare") -> bytes:
    """A proxy's error page."""
    page = (
        f"<!DOCTYPE html>\n<html><head><title>example.test | {status}: {title}</title></head>\n"
        f"<body><center><h1>{status} {title}</h1></center>\n"
        "<p>Ray ID: 8f00ba4d0000 &bull; Performance &amp; security</p>\n"
        f"<hr><center>{server}</center></body></html>\n"
    )
    return page.encode()
