"""What a provider taught by refusing a request: words it does not know, left out from then on."""

from slideloom.providers.answers import Answer, Json
from slideloom.providers.complaints import find_parameter

_BAD_REQUEST = 400
_UNPROCESSABLE = 422


class UnknownWords:
    """The parameters that a model refused, for one provider."""

    def __init__(self, optional: tuple[str, ...]) -> None:
        """Take the parameters that a request can do without."""
        self._optional = optional
        self._refused: set[tuple[str, str]] = set()

    def strip(self, model: str, body: Json) -> Json:
        """`body` without what the model refused before."""
        return {name: value for name, value in body.items() if (model, name) not in self._refused}

    def learn(self, model: str, body: Json, answer: Answer) -> bool:
        """Whether the answer refuses a parameter of `body` that can be left out."""
        if answer.status not in {_BAD_REQUEST, _UNPROCESSABLE}:
            return False
        name = find_parameter(answer, [name for name in self._optional if name in body])
        if name is None:
            return False
        self._refused.add((model, name))
        return True
