"""How a batch is, as JSON for many who ask."""

import math

import msgspec
from msgspec import structs

from slideloom.clock import monotonic_s, wall_s
from slideloom.domain.messages import Language
from slideloom.domain.status import BatchStatus, estimate_remaining_s, to_status
from slideloom.engine.timeline import Shown, Timeline

_TOGETHER_S = 0.05
"""So old may the time in an answer be, where nothing else has happened."""


def show_status(timeline: Timeline, language: Language) -> BatchStatus:
    """The batch as users see it now."""
    return to_status(
        timeline.state,
        last_event=len(timeline.feed),
        elapsed_s=timeline.elapsed_s,
        now_s=wall_s(),
        language=language,
    )


def encode_status(timeline: Timeline, language: Language) -> bytes:
    """`show_status` as JSON, encoded once for all who ask before the next event or together."""
    now_s, shown = monotonic_s(), timeline.shown.get(language)
    if shown is None or shown.state is not timeline.state:
        status = show_status(timeline, language)
        results = msgspec.Raw(msgspec.json.encode(status.results))
        status = structs.replace(status, results=results)
    elif now_s < shown.until_s:
        return shown.body
    else:
        status = _advance(shown.status, timeline)
    body, state = msgspec.json.encode(status), timeline.state
    until_s = math.inf if state.is_final else now_s + _TOGETHER_S
    timeline.shown[language] = Shown(state, status, body, until_s)
    return body


def _advance(status: BatchStatus, timeline: Timeline) -> BatchStatus:
    """The same later: nothing else moves between two events."""
    left_s = estimate_remaining_s(timeline.state, now_s=wall_s())
    return structs.replace(
        status,
        estimated_remaining_time=None if left_s is None else round(left_s, 3),
        total_time=round(timeline.elapsed_s, 3),
    )
