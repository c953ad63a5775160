"""One row of the route table: what the router serves and what OpenAPI says of it."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal

from msgspec import Struct
from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from slideloom.assembly import Services

Handler = Callable[[Request], Awaitable[Response]]


class _Text(Convertor[str]):
    """A part of a path that may be any text: slashes and line ends too."""

    regex = "(?s:.*)"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("text", _Text())


class Parameter(Struct, frozen=True, kw_only=True):
    """A part of the path or the query."""

    name: str
    where: Literal["path", "query", "header"]
    type: Any
    """Of its value; OpenAPI's schema is made from it."""
    description: str
    required: bool = False


class Endpoint(Struct, frozen=True, kw_only=True):
    """One route."""

    method: Literal["GET", "POST"]
    path: str
    """Below the API prefix, unless `below_prefix` is false; in Starlette's notation."""
    handler: Handler
    summary: str
    tag: Literal["Batches", "Single slides", "Exports", "Advice", "Operations", "Access"]
    """Under which the reference lists it."""
    answers: Mapping[int, Any]
    """Success status → type of the JSON body; `None` for no body, or one that is not JSON."""
    media_type: str | None = None
    """Of a body that is not JSON."""
    problems: tuple[int, ...] = ()
    """Statuses of the problem answers it may give."""
    body: Any = None
    """Type of the JSON body it takes."""
    body_required: bool = True
    example: Any = None
    """One such body."""
    parameters: tuple[Parameter, ...] = ()
    below_prefix: bool = True
    is_open: bool = False
    """Whether it is answered without a token, too."""

    @property
    def plain_path(self) -> str:
        """Without Starlette's words for what a part may hold."""
        return self.path.replace(":text}", "}")


def services(request: HTTPConnection) -> Services:
    """The service's parts, opened by the app's lifespan."""
    parts: Services = request.app.state.services
    return parts
