"""A session's log files."""

import asyncio

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from slideloom.errors import UnknownSession
from slideloom.web.bodies import json_response
from slideloom.web.endpoint import Endpoint, Parameter, services


class SessionLogs(Struct, frozen=True):
    """The session's log files as one document."""

    session_id: str
    files: dict[str, msgspec.Raw]
    """Each file's JSON under its name."""


async def logs(request: Request) -> Response:
    """The log files of one session."""
    session_id = request.path_params["session_id"]
    files = await asyncio.to_thread(services(request).log_writer.read_session, session_id)
    if not files:
        raise UnknownSession(session_id)
    return json_response(SessionLogs(session_id, files))


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
