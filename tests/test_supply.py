"""What is installed with the service, and what its mere import does."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[1]
LOCKS = {
    name: ROOT / name
    for name in ("requirements.lock", "requirements-cluster.lock", "tests/requirements.lock")
}
SERVICE_LOCKS = ("requirements.lock", "requirements-cluster.lock")
FLOORS = {
    "starlette": "1.3.1",  # PYSEC-2026-249: limits of forms that were ignored
    "aiohttp": "3.14.4",  # PYSEC-2026-4392: unbounded Set-Cookie
    "pillow": "13",  # CVE-2026-96636, 96637: bombs past the check
    "redis": "5",  # CVE-2023-28858: answers mixed up after a cancelled command
    "h11": "0.16",  # CVE-2025-43859: request smuggling
}
"""Source: reliability, version floors under its table of incidents."""
NOT_WANTED = ("python-multipart", "multipart", "itsdangerous", "jinja2", "requests")
"""Forms and templates, whose holes a service of JSON need not have; what only tests need."""
_PIN = re.compile(r"^([a-z0-9][a-z0-9._-]*)(?:\[[\w,-]+\])?==([^\s;\\]+)", re.MULTILINE)
WATCH = """
import importlib, pkgutil, sys
kept = []

def hear(event, arguments):
    if event.startswith("socket.") and event != "socket.gethostname":
        kept.append(event)
    elif event in {"subprocess.Popen", "os.system", "os.fork", "os.mkdir", "os.remove"}:
        kept.append(f"{event} {arguments}")
    elif event == "open" and isinstance(arguments[0], str):
        path, mode, _ = arguments
        if set(mode or "r") & set("wax+") or not path.startswith(tuple(sys.argv[1:])):
            kept.append(f"open {path} {mode}")

sys.addaudithook(hear)
import slideloom
for found in pkgutil.walk_packages(slideloom.__path__, "slideloom."):
    if not found.name.endswith("__main__"):
        importlib.import_module(found.name)
print(len(sys.modules), *sorted(set(kept)), sep="\\n")
"""


def read_pins(lock: Path) -> dict[str, Version]:
    return {name: Version(number) for name, number in _PIN.findall(lock.read_text())}


@pytest.mark.parametrize("lock", LOCKS)
def test_no_lock_goes_below_a_floor(lock: str) -> None:
    pins = read_pins(LOCKS[lock])
    assert pins.keys() >= FLOORS.keys() - ({"redis"} if lock == "requirements.lock" else set())
    low = {name: pin for name, pin in pins.items() if pin < Version(FLOORS.get(name, "0"))}
    assert low == {}


def test_no_requirement_allows_what_is_below_a_floor() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    wanted = [Requirement(text) for part in (project["dependencies"], *extras) for text in part]
    for requirement in wanted:
        floor = FLOORS.get(requirement.name.lower())
        if floor is not None:
            (bound,) = [one for one in requirement.specifier if one.operator == ">="]
            assert Version(bound.version) >= Version(floor), requirement


@pytest.mark.parametrize("lock", SERVICE_LOCKS)
def test_service_brings_no_parser_of_forms_along(lock: str) -> None:
    assert read_pins(LOCKS[lock]).keys() & set(NOT_WANTED) == set()


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_has_a_hash(lock: str) -> None:
    text = LOCKS[lock].read_text()
    parts = re.split(r"\n(?=[a-z0-9])", text)
    assert [part[:60] for part in parts if _PIN.match(part) and "--hash=sha256:" not in part] == []


@pytest.mark.slow
def test_importing_the_service_touches_neither_network_nor_files_of_others() -> None:
    places = {sys.prefix, sys.base_prefix, str(ROOT / "src"), "<frozen", "/proc/"}
    done = subprocess.run(
        [sys.executable, "-B", "-c", WATCH, *sorted(places)],
        cwd="/",
        env={"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=True,
    )
    count, *kept = done.stdout.splitlines()
    assert int(count) > 500
    assert kept == []
