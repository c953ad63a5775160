"""Pages of other web sites that may use the service (CORS)."""

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import Receive, Scope, Send


class CrossOrigin(CORSMiddleware):
    """Starlette's, without words of its own: it only says what is allowed.

    The browser holds its pages to that. Who may not ask at all, `Doors` has refused.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Requests that are no other site's need nothing said."""
        for name, _ in scope.get("headers", ()):
            if name == b"origin":
                await super().__call__(scope, receive, send)
                return
        await self.app(scope, receive, send)

    def preflight_response(self, request_headers: Headers) -> Response:
        """See `CORSMiddleware`."""
        told = super().preflight_response(request_headers).headers
        headers = {name: value for name, value in told.items() if not name.startswith("content-")}
        return Response(status_code=204, headers=headers)
