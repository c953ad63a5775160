"""A session's files: what they are called, and how those of several places are put together."""

import re
from collections import Counter
from collections.abc import Mapping

from msgspec import Struct

SESSION_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""Session ids are UUIDs of ours; nothing else is ever put into a path or a key."""
_NAME = re.compile(r"(.*_(?:slide_\d{3}|[a-z]+))(?:_\d+)?\.json")
"""Of a file; in front of the run's number. Pages have three digits, so they are told from runs."""


class SessionDocument(Struct, frozen=True):
    """What one session file holds."""

    session_id: str
    action: str
    body: bytes
    """JSON."""
    run: int = 1
    """Which of that action, from 1; it may become a later one where its name is taken."""

    @property
    def name(self) -> str:
        """The file's name: from the second run on it ends in the run's number."""
        end = "" if self.run == 1 else f"_{self.run}"
        return f"{self.session_id}_{self.action}{end}.json"


def join_files(shared: Mapping[str, bytes], own: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files of both by name, each once: a file of one's own may be shared by another name.

    So they are compared by what they hold. Those that are not shared (yet) keep their
    names as far as these are free.
    """
    joined, seen = dict(shared), Counter(shared.values())  # two files may well say the same
    for name, body in own.items():
        if seen[body]:
            seen[body] -= 1
        else:
            joined[_find_free(name, joined)] = body
    return dict(sorted(joined.items()))


def _find_free(name: str, taken: Mapping[str, bytes]) -> str:
    match = _NAME.fullmatch(name)
    stem, run = name.removesuffix(".json") if match is None else match[1], 1
    while name in taken:
        run += 1
        name = f"{stem}_{run}.json"
    return name
