"""Who asks, where tokens are in use; and whose a batch is."""

from collections.abc import MutableMapping
from typing import Any

from starlette.requests import HTTPConnection

from slideloom.engine.timeline import Timeline
from slideloom.errors import UnknownBatch
from slideloom.web.endpoint import services

_CALLER = "caller"


def set_caller(scope: MutableMapping[str, Any], name: str) -> None:
    """Take down whose token a request came with."""
    scope["state"][_CALLER] = name


def find_caller(scope: MutableMapping[str, Any]) -> str | None:
    """Whose token the request came with; `None` where no tokens are in use, or none is needed."""
    name: str | None = scope.get("state", {}).get(_CALLER)
    return name


def to_owner(connection: HTTPConnection) -> str:
    """As whose an order is taken."""
    return find_caller(connection.scope) or ""


def may_see(connection: HTTPConnection, owner: str) -> bool:
    """Whether what is `owner`'s is the caller's business: without tokens, everything is."""
    return find_caller(connection.scope) in {None, owner}


async def get_batch(connection: HTTPConnection, batch_id: str) -> Timeline:
    """A batch's timeline, if it is the caller's.

    Raises:
        UnknownBatch: there is none, or it is another one's.
    """
    timeline = await services(connection).engine.get(batch_id)
    if not may_see(connection, timeline.state.order.owner):
        raise UnknownBatch(batch_id)
    return timeline


async def get_named_batch(connection: HTTPConnection) -> Timeline:
    """As `get_batch`, of the batch that the path names."""
    return await get_batch(connection, connection.path_params["batch_id"])
