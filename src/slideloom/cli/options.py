"""What options may be: a wrong one ends the command before anything is asked or read."""

from cyclopts.validators import Number

from slideloom.domain.ratio import parse_ratio
from slideloom.domain.request import MAX_COST_USD

SLIDES_AT_ONCE = Number(gte=1)
COST_USD = Number(gte=0, lte=MAX_COST_USD)
"""NaN is refused too: over JSON it would be no limit at all."""
SECONDS = Number(gt=0)
LIST_LIMIT = Number(gte=1)


def check_ratio(_: object, value: str | None) -> None:
    """Refuse what is no aspect ratio.

    Raises:
        ValueError: it is none.
    """
    if value is not None:
        parse_ratio(value)
