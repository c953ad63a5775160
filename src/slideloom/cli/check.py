"""`slideloom check`: settings, folders and keys, looked at unpaid."""

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from slideloom.checkup import Finding, Trouble, check_all
from slideloom.cli import json_lines
from slideloom.cli.exits import Exit
from slideloom.cli.words import tell, translate
from slideloom.errors import SettingsError
from slideloom.settings import Settings, load_settings

_EXITS: dict[Trouble, Exit] = {
    "none": Exit.OK,
    "doubt": Exit.OK,
    "here": Exit.ERROR,
    "account": Exit.ACCOUNT,
    "provider": Exit.UNREACHABLE,
}


def check(
    *,
    json: Annotated[
        bool, Parameter(negative=(), help="Print one JSON document instead of lines.")
    ] = False,
) -> Exit:
    """Look at settings, folders and keys; asks the provider something free, pays nothing."""
    try:
        settings, warnings = load_settings(os.environ, env_file=Path(".env"))
        findings = asyncio.run(_check(settings, warnings, prints=not json))
    except SettingsError as error:
        print(f"slideloom: {error}", file=sys.stderr)  # noqa: T201 - the command's own voice
        if json:
            json_lines.put_error("settings", str(error))
        return Exit.USAGE
    if json:
        json_lines.put(findings)
    return max(_EXITS[finding.trouble] for finding in findings)


async def _check(settings: Settings, warnings: Sequence[str], *, prints: bool) -> list[Finding]:
    findings = []
    async for finding in check_all(settings, warnings):
        findings.append(finding)
        if prints:
            mark = {"none": "ok", "doubt": "!!"}.get(finding.trouble, "NO")
            part, words = translate(finding.part), translate(finding.words)
            _say(f"{mark}  {tell('{subject}: {words}', subject=part, words=words)}")
    return findings


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - the command's own voice
