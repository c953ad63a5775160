"""`slideloom config show`: every setting, its value, and who says so."""

import os
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from slideloom.cli.exits import Exit
from slideloom.cli.output import Manner, Output
from slideloom.cli.words import tell
from slideloom.errors import SettingsError
from slideloom.settings import load_settings, trace_settings


def show(
    *,
    host: Annotated[str | None, Parameter(help="As serve --host.")] = None,
    port: Annotated[str | None, Parameter(help="As serve --port.")] = None,
    json: Annotated[bool, Parameter(negative=(), help="Print JSON instead of a table.")] = False,
) -> Exit:
    """Show every setting, its value and where that comes from; keys are masked."""
    output = Output(Manner(json=json))
    overrides = {"HOST": host, "PORT": port}
    try:
        traced = trace_settings(os.environ, env_file=Path(".env"), overrides=overrides)
        _, warnings = load_settings(os.environ, env_file=Path(".env"), overrides=overrides)
    except SettingsError as error:
        output.fail(error)
        return Exit.USAGE
    output.put_json({"settings": traced, "warnings": warnings})
    output.put_table(
        ("setting", "value", "from"),
        [(one.name, "" if one.value is None else str(one.value), one.source) for one in traced],
    )
    output.note(*(tell("Warning: {warning}", warning=warning) for warning in warnings))
    return Exit.OK
