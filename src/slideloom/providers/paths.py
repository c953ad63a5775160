"""Which of several ways a provider can be asked is there: found out by asking, once."""

from slideloom.providers.answers import Answer
from slideloom.providers.complaints import find_complaint

_NOT_FOUND = 404
_NOT_ALLOWED = 405


def is_path_missing(answer: Answer) -> bool:
    """Whether nobody listens at the path: a missing model is told with its name or more."""
    if answer.status == _NOT_ALLOWED:
        return True
    if answer.status != _NOT_FOUND:
        return False
    complaint = find_complaint(answer, has_picture=False)
    if complaint is None:
        return True
    told = " ".join((*complaint.words, complaint.message)).lower()
    return not complaint.error.get("metadata") and "model" not in told and "endpoints" not in told


class Search:
    """Which of several places answers; plain, so that calls under way at once agree."""

    def __init__(self, count: int) -> None:
        """Take how many places there are; the first is tried first."""
        self._count = count
        self._missing: set[int] = set()
        self.next = 0
        """Where to ask while nobody has answered."""
        self.found: int | None = None
        """The place that answered first: it is kept, whatever is missing later."""

    @property
    def has_missed(self) -> bool:
        """Whether somebody was asked in vain."""
        return bool(self._missing)

    def note_answer(self, place: int) -> None:
        """Somebody answered there."""
        if self.found is None:
            self.found = place

    def note_missing(self, place: int) -> bool:
        """Nobody is there; whether another place is worth asking in the same call."""
        self._missing.add(place)
        rest = [other for other in range(self._count) if other not in self._missing]
        # When nobody is anywhere, each further call knocks at one door, in turn: a gateway
        # that was being restarted is found again, and a wrong base costs one call a slide.
        self.next = rest[0] if rest else (place + 1) % self._count
        return bool(rest)
