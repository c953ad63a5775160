"""What every refusal has to be: a problem with a code that the API page lists."""

import re
from collections.abc import Mapping
from email.message import Message
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

_API_PAGE = Path(__file__).parents[2] / "docs" / "api.md"
_MEMBERS = {"type", "title", "status", "detail", "code", "request_id"}


@cache
def listed_codes() -> frozenset[str]:
    """The codes on the API page: of slides, and of requests."""
    page = _API_PAGE.read_text(encoding="utf-8")
    of_slides = re.findall(r"^\| `([a-z_]+)` \| .* \| \d{3} \|$", page, re.MULTILINE)
    of_requests = page.partition("## What bad requests get")[2]
    return frozenset(of_slides) | frozenset(re.findall(r"`([a-z_]+)`", of_requests))


def check_problem(status: int, headers: Mapping[str, str] | Message, body: bytes) -> dict[str, Any]:
    """The problem that an answer of 400 and above is, no fault of ours among them."""
    assert 400 <= status < 500, (status, body[:500])
    assert headers["Content-Type"] == "application/problem+json", (status, [*headers.items()], body)
    problem: dict[str, Any] = msgspec.json.decode(body)
    assert problem.keys() >= _MEMBERS, problem
    assert problem["status"] == status
    assert problem["code"] in listed_codes(), problem
    assert problem["request_id"] == headers["X-Request-Id"]
    return problem
