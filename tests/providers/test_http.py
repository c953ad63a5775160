"""Connections: downloads only from the Internet, and answers over TLS."""

import asyncio
import socket
import ssl
from functools import partial
from pathlib import Path
from typing import Literal

import aiohttp
import pytest

from slideloom.errors import AnswerLost, BlockedAddress, DownloadFailed
from slideloom.providers.download import Downloads, Guard, is_public
from tests.providers.conftest import KEY, TRUSTING, Open, draw
from tests.support.parts import MemoryDraft, MemoryImageStore
from tests.support.providers import open_provider
from tests.support.upstream import Plan, Upstream

PRIVATE = (
    "127.0.0.1",
    "127.1.2.3",
    "0.0.0.0",  # noqa: S104 - nothing is bound
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.100.100.200",
    "100.64.0.1",
    "168.63.129.16",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "64:ff9b::7f00:1",
    "64:ff9b::808:808",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:808:808::",
    "3fff::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "localhost",
    "0x7f.1",
    "2130706433",
    "host.example",
)


@pytest.mark.parametrize("address", PRIVATE)
def test_address_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "2a00:1450::1"])
def test_address_is_public(address: str) -> None:
    assert is_public(address)


ADDRESSES = (
    "http://1.1.1.1/a.png",
    "ftp://1.1.1.1/a.png",
    "file:///etc/passwd",
    "/relative.png",
    "//1.1.1.1/a.png",
    "https:///a.png",
    "https://127.0.0.1/a.png",
    "https://localhost/a.png",
    "https://127.1/a.png",
    "https://2130706433/a.png",
    "https://0x7f000001/a.png",
    "https://0177.0.0.1/a.png",
    "https://[::1]/a.png",
    "https://[::ffff:127.0.0.1]/a.png",
    "https://[64:ff9b::7f00:1]/a.png",
    "https://169.254.169.254/latest",
    "https://100.100.100.200/a",
    "https://10.0.0.1/a.png",
    "https://user:secret@1.1.1.1/a.png",
    "https://[fe80::1%25eth0]/a.png",
    "https://[::/a.png",
    "data:image/png;base64,AAAA",
    "javascript:alert(1)",
)


@pytest.mark.parametrize("address", ADDRESSES)
async def test_address_is_refused_before_anyone_is_asked(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect(*_: object) -> None:
        pytest.fail("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", connect)
    downloads = Downloads(pauses_s=())
    with pytest.raises(BlockedAddress):
        await downloads.fetch(address, MemoryDraft(MemoryImageStore()))
    await downloads.close()


async def test_redirect_is_checked_like_the_first_address(
    upstream: Upstream, open_provider: Open
) -> None:
    only_here = Guard(schemes=TRUSTING.schemes, allows=lambda host: host == "127.0.0.1")
    downloads = Downloads(guard=only_here, pauses_s=(0.001,) * 3)
    with pytest.raises(BlockedAddress):
        await draw(open_provider(downloads=downloads), "[[fault:F27_redirect_private]] page")
    assert len(upstream.bill.calls) == len(upstream.bill.downloads) == 1


@pytest.mark.parametrize("fault", ["F27_late", "F27_broken", "F27_redirect", "F27_wrong_type"])
async def test_download_is_tried_again_and_the_call_is_not(
    fault: str, upstream: Upstream, open_provider: Open
) -> None:
    _, draft = await draw(open_provider(), f"[[fault:{fault}]] page")
    await draft.inspect()
    assert len(upstream.bill.billed) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault", ["F27_gone", "F27_denied", "F27_loop", "F27_cut", "F27_html", "F27_silent"]
)
async def test_picture_that_cannot_be_had_is_given_up(
    fault: str, upstream: Upstream, open_provider: Open
) -> None:
    with pytest.raises(DownloadFailed):
        await draw(open_provider(), f"[[fault:{fault}]] page")
    assert len(upstream.bill.calls) == 1
    assert len(upstream.bill.downloads) >= 4


@pytest.fixture
def tls(
    server_tls: ssl.SSLContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> ssl.SSLContext:
    """A server's certificate that, for this test, clients trust."""
    trusting = ssl.create_default_context(cafile=tmp_path / "cert.pem")
    monkeypatch.setattr(aiohttp, "TCPConnector", partial(aiohttp.TCPConnector, ssl=trusting))
    return server_tls


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
@pytest.mark.slow
async def test_encrypted_answers_come_through_in_every_framing(
    framing: Literal["length", "chunked", "close"], tls: ssl.SSLContext
) -> None:
    plan = Plan(image_bytes=2_000_000, framing=framing)
    async with Upstream(plan, tls=tls) as upstream:
        provider = open_provider("chat", base_url=upstream.base_url, key=KEY, model="m")
        drawn = await asyncio.gather(*(draw(provider, f"page {number}") for number in range(5)))
        drawn += [await draw(provider, "[[fault:F30_stream_unasked]] page")]
        for _, draft in drawn:
            await draft.inspect()
        for fault in ("F13_cut_length", "F13_cut_reset", "F13_cut_chunked"):
            with pytest.raises(AnswerLost):
                await draw(provider, f"[[fault:{fault}]] page")
        await provider.close()
