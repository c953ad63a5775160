"""The picture whose style the new one shall have: how it is sent, and what is said against it."""

from base64 import b64encode
from functools import lru_cache

from slideloom.errors import BadRequest, ProviderError
from slideloom.providers.answers import Answer, Json
from slideloom.providers.base import Reference
from slideloom.providers.complaints import find_complaint, find_parameter, list_dicts
from slideloom.providers.paths import is_path_missing

TAKES_NONE = "this provider takes no reference picture"
_NAMES = ("images", "image", "input_references", "image_url")
"""What dialects call it."""
_SENT = frozenset({*_NAMES, "prompt", "model"})
"""What a provider that wants a form finds missing, although it was sent: it was sent as JSON."""
_UNSUPPORTED_TYPE = 415
_REFUSALS = frozenset({400, 422})
_TOO_LARGE = 413
_WORDS = frozenset(
    {
        "invalid_image",
        "image_too_large",
        "image_too_small",
        "unsupported_image_format",
        "image_download_failed",
        "image_not_found",
        "payload_too_large",
    }
)
"""Source: `error_type` vocabulary, fatal for a reference image; contracts 1.5."""


@lru_cache(maxsize=4)  # one deck has one; a few run at once
def to_data_url(reference: Reference) -> str:
    """The reference as an address that holds it whole; encoded once, not once a call."""
    return f"data:{reference.media_type};base64,{b64encode(reference.body).decode('ascii')}"


def name_reference(error: ProviderError, answer: Answer) -> str:
    """What to say of a refusal of an order that had a reference: it may be the reason."""
    if not isinstance(error, BadRequest):
        return error.detail
    if _takes_none(answer):
        return f"{TAKES_NONE}: {error.detail}"
    complaint = find_complaint(answer, has_picture=False)
    words = (*complaint.words, *complaint.quoted) if complaint else ()
    if answer.status == _TOO_LARGE or not _WORDS.isdisjoint(words):
        return f"the reference picture was refused: {error.detail}"
    return error.detail


def _takes_none(answer: Answer) -> bool:
    """Whether the path is missing, or wants a form, or the body's field is not known."""
    if is_path_missing(answer) or answer.status == _UNSUPPORTED_TYPE:
        return True
    if answer.status not in _REFUSALS:
        return False
    complaint = find_complaint(answer, has_picture=False)
    if complaint is None:
        return "multipart" in answer.words.lower()
    missing = (d for d in list_dicts(complaint.error.get("detail")) if d.get("type") == "missing")
    return (
        "multipart" in complaint.message.lower()
        or find_parameter(answer, _NAMES) is not None
        or any(not _SENT.isdisjoint(_read_loc(detail)) for detail in missing)
    )


def _read_loc(detail: Json) -> list[str]:
    """FastAPI's way to name a field: `["body", "image"]`."""
    loc = detail.get("loc")
    return [str(name) for name in loc] if isinstance(loc, list) else []
