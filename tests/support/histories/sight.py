"""What users see of their batches, one look after the other, and what they may hold us to."""

from msgspec import Struct, field

from slideloom.clock import monotonic_s, wall_s
from slideloom.domain.batch import BatchState
from slideloom.domain.events import SlidesReopened
from slideloom.domain.status import BatchStatus, to_status
from slideloom.engine.timeline import Timeline
from tests.support.histories.books import Books

_EPSILON_S = 1e-6


class Seen(Struct, eq=False):
    """What was seen of a batch last."""

    seq: int = 0
    reopened: int = 0
    finished: int = 0
    images: list[list[str]] = field(default_factory=list)
    timeline: Timeline | None = None
    elapsed_s: float = 0.0
    looked_s: float = 0.0


class Sight:
    """Compares each look with what is written, and with the look before."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._seen: dict[str, Seen] = {}

    def look(self, timeline: Timeline) -> None:
        """A user sees the batch."""
        state = timeline.state
        seen = self._seen.setdefault(state.batch_id, Seen())
        status = to_status(
            state,
            elapsed_s=timeline.elapsed_s,
            now_s=wall_s(),
            last_event=len(timeline.feed),
            language="en",
        )
        if not _is_true(status):
            self._books.complain("done_means_a_picture_and_error_a_reason", status)
        log = self._books.batches[state.batch_id].log[: state.seq]
        reopened = sum(isinstance(event, SlidesReopened) for event in log)
        is_same_run = reopened == seen.reopened
        self._compare_with_what_is_written(state)
        self._compare_with_what_was_seen(state, seen, is_same_run=is_same_run)
        self._compare_times(timeline, seen, is_same_run=is_same_run)
        seen.reopened = reopened

    def _compare_with_what_is_written(self, state: BatchState) -> None:
        batch = self._books.batches[state.batch_id]
        if state.seq > len(batch.log):
            self._books.complain("what_is_announced_is_written", state.seq, len(batch.log))
        if state.seq == len(batch.log) and state != batch.state:
            self._books.complain("what_a_user_sees_is_what_is_written", state, batch.state)

    def _compare_with_what_was_seen(
        self, state: BatchState, seen: Seen, *, is_same_run: bool
    ) -> None:
        finished = state.count("done", "error")
        if state.seq < seen.seq:
            self._books.complain("no_state_is_older_than_one_seen_before", state.seq, seen.seq)
        if is_same_run and finished < seen.finished:
            self._books.complain("progress_never_goes_back", state)
        images = [[version.image for version in slide.versions] for slide in state.slides]
        for before, now in zip(seen.images, images, strict=bool(seen.images)):
            if now[: len(before)] != before:
                self._books.complain("a_version_seen_stays", before, now)
        seen.seq, seen.finished, seen.images = state.seq, finished, images

    def _compare_times(self, timeline: Timeline, seen: Seen, *, is_same_run: bool) -> None:
        """The time a batch has taken goes with the loop's clock, whatever the wall clock does."""
        now_s, elapsed_s = monotonic_s(), timeline.elapsed_s
        if seen.timeline is timeline and is_same_run and not timeline.state.is_final:
            passed_s = now_s - seen.looked_s
            if abs(elapsed_s - seen.elapsed_s - passed_s) > _EPSILON_S:
                facts = elapsed_s, seen.elapsed_s, passed_s
                self._books.complain("time_taken_is_monotonic", *facts)
        seen.timeline, seen.elapsed_s, seen.looked_s = timeline, elapsed_s, now_s


def _is_true(status: BatchStatus) -> bool:
    """Whether what a user reads makes sense by itself."""
    slides_fit = all(
        (one.status == "done") == (one.image_url is not None)
        and (one.status == "error") == (one.error_code is not None)
        for one in status.results
    )
    is_over = status.status in {"completed", "failed"}
    verdict_fits = not is_over or (status.status == "completed") == (status.successful > 0)
    return slides_fit and verdict_fits and (not is_over or status.progress == 1.0)
