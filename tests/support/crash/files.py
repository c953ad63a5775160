"""What lies in the folders after a crash: is every file whole?"""

import json
from io import BytesIO
from pathlib import Path

from PIL import Image

from tests.support.crash.site import Site

_PNG_END = b"IEND\xaeB`\x82"


def find_fault_in_picture(data: bytes) -> str | None:
    """Why it is no whole picture; checks every chunk's sum, and decodes nothing."""
    try:
        with Image.open(BytesIO(data)) as image:
            kind = image.format
            image.verify()
    except (OSError, SyntaxError) as error:
        return str(error)
    return "it has no end" if kind == "PNG" and not data.endswith(_PNG_END) else None


def find_torn_logs(site: Site) -> list[str]:
    """Session files and log lines that are no JSON."""
    logs = site.folder / "logs"
    torn = [
        f"{path.name} is torn"
        for path in logs.glob("sessions/*.json")
        if not _is_json(path.read_bytes())
    ]
    for path in logs.glob("pipeline_*.log"):
        torn += _find_torn_lines(path)
    return torn


def _find_torn_lines(path: Path) -> list[str]:
    lines = enumerate(path.read_bytes().splitlines(), 1)
    return [f"{path.name}:{n} is torn: {line[:80]!r}" for n, line in lines if not _is_json(line)]


def _is_json(data: bytes) -> bool:
    try:
        json.loads(data)
    except ValueError:
        return False
    return True
