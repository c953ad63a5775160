"""`slideloom worker`: makes decks off the queue, beside any number of services."""

import asyncio
import contextlib
import os
import sys
from pathlib import Path

from slideloom.assembly import Services, open_services
from slideloom.cli.exits import Exit
from slideloom.cli.words import tell
from slideloom.errors import SettingsError, StoreError
from slideloom.settings import Settings, load_settings
from slideloom.worker import Signals, run_worker


def worker() -> Exit:
    """Make decks off the queue (QUEUE), beside any number of services, until stopped."""
    try:
        settings, warnings = load_settings(os.environ, env_file=Path(".env"))
        asyncio.run(_work(settings, tuple(warnings)))
    except (SettingsError, StoreError) as error:
        print(f"slideloom: {error}", file=sys.stderr)  # noqa: T201 - the command's own voice
        return Exit.USAGE
    return Exit.OK


async def _work(settings: Settings, warnings: tuple[str, ...]) -> None:
    _refuse_without_queue(settings)
    signals = Signals()
    async with open_services(settings, warnings=warnings) as services:
        _say(to_greeting(services.provider.name, services.provider.model))
        await run_worker(
            services.engine,
            signals,
            grace_s=settings.stop_grace_seconds,
            announce_stop=lambda: _say(to_farewell(services)),
        )


def _refuse_without_queue(settings: Settings) -> None:
    # `getattr`, until the settings know them.
    missing = [name for name in ("STORE", "QUEUE") if not getattr(settings, name.lower(), "")]
    if missing:
        which = " and ".join(missing)
        message = f"a worker needs {which}, the address of Redis: redis://:password@host:6379/0"
        raise SettingsError(message)


def to_greeting(provider: str, model: str) -> str:
    """What is said once it works."""
    text = "Slideloom makes decks off the queue, pictures by {model} ({provider}); stop: Ctrl-C."
    return tell(text, model=model, provider=provider)


def to_farewell(services: Services) -> str:
    """What is said once a signal asked for the stop."""
    if not services.engine.active_count():
        return tell("Stopping.")
    text = "Stopping: calls under way get {seconds} s; Ctrl-C again stops now."
    return tell(text, seconds=f"{services.settings.stop_grace_seconds:g}")


def _say(line: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # nobody may read it any more
        print(line, flush=True)  # noqa: T201 - the command's own voice
