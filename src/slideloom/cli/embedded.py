"""A service inside the command, for as long as it takes, with folders of its own."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

from msgspec.structs import replace

from slideloom.app import create_app
from slideloom.cli.listening import listen
from slideloom.cli.output import Output
from slideloom.cli.reach import OWN_PREFIX
from slideloom.cli.serve import Server, to_uvicorn_config
from slideloom.cli.words import tell
from slideloom.settings import load_settings

_YEAR_H = 24 * 366
"""The record of a deck lives as long as its folder does, more or less."""


class _QuietServer(Server):
    """A server whose command handles the signals and speaks for it."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave them to the command."""
        yield

    def announce(self, listener: socket.socket) -> None:
        """Say nothing: nobody is to go there."""


@asynccontextmanager
async def embedded_service(home: Path, output: Output) -> AsyncIterator[str]:
    """The address of a service that keeps everything in `home`; stopped in order at the end.

    Raises:
        SettingsError: a setting is wrong.
        StoreError: another command is at work in `home`.
    """
    settings, warnings = load_settings(
        os.environ,
        env_file=Path(".env"),
        overrides={
            "HOST": "127.0.0.1",
            "PORT": "0",
            "API_PREFIX": OWN_PREFIX,
            "DATA_DIR": str(home / "data"),
            "LOG_DIR": str(home / "logs"),
            "IMAGE_OUTPUT_DIR": str(home / "pictures"),
            "BATCH_CLEANUP_HOURS": str(_YEAR_H),
        },
    )
    # All of it in `home`, and for this command alone, whatever the operator's servers are set to.
    settings = replace(settings, store="", queue="", image_store="", api_tokens="")
    output.note(*(tell("Warning: {warning}", warning=warning) for warning in warnings))
    app = create_app(settings, warnings=tuple(warnings))
    with listen(settings) as listener:
        async with app.router.lifespan_context(app):
            server = _QuietServer(to_uvicorn_config(app), app.state.services)
            serving = asyncio.create_task(server.serve([listener]), name="embedded service")
            try:
                yield f"http://127.0.0.1:{listener.getsockname()[1]}"
            finally:
                await _stop(server, serving, output, grace_s=settings.stop_grace_seconds)


async def _stop(
    server: Server, serving: asyncio.Task[None], output: Output, *, grace_s: float
) -> None:
    """Let calls under way end; a Ctrl-C meanwhile cuts that short."""

    def hurry() -> None:
        server.force_exit = True

    loop = asyncio.get_running_loop()
    with suppress(NotImplementedError, ValueError):  # not in the main thread
        loop.add_signal_handler(signal.SIGINT, hurry)
    if server.is_working:
        text = "Stopping: calls under way get {seconds} s; Ctrl-C again stops now."
        output.note(tell(text, seconds=f"{grace_s:g}"))
    server.should_exit = True
    await asyncio.shield(serving)
