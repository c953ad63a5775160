"""Web tests talk to the real app over a real socket."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.parts import ScriptedProvider
from tests.support.service import Running, running_service


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> ScriptedProvider:
    """Makes the pictures of every service in the test, at once."""
    made = ScriptedProvider(seconds=0.0)
    monkeypatch.setattr("slideloom.assembly.lanes.open_providers", lambda _: [made])
    return made


@pytest.fixture
async def service(provider: ScriptedProvider, tmp_path: Path) -> AsyncIterator[Running]:
    """A running service over `provider`."""
    del provider
    async with running_service(tmp_path) as running:
        yield running
