"""Browser tests: the real service, a real Chromium, an emulated image model in between."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.support.browser import CHROMIUM, open_browser
from tests.support.process import Served, served
from tests.support.upstream import Plan, Upstream

QUICK = Plan(latency_s=0.15)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of them are slow, and share their module's loop with browser and emulator."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.skipif(CHROMIUM is None, reason="no chromium"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """One browser for a module's tests."""
    async with open_browser() as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_upstream() -> AsyncIterator[Upstream]:
    """The image model."""
    async with Upstream(QUICK) as upstream:
        yield upstream


@pytest_asyncio.fixture(loop_scope="module")
async def upstream(shared_upstream: Upstream) -> Upstream:
    """The image model, quick and good, with an empty bill."""
    shared_upstream.reset(QUICK)
    return shared_upstream


def model_settings(upstream: Upstream) -> dict[str, object]:
    """What makes a service ask the emulator."""
    return {
        "LLM_IMAGE_API": "images",
        "LLM_IMAGE_API_KEY": "sk-test-0123456789abcdef",
        "LLM_IMAGE_API_BASE": upstream.base_url,
        "LLM_IMAGE_MODEL": "google/gemini-3-pro-image-preview",
        "STOP_GRACE_SECONDS": 0,
    }


@pytest.fixture
def service(upstream: Upstream, shared_service: Served) -> Served:
    """A served process whose pictures the emulator makes."""
    del upstream
    return shared_service


@pytest.fixture(scope="module")
def shared_service(
    shared_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """One for a module's tests."""
    folder = tmp_path_factory.mktemp("served")
    with served(folder, **model_settings(shared_upstream)) as process:
        yield process
