"""The real service on a real socket, inside the test's loop."""

import socket
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import uvicorn
from msgspec import Struct

from slideloom.app import create_app
from slideloom.assembly import Services
from slideloom.settings import load_settings
from slideloom.web.connections import to_protocol
from slideloom.web.crowd import Crowd, Limits
from slideloom.web.sockets import SocketConnection

PAGE = Path(__file__).parents[2] / "static"


class Running(Struct, frozen=True):
    """A service that answers."""

    url: str
    services: Services
    client: aiohttp.ClientSession
    folder: Path
    connections: Collection[Any]
    """Those that are open, as the server knows them."""

    async def post(self, path: str, body: Any, **more: Any) -> tuple[int, Any, Mapping[str, str]]:
        """Status, decoded JSON body and headers of a POST below `/api`."""
        async with self.client.post(f"{self.url}/api{path}", json=body, **more) as answer:
            return answer.status, await answer.json(content_type=None), answer.headers

    async def get(self, path: str, **more: Any) -> tuple[int, Any, Mapping[str, str]]:
        """Status, decoded JSON body and headers of a GET."""
        async with self.client.get(self.url + path, **more) as answer:
            return answer.status, await answer.json(content_type=None), answer.headers


@asynccontextmanager
async def running_service(
    folder: Path, limits: Limits | None = None, /, **settings: object
) -> AsyncIterator[Running]:
    """Serve out of `folder`; `settings` are environment names."""
    environ = {
        "DATA_DIR": str(folder / "data"),
        "LOG_DIR": str(folder / "logs"),
        "IMAGE_OUTPUT_DIR": str(folder / "assets"),
        **{name: str(value) for name, value in settings.items()},
    }
    loaded, warnings = load_settings(environ)
    app = create_app(loaded, warnings=tuple(warnings))
    # The protocol by name, as `serve` does it: else each answer waits 40 ms for an acknowledgement.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(2048)
    http = to_protocol(Crowd(loaded.max_connections, limits))
    config = uvicorn.Config(
        app, lifespan="off", http=http, ws=SocketConnection, log_level="error", proxy_headers=False
    )
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    async with app.router.lifespan_context(app):
        # Not `serve`: its main loop sleeps a tenth of a second, each time.
        await server.startup([listener])
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        try:
            async with aiohttp.ClientSession() as client:
                open_ones = server.server_state.connections
                yield Running(url, app.state.services, client, folder, open_ones)
        finally:
            await app.state.services.engine.stop(grace_s=0.0)
            for listening in server.servers:  # not `shutdown`, which sleeps too
                listening.close()
            for connection in list(server.server_state.connections):
                connection.shutdown()
            listener.close()
