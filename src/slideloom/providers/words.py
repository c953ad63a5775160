"""What providers' machine-readable words mean: the table behind `outcomes`.

Source: OpenRouter's `error_type` vocabulary and the vendors' codes, in sections 1.5,
2.3, 3.3 and 4 of the provider contracts.
"""

import re

from slideloom.errors import (
    AuthFailed,
    BadRequest,
    ContentBlocked,
    ProviderError,
    QuotaExhausted,
    RateLimited,
    UpstreamDown,
)
from slideloom.providers.complaints import Complaint

ErrorClass = type[ProviderError]

_WORDS: tuple[tuple[ErrorClass, tuple[str, ...]], ...] = (
    (
        ContentBlocked,
        (
            "content_policy_violation",
            "content_policy",
            "content_filter(ed)?",
            "refusal",
            "moderation_blocked",
            "(content|request)_moderated",
            "responsibleaipolicyviolation",
            ".*sensitivecontent.*",
            ".*sensitive.*detected",
            "data_?inspection_?failed",
        ),
    ),
    (
        QuotaExhausted,
        (
            "insufficient_(quota|credits|balance|funds|user_quota)",
            "payment_required",
            "billing_.*",
            "arrearage",
            "account_?overdue(error)?",
            "openrouter_free_tier_daily",
            ".*perday.*",
        ),
    ),
    (
        BadRequest,
        (
            "model_not_found",
            "wrong_endpoint",
            "no_endpoints",
            "model_deprecated",
            "model_unavailable_upstream",
            "(region|privacy)_restricted",
            "constraint_filtered",
            "free_variant_ended",
        ),
    ),
    (
        RateLimited,
        (
            "(model_)?capacity_exhausted",
            "rate_?limit.*",
            "resource_exhausted",
            "throttling.*",
            "too_?many_?requests",
            "openrouter_shared_capacity",
            "upstream_provider_shared_pool",
        ),
    ),
    (
        AuthFailed,
        (
            "authentication(_error|_failed)?",
            "unauthenticated",
            "unauthorized",
            "invalid_?api_?key",
            "api_key_invalid",
            "permission_(denied|error)",
        ),
    ),
    (
        UpstreamDown,
        (
            "provider_(overloaded|unavailable|error)",
            "overloaded(_error)?",
            "timeout|deadline_exceeded|gateway_timeout",
            "server(_error)?|internal(_error|_server_error)?|api_error",
            "unmapped",
            "((temporarily|service)_)?unavailable",
            "bad_gateway",
        ),
    ),
    (
        BadRequest,
        (
            "invalid_(request(_error)?|prompt|argument|image|value)",
            "invalidparameter.*",
            "(unknown|unsupported)_(parameter|value)",
            "(image_)?not_found(_error)?",
            "(failed_precondition|precondition_failed)",
            "payload_too_large",
            "unprocessable",
            "(context_length|max_tokens|token_limit)_exceeded",
            "string_too_long",
            "image_too_(large|small)",
            "unsupported_image_format",
            "image_download_failed",
        ),
    ),
)
"""Words of errors, the weightiest first."""
_PATTERNS = tuple((kind, re.compile("|".join(words))) for kind, words in _WORDS)
_WEAK_FROM = 5
"""Behind so many rows, an HTTP error status knows better than the words."""

_CAPACITY = re.compile(
    "(model_)?capacity_exhausted|provider_overloaded|overloaded(_error)?"
    "|openrouter_shared_capacity|upstream_provider_shared_pool"
)
_CAPACITY_PROSE = re.compile(r"\boverloaded\b|\bcapacity\b", re.IGNORECASE)
_OVERLOADED_STATUSES = frozenset({503, 529})


def find_meaning(words: tuple[str, ...], *, has_status: bool) -> ErrorClass | None:
    """What the weightiest of the words means; `None` when the HTTP error status knows better."""
    rows = (
        row
        for row, (_, pattern) in enumerate(_PATTERNS)
        if any(pattern.fullmatch(word) for word in words)
    )
    row = next(rows, None)
    return None if row is None or (has_status and row >= _WEAK_FROM) else _PATTERNS[row][0]


def is_content_word(word: str) -> bool:
    """Whether the word refuses the content."""
    return _PATTERNS[0][1].fullmatch(word) is not None


def is_about_capacity(complaint: Complaint, status: int | None) -> bool:
    """Whether the model has no room for anybody now, which is no limit of this key.

    The prose counts only beside a status that says the same: Google's 503 has no other sign
    than "The model is overloaded". It decides which model is asked, never whether one is paid.
    """
    if any(_CAPACITY.fullmatch(word) for word in (*complaint.words, *complaint.quoted)):
        return True
    is_overloaded = status in _OVERLOADED_STATUSES
    return is_overloaded and _CAPACITY_PROSE.search(complaint.message) is not None
