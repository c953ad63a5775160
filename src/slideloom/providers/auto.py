"""Several dialects as one: whichever the provider answers to is spoken from then on."""

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from slideloom.providers.answers import Answer, Json
from slideloom.providers.base import DrawOrder
from slideloom.providers.call import Ask, Dialect
from slideloom.providers.paths import Search, is_path_missing


class AutoDialect:
    """Tries dialects one after the other, at a base of unknown kind.

    Made once for a base and shared by all who ask there, so that no slide pays for
    finding out twice. Only a path that is missing leads on: a refusal for any other
    reason is an answer.
    """

    def __init__(self, dialects: Sequence[Dialect]) -> None:
        """Take the dialects, the likeliest first."""
        self._dialects = tuple(dialects)
        self._plain = Search(len(self._dialects))
        self._referring = Search(len(self._dialects))
        """Of orders with a reference: where pictures are made, these may have no path."""

    @property
    def name(self) -> str:
        """The dialect that is spoken, or will be tried next."""
        return self._dialects[self._choose(has_reference=False)].name

    def authorize(self, key: str) -> dict[str, str]:
        """See `Dialect`: for those who build no `Ask`, which names its own dialect."""
        return self._dialects[self._choose(has_reference=False)].authorize(key)

    def build(self, order: DrawOrder, model: str) -> Ask:
        """See `Dialect`."""
        dialect = self._dialects[self._choose(has_reference=order.reference is not None)]
        return replace(dialect.build(order, model), dialect=dialect)

    def learn(self, ask: Ask, answer: Answer) -> bool:
        """See `Dialect`: what the dialect learns itself goes first."""
        place = next(at for at, dialect in enumerate(self._dialects) if dialect is ask.dialect)
        if self._dialects[place].learn(ask, answer):
            return True
        search = self._referring if ask.has_reference else self._plain
        if answer.is_good and answer.documents:  # a web page comes from whoever has the address
            search.note_answer(place)
        elif is_path_missing(answer):
            # Found by another slide meanwhile, or still to be found.
            return search.note_missing(place) if search.found is None else place != search.found
        return False

    def find_addresses(self, item: Json) -> Iterator[str]:
        """See `Dialect`."""
        for dialect in self._dialects:
            yield from dialect.find_addresses(item)

    def _choose(self, *, has_reference: bool) -> int:
        """Whom to ask now: who answered orders of this kind, else at first who answered others."""
        mine, other = self._plain, self._referring
        if has_reference:
            mine, other = other, mine
        if mine.found is not None:
            return mine.found
        return mine.next if mine.has_missed or other.found is None else other.found
