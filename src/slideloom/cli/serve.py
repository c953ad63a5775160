"""`slideloom serve`: one line when it is ready, an orderly stop."""

import asyncio
import contextlib
import gc
import itertools
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated

import uvicorn
from cyclopts import Parameter
from starlette.applications import Starlette

from slideloom.app import create_app
from slideloom.assembly import Services
from slideloom.cli.exits import Exit
from slideloom.cli.listening import CannotListenError, fit_connections, listen
from slideloom.cli.words import tell, tell_count, translate
from slideloom.errors import SettingsError, StoreError
from slideloom.settings import Settings, load_settings
from slideloom.settings.checks import find_exposure
from slideloom.web.connections import to_protocol
from slideloom.web.crowd import Crowd
from slideloom.web.sockets import SocketConnection

_FORCE_POLL_S = 0.1
_MOST_READER_BYTES = 4096
"""Of a message over WebSocket, where nothing is expected of readers; kept until it is whole."""
_NEW_OBJECTS = 100_000
"""From which on Python looks for cycles by itself; of its own 700, a handful of requests make."""
_COLLECT_S, _ALL_EVERY = 0.3, 1000
"""Between two looks among what is new; and how many of them to one among all, in five minutes."""
_READERS_GRACE_S, _CONNECTIONS_GRACE_S = 4, 5
"""Whole seconds for answers under way once the engine has come to its end: to be taken, and for
their handlers to end."""


def serve(
    *,
    host: Annotated[str | None, Parameter(help="Address to listen on (HOST).")] = None,
    port: Annotated[str | None, Parameter(help="Port to listen on (PORT).")] = None,
    insecure: Annotated[
        bool,
        Parameter(
            negative=(), help="Listen beyond this machine without API_TOKENS: all who reach it pay."
        ),
    ] = False,
) -> Exit:
    """Serve on http://localhost:8000 until stopped."""
    try:
        overrides = {"HOST": host, "PORT": port, "INSECURE": "1" if insecure else None}
        settings, warnings = load_settings(os.environ, env_file=Path(".env"), overrides=overrides)
        refuse_exposed(settings)
        asyncio.run(_serve(settings, tuple(warnings)))
    except (SettingsError, StoreError, CannotListenError) as error:
        print(f"slideloom: {error}", file=sys.stderr)  # noqa: T201 - the command's own voice
        return Exit.USAGE
    return Exit.OK


def refuse_exposed(settings: Settings) -> None:
    """Make sure that not everybody who reaches the port can spend the operator's money.

    Raises:
        SettingsError: they could, and it is not said that they may.
    """
    exposure = find_exposure(settings)
    if exposure is not None:
        raise SettingsError(exposure)


class Server(uvicorn.Server):
    """uvicorn, which on its way out first lets the engine come to an end."""

    def __init__(self, config: uvicorn.Config, services: Services) -> None:
        super().__init__(config)
        self._services = services
        self._is_told = False
        """Whether a signal asked for the stop."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals until the process ends: the services are closed after serving.

        Not by the loop, which would let go of them first: a late Ctrl-C is no crash.
        """
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, self.handle_exit)
        yield

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal asks for an orderly stop, a second one stops now.

        It comes between any two steps, so it only sets what the loop looks at.
        """
        self.force_exit = self.should_exit
        self._is_told = True
        super().handle_exit(sig, frame)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets)
        for listener in sockets or ():
            self.announce(listener)

    def announce(self, listener: socket.socket) -> None:
        """Say where it is and who makes the pictures."""
        _announce(self._services, listener)

    @property
    def is_working(self) -> bool:
        """Whether a batch has not ended."""
        return self._services.engine.active_count() > 0

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop the engine, whose end ends the waiting answers; then the connections."""
        grace_s = self._services.settings.stop_grace_seconds
        if self._is_told:
            text = "Stopping: calls under way get {seconds} s; Ctrl-C again stops now."
            words = tell(text, seconds=f"{grace_s:g}") if self.is_working else tell("Stopping.")
            with contextlib.suppress(OSError, ValueError):  # nobody may read it any more
                _say(words)
        stop = asyncio.create_task(self._services.engine.stop(grace_s=grace_s), name="stop")
        while not stop.done():
            await asyncio.wait({stop}, timeout=_FORCE_POLL_S)
            if self.force_exit:
                await self._services.engine.stop(grace_s=0.0)
        await stop
        cut = asyncio.get_running_loop().call_later(_READERS_GRACE_S, self._cut_off)
        await super().shutdown(sockets)
        cut.cancel()

    def _cut_off(self) -> None:
        """Let go of readers who do not take their answers: uvicorn would crash their handlers."""
        for connection in tuple(self.server_state.connections):
            connection.transport.abort()


