"""Providers over the emulator, and drafts in memory."""

import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from slideloom.domain.ratio import Ratio, parse_ratio
from slideloom.providers.base import Drawn, DrawOrder
from slideloom.providers.call import NetworkProvider
from slideloom.providers.download import Downloads, Guard
from slideloom.providers.network import Api
from tests.support.orders import slide
from tests.support.parts import MemoryDraft, MemoryImageStore
from tests.support.providers import open_provider as open_by_api
from tests.support.upstream import Plan, Upstream

KEY = "sk-or-v1-canary-0123456789abcdef"
"""Looks like a key, and is looked for where none may be."""
TRUSTING = Guard(schemes=frozenset({"http", "https"}), allows=lambda _: True)
"""Lets a test's own file host pass."""

Open = Callable[..., NetworkProvider]


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    """A paid provider, as good as can be until a test sets a plan."""
    async with Upstream(Plan()) as up:
        yield up


@pytest.fixture
async def open_provider(upstream: Upstream) -> AsyncIterator[Open]:
    """Providers of either shape, closed after the test."""
    opened: list[NetworkProvider] = []

    def open_one(shape: Api = "images", **changes: Any) -> NetworkProvider:
        if "downloads" not in changes:
            changes["downloads"] = Downloads(guard=TRUSTING, pauses_s=(0.001,) * 3, stall_s=0.2)
        facts: dict[str, Any] = {"base_url": upstream.base_url, "key": KEY, "model": "a/model"}
        provider = open_by_api(shape, **facts | changes)
        opened.append(provider)
        return provider

    yield open_one
    for provider in opened:
        await provider.close()


@pytest.fixture
def server_tls(tmp_path: Path) -> ssl.SSLContext:
    """A server's certificate that nobody vouches for; it lies in `tmp_path` as cert.pem."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate")
    names = ("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1")
    files = ("-keyout", "key.pem", "-out", "cert.pem")
    command = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *files, *names)
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    return context


def order(prompt: str = "a calm slide", ratio: str = "16:9", **changes: Any) -> DrawOrder:
    """An order for one picture."""
    wanted: Ratio = parse_ratio(ratio)
    return DrawOrder(prompt=prompt, ratio=wanted, slide=slide(), style_prompt="", **changes)


async def draw(
    provider: NetworkProvider, prompt: str = "a calm slide", **changes: Any
) -> tuple[Drawn, MemoryDraft]:
    """Draw one picture into memory."""
    draft = MemoryDraft(MemoryImageStore())
    return await provider.draw(order(prompt, **changes), draft), draft
