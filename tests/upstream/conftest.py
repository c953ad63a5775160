"""What the tests of the upstream emulator share: a session with a key, and calls."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.upstream.calls import Caller


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """A client with a key, as plain as can be."""
    async with aiohttp.ClientSession(headers={"Authorization": "Bearer sk-test-7890"}) as client:
        yield client


@pytest.fixture
def caller(session: aiohttp.ClientSession) -> Caller:
    """Calls in any shape."""
    return Caller(session)
