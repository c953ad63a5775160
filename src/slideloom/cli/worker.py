"""`slideloom worker`: makes decks off the queue, beside any number of services."""

import asyncio
import contextlib
import os
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from slideloom.assembly import Bench, open_bench
from slideloom.cli.exits import Exit
from slideloom.cli.words import tell, translate
from slideloom.errors import SettingsError, StoreError
from slideloom.settings import Settings, load_settings
from slideloom.worker import Shift, Signals, run_worker


def worker(
    *,
    metrics_port: Annotated[
        int | None, Parameter(help="Port on HOST where Prometheus finds this worker's /metrics.")
    ] = None,
) -> Exit:
    """Make decks off the queue (QUEUE), beside any number of services, until stopped."""
    try:
        settings, warnings = load_settings(os.environ, env_file=Path(".env"))
        asyncio.run(_work(settings, tuple(warnings), metrics_port=metrics_port))
    except (SettingsError, StoreError) as error:
        print(f"slideloom: {error}", file=sys.stderr)  # noqa: T201 - the command's own voice
        return Exit.USAGE
    return Exit.OK


async def _work(settings: Settings, warnings: tuple[str, ...], *, metrics_port: int | None) -> None:
    signals = Signals()
    async with open_bench(settings, warnings=warnings) as bench:
        if metrics_port is not None:
            bench.metrics.serve(settings.host, metrics_port)
        _say(to_greeting(bench.provider.name, bench.provider.model))
        for warning in bench.warnings:
            _say(tell("Warning: {warning}", warning=translate(warning)))
        bench.log.info("worker_started", provider=bench.provider.name, model=bench.provider.model)
        await run_worker(
            Shift(bench),
            signals,
            grace_s=settings.stop_grace_seconds,
            announce_stop=lambda: _say(to_farewell(bench)),
        )


def to_greeting(provider: str, model: str) -> str:
    """What is said once it works."""
    text = "Slideloom makes decks off the queue, pictures by {model} ({provider}); stop: Ctrl-C."
    return tell(text, model=model, provider=provider)


def to_farewell(bench: Bench) -> str:
    """What is said once a signal asked for the stop."""
    if not bench.handler.runs.roster.runs:
        return tell("Stopping.")
    text = "Stopping: calls under way get {seconds} s; Ctrl-C again stops now."
    return tell(text, seconds=f"{bench.settings.stop_grace_seconds:g}")


def _say(line: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # nobody may read it any more
        print(line, flush=True)  # noqa: T201 - the command's own voice
