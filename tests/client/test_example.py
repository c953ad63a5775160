"""The example of the client's page runs as written, and its tables name all there is."""

import asyncio
import re
import subprocess
import sys
from pathlib import Path

import pytest

import slideloom.client
from slideloom.client import AsyncBatch, AsyncClient, Batch, Client, ClientError
from tests.support.service import Running

PAGE = (Path(__file__).parents[2] / "docs/client.md").read_text(encoding="utf-8")
(EXAMPLE,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def public(kind: type) -> set[str]:
    """The names of its methods for everybody."""
    return {name for name, one in vars(kind).items() if callable(one) and name[0] != "_"}


@pytest.mark.slow
async def test_example_runs_as_written(service: Running) -> None:
    script = EXAMPLE.replace("http://localhost:8000", service.url)
    assert script != EXAMPLE
    assert len(EXAMPLE.splitlines()) <= 20
    ran = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-W", "error", "-c", script],
        cwd=service.folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.stderr == ""
    assert ran.stdout.endswith("2 of 2 done, $0.08\n"), ran.stdout
    names = sorted(path.name for path in (service.folder / "slides").iterdir())
    assert names == ["deck.pptx", "slide_001.png", "slide_002.png"]


def test_both_clients_have_the_same_methods_and_the_page_names_them() -> None:
    assert public(Client) == public(AsyncClient)
    assert public(Batch) == public(AsyncBatch)
    for owner, kind in (("client", Client), ("batch", Batch)):
        missing = [name for name in public(kind) - {"close"} if f"`{owner}.{name}(" not in PAGE]
        assert missing == []


def test_page_names_every_error() -> None:
    kinds = [
        name
        for name in slideloom.client.__all__
        if isinstance(one := getattr(slideloom.client, name), type) and issubclass(one, ClientError)
    ]
    assert [name for name in kinds if f"`{name}`" not in PAGE and name != "ClientError"] == []
