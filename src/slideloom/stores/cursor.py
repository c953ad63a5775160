"""Where a page of the batch list begins, as a text that users hand back."""

import re


def to_cursor(created_at_s: float, batch_id: str) -> str:
    """The place behind that batch."""
    return f"{created_at_s!r}_{batch_id}"


def parse_cursor(cursor: str | None) -> tuple[float, str]:
    """When the batch before the page was created, and its id; none: before all.

    Raises:
        ValueError: the cursor is not one of ours.
    """
    if cursor is None:
        return float("inf"), ""
    created_at_s, _, last_id = cursor.partition("_")
    if re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,12})?", created_at_s) is None:
        message = f"not a cursor: {cursor[:40]!r}"
        raise ValueError(message)
    return float(created_at_s), last_id
