"""What an answer tells about its price."""

from typing import Any

import msgspec

from slideloom.providers.answers import Answer, Json

_MOST_COST_USD = 1e6
_USAGE_BYTES = 10_000
"""A usage object that is larger is left out of the records."""


def find_usage(answer: Answer) -> Json | None:
    """The provider's own usage object; of a too large one only the cost."""
    usage: Json | None = find_last(answer, "usage", dict) or find_last(
        answer, "usageMetadata", dict
    )
    if usage and len(msgspec.json.encode(usage)) > _USAGE_BYTES:
        usage = {"cost": read_cost(usage.get("cost"))}
    return usage


def find_cost_usd(answer: Answer) -> float | None:
    """What the provider says it charged."""
    usage = find_usage(answer)
    return read_cost(usage.get("cost")) if usage else None


def read_cost(told: object) -> float | None:
    """Dollars; `None` for what can be no price."""
    if isinstance(told, bool) or not isinstance(told, int | float):
        return None
    return float(told) if 0 <= told < _MOST_COST_USD else None


def find_last(answer: Answer, key: str, kind: type[Any]) -> Any:  # noqa: ANN401 - of type `kind`
    """The last value of that name and type, for a stream tells the sums at its end."""
    values = [
        value for item in answer.objects if isinstance(value := item.get(key), kind) and value
    ]
    return values[-1] if values else None
