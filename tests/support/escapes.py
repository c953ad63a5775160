"""Strings that try to get out of a folder, made of families, and a watch over all that is opened.

Source: reliability R19 and its table of incidents (InvokeAI, ComfyUI, banana-slides, aiohttp).
"""

import contextlib
import os
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any, Final

_UP: Final = (
    "../",
    "..\\",
    "..%2f",
    "..%5c",
    "%2e%2e/",
    "%2e%2e%2f",
    "%2E%2E%5C",
    "..%252f",
    "..%255c",
    "%252e%252e%252f",
    "..%c0%af",
    "%c0%ae%c0%ae/",
    "..%e0%80%af",
    "..%c1%9c",
    "..%u2215",
    "..／",
    "．．/",
    "‥/",
    "..∕",
    "..;/",
    "..;a=b/",
    "....//",
    "..././",
    ".../",
    "..//",
    "./../",
    "x/../../",
    "..%00/",
    "..%0d%0a/",
    "..%09/",
    ".%2e/",
    "%2e./",
    "..%2f..%5c",
)
_HOW_FAR: Final = (1, 3, 8)
_GOALS: Final = ("etc/passwd", "canary.txt", "assets_secret/NAME")
_ABSOLUTE: Final = (
    "/etc/passwd",
    "//etc/passwd",
    "///etc/passwd",
    "/./etc/passwd",
    "%2fetc%2fpasswd",
    "%252fetc%252fpasswd",
    "\\etc\\passwd",
    "%5cetc%5cpasswd",
    "/proc/self/environ",
    "/dev/zero",
    "/dev/stdin",
    "file:///etc/passwd",
    "file:/etc/passwd",
    "\\\\host\\share\\x",
    "//host/share/x",
    "%5c%5chost%5cshare%5cx",
    "\\\\?\\C:\\Windows\\win.ini",
    "\\\\.\\PhysicalDrive0",
    "C:\\Windows\\win.ini",
    "C:/Windows/win.ini",
    "C:canary.txt",
    "c%3a%5cWindows%5cwin.ini",
    "~/.ssh/id_rsa",
    "~root/x",
    "$HOME/x",
    "${HOME}/x",
    "%HOME%/x",
    "`id`",
    "$(id)",
    "|id",
)
_DEVICES: Final = tuple(
    f"{name}{ending}"
    for name in ("CON", "NUL", "AUX", "PRN", "COM1", "LPT1", "con", "nul")
    for ending in ("", ".png", ".", ":", "/x")
)
_ODD: Final = (
    *(".", "..", "...", "....", "", " ", "  ", "%20", "%2e", "%2e%2e", "%", "%%", "%2", "%zz"),
    *("\0", "x\0.png", "NAME%00", "NAME%00.txt", "NAME\0", "\r\nX: y", "%0d%0aX:%20y", "\t", "%0a"),
    *(".hidden", ".thumbnails", ".thumbnails/x", ".references/x", ".part-x", ".git/config"),
    *(".env", "..env", "-rf", "--help", "-", "*", "?", "[a-z]", "{a,b}", "NAME*", "slide_*"),
    *("NAME ", "NAME.", "NAME...", "NAME%20", "NAME/", "NAME//", "NAME/.", "NAME/..", "NAME/x"),
    *("NAME::$DATA", "NAME:x", "NAME;x", "NAME%3bx", "NAME#x", "NAME%23x", "NAME?x", "NAME%3fx"),
    *("./NAME", "x/../NAME", "//NAME", "%2fNAME", "LINK", "LINK/..", "FOLDER/canary.txt"),
    *("FOLDER", "FOLDER/", "FOLDER/assets_secret/NAME", "LOOP", "LOOP/x"),
    *("x" * 256, "x" * 300 + ".png", "NAME" + "x" * 300, "/".join("x" * 60), "../" * 400, "％２ｅ"),
    *("ﾅ.png", "é.png", "e\u0301.png", "\u202egnp.exe", "\ufeffNAME", "NAME\u200b", "𝒜.png"),
    *("%ff", "%c0", "%ed%a0%80", "%f8%88%80%80%af", "%80", "\ufffd", "\uffff", "\u2028", "\x85"),
)
_PREFIXES: Final = ("", "NAME/", "x/", "/", "%2f", "static/", "assets/")

ESCAPES: Final = tuple(
    dict.fromkeys(
        [
            *(up * far + goal for up, far, goal in product(_UP, _HOW_FAR, _GOALS)),
            *(start + up + "canary.txt" for start, up in product(_PREFIXES, _UP)),
            *_ABSOLUTE,
            *_DEVICES,
            *_ODD,
        ]
    )
)
"""NAME, LINK, LOOP and FOLDER are to be put in: a picture, links out of its folder."""
CANARY: Final = "canary-that-lies-outside-7d1f"
"""In every file that nobody may read."""


def lay_canaries(folder: Path, images: Path, name: str) -> dict[str, str]:
    """Files around the image folder, links in it that lead there; what to put into `ESCAPES`."""
    link, loop = (f"slide_{letter * 32}.png" for letter in "cd")
    secret = folder / "assets_secret"
    secret.mkdir()
    for path in (folder / "canary.txt", secret / name, secret / link, images / ".hidden"):
        path.write_text(CANARY)
    (images / link).symlink_to(secret / name)
    (images / loop).symlink_to(loop)
    (images / "out").symlink_to(folder)
    return {"NAME": name, "LINK": link, "LOOP": loop, "FOLDER": "out"}


def fill_in(text: str, names: dict[str, str]) -> str:
    """An escape with the names of this test."""
    for word, name in names.items():
        text = text.replace(word, name)
    return text


class Watch:
    """Every path that this process opens, makes, renames or removes."""

    def __init__(self) -> None:
        self.paths: set[Path] = set()
        self._is_on = False
        sys.addaudithook(self._hear)  # it cannot be taken off again, so it can be told to be quiet

    @contextlib.contextmanager
    def on(self) -> Iterator[None]:
        """Note them from here on."""
        self._is_on = True
        try:
            yield
        finally:
            self._is_on = False

    def find_outside(self, *roots: Path) -> list[Path]:
        """Those outside `roots`, Python's own files and nameless temporary ones left out."""
        known = [*roots, *map(Path, sysconfig.get_paths().values()), Path(sys.base_prefix) / "lib"]
        known += [Path(__file__).parents[2] / part for part in ("src", "tests")]
        inside = [root.resolve() for root in known]
        return sorted(
            path
            for path in self.paths
            if not any(path.is_relative_to(root) for root in inside) and not _is_nameless(path)
        )

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._is_on and event in _EVENTS:
            for path in arguments[: _EVENTS[event]]:
                if isinstance(path, str | bytes | os.PathLike):
                    self.paths.add(Path(os.path.realpath(os.fsdecode(path))))


_EVENTS: Final = {
    **dict.fromkeys(("open", "os.mkdir", "os.remove", "os.rmdir", "os.truncate", "os.chmod"), 1),
    **dict.fromkeys(("os.rename", "os.link", "os.symlink", "shutil.move", "shutil.copyfile"), 2),
    **dict.fromkeys(("os.listdir", "os.scandir", "sqlite3.connect", "shutil.rmtree"), 1),
}
"""Audit events, and how many of their first arguments are paths."""


def _is_nameless(path: Path) -> bool:
    return str(path) == tempfile.gettempdir() or path.parent == Path("/dev")