async def _serve(settings: Settings, warnings: tuple[str, ...]) -> None:
    most = fit_connections(settings.max_connections)
    if most < settings.max_connections:
        warnings += (f"MAX_CONNECTIONS is {most} here: the system allows no more open files",)
    application = create_app(settings, warnings=warnings)
    with listen(settings) as listener:
        async with application.router.lifespan_context(application):
            collector = asyncio.create_task(_collect_often(), name="collect cycles")
            server = Server(to_uvicorn_config(application), application.state.services)
            await server.serve([listener])
            collector.cancel()


async def _collect_often() -> None:
    """Look for cycles often among what is new, seldom among all, never among what was there before.

    Each look stops the loop for as long as there is to be looked at. Left to Python, with 1,500
    connections they took an eighth of the processor's time, and up to 0.2 s at once.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS)
    for turn in itertools.count(1):
        await asyncio.sleep(_COLLECT_S)
        gc.collect(2 if turn % _ALL_EVERY == 0 else 1)


def to_uvicorn_config(application: Starlette) -> uvicorn.Config:
    """How uvicorn is to serve the application, whose lifespan is open."""
    settings: Settings = application.state.services.settings
    return uvicorn.Config(
        application,
        lifespan="off",
        loop="asyncio",  # bulk reads from providers cost less than on uvloop
        http=to_protocol(Crowd(fit_connections(settings.max_connections))),
        ws=SocketConnection,
        log_level="warning",
        access_log=False,
        proxy_headers=False,  # nothing here asks who is on the other side of a proxy
        timeout_graceful_shutdown=_CONNECTIONS_GRACE_S,
        ws_max_size=_MOST_READER_BYTES,
        server_header=False,
    )


def _say(*lines: str) -> None:
    print("\n".join(lines), flush=True)  # noqa: T201 - the command's own voice


def to_greeting(
    url: str,
    *,
    provider: str,
    model: str,
    has_key: bool,
    resumed_count: int = 0,
    cut_off_count: int = 0,
) -> list[str]:
    """What is said once it serves: where, who makes the pictures, what was left open before."""
    lines = [tell("Slideloom is at {url} - stop it with Ctrl-C.", url=url)]
    if provider == "local":
        why = "LLM_IMAGE_API=local." if has_key else tell("no API key is set.")
        lines += [
            tell("The EMBEDDED RENDERER typesets the pictures: {why}", why=why),
            tell("To have a model draw them, set LLM_IMAGE_API_KEY (see .env.example)."),
        ]
    else:
        text = "Pictures come from {model} ({provider})."
        lines.append(tell(text, model=model, provider=provider))
    if resumed_count:
        one, many = "Going on with 1 unfinished deck.", "Going on with {count} unfinished decks."
        lines.append(tell_count(resumed_count, one, many))
    if cut_off_count:
        one = "1 slide was cut off and may have been billed."
        many = "{count} slides were cut off and may have been billed."
        lines.append(tell_count(cut_off_count, one, many))
    return lines


def _announce(services: Services, listener: socket.socket) -> None:
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    shown = "localhost" if host in {"127.0.0.1", "::1"} else shown
    lines = to_greeting(
        f"http://{shown}:{port}",
        provider=services.provider.name,
        model=services.provider.model,
        has_key=bool(services.settings.image_keys),
        resumed_count=services.engine.active_count(),
        cut_off_count=services.engine.cut_off_count(),
    )
    lines += [
        tell("Warning: {warning}", warning=translate(warning)) for warning in services.warnings
    ]
    _say(*lines)
    services.log.info(
        "service_started",
        port=port,
        provider=services.provider.name,
        model=services.provider.model,
        warnings=services.warnings,
    )
