"""Refusals told by a 4xx: content that is not allowed, keys and accounts that are not good."""

from typing import Any, Final, Unpack

from tests.support.upstream.envelopes import (
    bad_key_error,
    google_error,
    html_page,
    openai_error,
    openrouter_error,
)
from tests.support.upstream.faults.base import (
    OPENAI_SHAPES,
    ErrorCode,
    Fault,
    Options,
    Player,
    refused,
    says,
    says_plainly,
)
from tests.support.upstream.scripts import refuse


def _blocked(name: str, about: str, status: int, body: object) -> Fault:
    script = says(status, body)
    return refused(name, about, script, shapes=OPENAI_SHAPES, wanted="content_blocked")


def _moderation(stage: str) -> dict[str, Any]:
    return openai_error(
        "Your request was rejected by the safety system. If you believe this is an error, contact "
        "us and include the request ID req_emulated. safety_violations=[violence].",
        "image_generation_user_error",
        "moderation_blocked",
        moderation_details={"moderation_stage": stage, "categories": ["violence"]},
    )


_FLAGGED: Final = openrouter_error(
    403,
    "Input was flagged by moderation",
    metadata={
        "reasons": ["violence"],
        "flagged_input": "a scene that …",
        "provider_name": "OpenAI",
        "model_slug": "openai/gpt-image-2",
    },
)

CONTENT_FAULTS: Final = (
    *(
        _blocked(
            f"F05_moderation_{stage}",
            f"400 moderation_blocked at the {stage} stage",
            400,
            _moderation(stage),
        )
        for stage in ("input", "output", "unknown")
    ),
    _blocked(
        "F05_content_policy",
        "400 with error_type content_policy_violation",
        400,
        openrouter_error(
            400, "Provider returned error", metadata={"error_type": "content_policy_violation"}
        ),
    ),
    _blocked(
        "F05_refusal_type",
        "400 with error_type refusal",
        400,
        openrouter_error(400, "Provider returned error", metadata={"error_type": "refusal"}),
    ),
    _blocked(
        "F05_ark_sensitive",
        "400 OutputImageSensitiveContentDetected",
        400,
        {
            "error": {
                "code": "OutputImageSensitiveContentDetected",
                "message": "The output image may be sensitive.",
            }
        },
    ),
    _blocked("F06_flagged_input", "403 with reasons and flagged_input", 403, _FLAGGED),
    _blocked(
        "F06_guardrail",
        "403 of a guardrail, with patterns",
        403,
        openrouter_error(
            403, "Request blocked by guardrail", metadata={"patterns": ["secret-project"]}
        ),
    ),
)


def _account(
    name: str, about: str, script: Player, wanted: ErrorCode, /, **more: Unpack[Options]
) -> Fault:
    options: Options = {"wanted": wanted, **more}
    return refused(name, about, script, **options)


def _info(status: int, message: str, reason: str) -> dict[str, Any]:
    """Google's error with its ErrorInfo."""
    kind = "type.googleapis.com/google.rpc.ErrorInfo"
    detail = {"@type": kind, "reason": reason, "domain": "googleapis.com"}
    return google_error(status, message, detail)


ACCOUNT_FAULTS: Final = (
    _account(
        "F21_google_key",
        "400 of Google's: API_KEY_INVALID",
        says(400, bad_key_error(is_missing=False)),
        "auth_failed",
        shapes=("gemini",),
    ),
    _account(
        "F21_google_disabled",
        "403, SERVICE_DISABLED",
        says(403, _info(403, "The API has not been used in this project.", "SERVICE_DISABLED")),
        "auth_failed",
        shapes=("gemini",),
    ),
    _account(
        "F06_google_suspended",
        "403, CONSUMER_SUSPENDED",
        says(403, _info(403, "Consumer 'api_key' has been suspended.", "CONSUMER_SUSPENDED")),
        "auth_failed",
        shapes=("gemini",),
    ),
    _account(
        "F21_401",
        "401 bad key",
        says_plainly(401, "User not found.", kind="authentication_error"),
        "auth_failed",
    ),
    _account(
        "F21_401_revoked",
        "401, and the key stays dead",
        says_plainly(401, "API key has been disabled"),
        "auth_failed",
        effect="revoke_key",
    ),
    _account(
        "F21_401_html",
        "401 of a proxy, HTML",
        lambda _: refuse(
            401, html_page(401, "Unauthorized", server="nginx"), media_type="text/html"
        ),
        "auth_failed",
    ),
    _account(
        "F21_403",
        "403 permission denied",
        says_plainly(403, "You do not have access to this model"),
        "auth_failed",
    ),
    _account(
        "F06_azure_blocked",
        "403, the resource is blocked",
        says(
            403,
            {
                "error": {
                    "code": "Forbidden",
                    "message": "Your resource has been temporarily blocked because …",
                }
            },
        ),
        "auth_failed",
        shapes=OPENAI_SHAPES,
    ),
    _account(
        "F21_402",
        "402 insufficient credits",
        says_plainly(
            402, "Insufficient credits. Add more using https://openrouter.ai/settings/credits"
        ),
        "quota_exhausted",
    ),
    _account(
        "F21_402_empty",
        "402, and the account stays empty",
        says_plainly(402, "Insufficient credits."),
        "quota_exhausted",
        effect="empty_balance",
    ),
    _account(
        "F21_402_key_limit",
        "402, the key's own limit",
        says_plainly(
            402, "This request requires more credits, or fewer max_tokens. Key limit exceeded."
        ),
        "quota_exhausted",
    ),
    _account(
        "F21_insufficient_quota",
        "429 that is no rate limit: insufficient_quota",
        says(
            429,
            openai_error(
                "You exceeded your current quota.", "insufficient_quota", "insufficient_quota"
            ),
        ),
        "quota_exhausted",
        shapes=OPENAI_SHAPES,
    ),
)
