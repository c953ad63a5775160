"""A session's log files."""

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from slideloom.errors import UnknownSession
from slideloom.web.bodies import json_response
from slideloom.web.callers import may_see
from slideloom.web.endpoint import Endpoint, Parameter, services


class SessionLogs(Struct, frozen=True, omit_defaults=True):
    """The session's log files as one document."""

    session_id: str
    files: dict[str, msgspec.Raw]
    """Each file's JSON under its name."""
    complete: bool = True
    """Left out unless false: then the other processes' files could not be asked for."""


class _Owned(Struct, frozen=True):
    """What is asked of a file."""

    owner: str = ""


async def logs(request: Request) -> Response:
    """The log files of one session."""
    session_id = request.path_params["session_id"]
    found = await services(request).session_files.read(session_id)
    files = {
        name: msgspec.Raw(body)
        for name, body in found.files.items()
        if (owner := _find_owner(body)) is not None and may_see(request, owner)
    }
    if not files:
        raise UnknownSession(session_id)
    return json_response(SessionLogs(session_id, files, found.is_complete))


def _find_owner(body: bytes) -> str | None:
    """Whose file it is; `None` when it is damaged, and would spoil the document."""
    try:
        # As text: the parser does not look at the bytes it passes over.
        return msgspec.json.decode(body.decode(), type=_Owned).owner
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/sessions/{session_id}/logs",
        handler=logs,
        summary="The log files of one session",
        tag="Operations",
        answers={200: SessionLogs},
        problems=(404,),
        parameters=(
            Parameter(
                name="session_id",
                where="path",
                type=str,
                description="As in a batch's answers.",
                required=True,
            ),
        ),
    ),
)
