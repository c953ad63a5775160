"""The figures of one or many lives, and the table that shows them."""

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct


class Tally(Struct, kw_only=True):
    """Counts; those of several lives can be added up."""

    kills: int = 0
    """Ends without mercy."""
    early_kills: int = 0
    """Those of them before the service was ready."""
    points: int = 0
    """System calls at which it was killed, or an error was played."""
    batches: int = 0
    slides: int = 0
    done: int = 0
    failed: int = 0
    resends: int = 0
    """Keyed orders sent again."""
    calls: int = 0
    """Calls the provider admitted."""
    in_flight: int = 0
    """Attempts begun and not ended at the kills, by the store."""
    cut_calls: int = 0
    """Calls not answered yet at the kills, by the provider's bill."""
    extra_calls: int = 0
    """Paid calls beyond one a slide."""
    possibly_billed: int = 0
    """Attempts the store holds for possibly billed."""
    really_billed: int = 0
    """Those of them that the provider did charge."""
    left_behind: int = 0
    """Pictures that a crash left unrecorded, and that the next start found."""
    bill_usd: float = 0.0
    store_usd: float = 0.0
    """What the store has as the cost of all batches."""
    hidden_usd: float = 0.0
    """What the really billed ones cost beside that."""
    violations: int = 0

    def add(self, other: "Tally") -> None:
        """Add the figures of another one."""
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    @classmethod
    def sum_up(cls, tallies: Iterable["Tally"]) -> "Tally":
        """All of them together."""
        total = cls()
        for tally in tallies:
            total.add(tally)
        return total


def to_table(tallies: Mapping[str, Tally]) -> list[str]:
    """A line for each life or kind of lives, and one for all of them."""
    rows = dict(tallies) | {"all": Tally.sum_up(tallies.values())}
    columns = [["", "", *rows], *(_to_column(name, rows.values()) for name in _FIELDS)]
    widths = [max(map(len, column)) for column in columns]
    return [
        "  ".join(
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        for cells in zip(*columns, strict=True)
    ]


def _to_column(name: str, tallies: Iterable[Tally]) -> list[str]:
    """Its head, in two lines, and its figures."""
    above, _, below = name.removesuffix("_usd").rpartition("_")
    values = [getattr(tally, name) for tally in tallies]
    texts = [f"${value:.2f}" if name.endswith("_usd") else str(value) for value in values]
    return [above.replace("_", " "), below, *texts]


_FIELDS: Final = Tally.__struct_fields__
