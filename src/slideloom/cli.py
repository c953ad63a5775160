"""The command line: parse, call, print."""

import asyncio
import os
import sys
from pathlib import Path
from socket import socket
from typing import Annotated

import uvicorn
from cyclopts import App, Parameter
from starlette.applications import Starlette

from slideloom.app import create_app
from slideloom.assembly import Services
from slideloom.errors import SettingsError, StoreError
from slideloom.settings import Settings, load_settings

_EXIT_USAGE = 2
_FORCE_POLL_S = 0.1

app = App(name="slideloom", help="Makes all the pictures of a slide deck at once.")


@app.command
def serve(
    *,
    host: Annotated[str | None, Parameter(help="Address to listen on (HOST).")] = None,
    port: Annotated[str | None, Parameter(help="Port to listen on (PORT).")] = None,
) -> None:
    """Serve on http://localhost:8000 until stopped."""
    try:
        settings, warnings = load_settings(
            os.environ, env_file=Path(".env"), overrides={"HOST": host, "PORT": port}
        )
        asyncio.run(_serve(settings, tuple(warnings)))
    except (SettingsError, StoreError, _CannotListen) as error:
        print(f"slideloom: {error}", file=sys.stderr)  # noqa: T201 - the command's own voice
        sys.exit(_EXIT_USAGE)


def main() -> None:
    """The console script."""
    app()


class _CannotListen(Exception):
    pass


class _Server(uvicorn.Server):
    """uvicorn, which on its way out first lets the engine come to an end."""

    def __init__(self, config: uvicorn.Config, services: Services) -> None:
        super().__init__(config)
        self._services = services

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """Stop the engine, whose end ends the waiting answers; then the connections."""
        grace_s = self._services.settings.stop_grace_seconds
        stop = asyncio.create_task(self._services.engine.stop(grace_s=grace_s), name="stop")
        while not stop.done():
            await asyncio.wait({stop}, timeout=_FORCE_POLL_S)
            if self.force_exit:
                await self._services.engine.stop(grace_s=0.0)
        await stop
        await super().shutdown(sockets)


async def _serve(settings: Settings, warnings: tuple[str, ...]) -> None:
    application = create_app(settings, warnings=warnings)
    async with application.router.lifespan_context(application):
        await _listen(application, settings)


async def _listen(application: Starlette, settings: Settings) -> None:
    services: Services = application.state.services
    config = uvicorn.Config(
        application,
        host=settings.host,
        port=settings.port,
        lifespan="off",
        loop="asyncio",  # measured: bulk reads from providers cost less than on uvloop
        http="httptools",
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=10,
        server_header=False,
    )
    try:
        listener = config.bind_socket()
    except SystemExit:
        message = f"cannot listen on {settings.host}:{settings.port}; is it in use? Set PORT"
        raise _CannotListen(message) from None
    _announce(services, listener)
    await _Server(config, services).serve([listener])


def _announce(services: Services, listener: socket) -> None:
    host, port = listener.getsockname()[:2]
    shown = "localhost" if host in {"127.0.0.1", "::1"} else host
    lines = [f"Slideloom is at http://{shown}:{port} - stop it with Ctrl-C."]
    if services.provider.name == "local":
        lines += [
            "No API key is set: the EMBEDDED RENDERER typesets the pictures, no model draws them.",
            "To change that, set LLM_IMAGE_API_KEY in the environment or .env (see .env.example).",
        ]
    else:
        lines.append(f"Pictures come from {services.provider.model} ({services.provider.name}).")
    lines += [f"Warning: {warning}" for warning in services.warnings]
    print("\n".join(lines), flush=True)  # noqa: T201 - the command's own voice
    services.log.info(
        "service_started",
        port=port,
        provider=services.provider.name,
        model=services.provider.model,
        warnings=services.warnings,
    )
