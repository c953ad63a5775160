"""Connections that fail, said as a person would."""

import asyncio
import errno
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey

from slideloom.errors import AnswerLost, DownloadFailed, ProviderError, RequestNotSent
from slideloom.providers.download import Downloads
from slideloom.providers.trouble import BROKEN_ANSWER, NO_ANSWER, describe_break, describe_trouble
from tests.providers.conftest import TRUSTING, Open, draw
from tests.support.parts import MemoryDraft, MemoryImageStore
from tests.support.upstream import Upstream

CLASS_NAME = re.compile(r"[A-Z]\w+(?:Error|Exception)|Errno|\(<|ssl:default|0x[0-9a-f]{4}")
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listen(serve: Serve) -> AsyncIterator[str]:
    """A server that does what a test wants; yields its host and port."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.close()
        await server.wait_closed()


def key(host: str = "host.example", port: int = 443) -> ConnectionKey:
    return ConnectionKey(host, port, True, True, None, None, None)  # noqa: FBT003 - aiohttp's


def certificate_error() -> aiohttp.ClientConnectorCertificateError:
    reason = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] … (_ssl.c:992)")
    reason.verify_message = "certificate has expired"
    return aiohttp.ClientConnectorCertificateError(key(), reason)


def tls_error() -> aiohttp.ClientConnectorSSLError:
    reason = ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:992)")
    reason.reason = "WRONG_VERSION_NUMBER"
    return aiohttp.ClientConnectorSSLError(key(), reason)


REFUSED = OSError(errno.ECONNREFUSED, "Connect call failed ('1.2.3.4', 443)")


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (aiohttp.ClientConnectorDNSError(key(), OSError(-2, "x")), "no such host: host.example"),
        (
            aiohttp.ClientConnectorError(key(), REFUSED),
            "cannot connect to host.example:443: connection refused",
        ),
        (
            aiohttp.ClientConnectorError(key("::1", 80), OSError("Multiple exceptions: …")),
            "cannot connect to [::1]:80",
        ),
        (
            certificate_error(),
            "the certificate of host.example is not valid: certificate has expired",
        ),
        (tls_error(), "no encrypted connection to host.example:443: wrong version number"),
        (
            aiohttp.ConnectionTimeoutError("Connection timeout to host https://h/v1"),
            "cannot connect to h:1: no answer in time",
        ),
        (aiohttp.ServerDisconnectedError(), NO_ANSWER),
        (aiohttp.ClientOSError(errno.ECONNRESET, "Connection reset by peer"), NO_ANSWER),
        (aiohttp.SocketTimeoutError("Timeout on reading data"), "h:1 fell silent"),
        (aiohttp.ClientPayloadError("Response payload is not completed: <X>"), BROKEN_ANSWER),
    ],
)
def test_every_way_to_fail_has_its_sentence(error: Exception, sentence: str) -> None:
    assert describe_trouble(error, place="h:1") == sentence


def test_broken_compression_is_no_broken_connection() -> None:
    error = aiohttp.ClientPayloadError("400, message:\n  Can not decode content-encoding: gzip")
    assert describe_break(error) == "the answer's compression is broken"


async def test_host_that_does_not_exist_is_named(open_provider: Open) -> None:
    with pytest.raises(RequestNotSent, match=r"^no such host: nobody\.invalid$"):
        await draw(open_provider(base_url="http://nobody.invalid/v1"))


async def test_host_without_encryption_is_named(open_provider: Open) -> None:
    async def answer_plainly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with listen(answer_plainly) as place:
        sentence = f"^no encrypted connection to {re.escape(place)}: "
        with pytest.raises(RequestNotSent, match=sentence):
            await draw(open_provider(base_url=f"https://{place}/v1"))


async def test_certificate_that_nobody_vouches_for_is_said(
    server_tls: ssl.SSLContext, open_provider: Open
) -> None:
    async with Upstream(tls=server_tls) as upstream:
        with pytest.raises(RequestNotSent, match=r"^the certificate of 127\.0\.0\.1 is not valid"):
            await draw(open_provider(base_url=upstream.base_url))
        assert not upstream.bill.calls


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("F26_close", NO_ANSWER),
        ("F26_reset", NO_ANSWER),
        ("F13_cut_length", BROKEN_ANSWER),
        ("F13_cut_reset", BROKEN_ANSWER),
        ("F13_cut_chunked", BROKEN_ANSWER),
    ],
)
async def test_lost_answer_says_when_it_was_lost(
    fault: str, sentence: str, open_provider: Open
) -> None:
    with pytest.raises(AnswerLost) as caught:
        await draw(open_provider(), f"[[fault:{fault}]] page")
    assert str(caught.value) == caught.value.detail == sentence


async def test_what_does_not_speak_http_is_said_to(open_provider: Open) -> None:
    with pytest.raises(AnswerLost, match=r"^127\.0\.0\.1:\d+ does not speak proper HTTP$"):
        await draw(open_provider(), "[[fault:X_not_http]] page")


async def test_connection_that_breaks_under_a_large_request_asked_nobody(
    open_provider: Open,
) -> None:
    async def slam(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async with listen(slam) as place:
        provider = open_provider(base_url=f"http://{place}/v1")
        with pytest.raises(ProviderError) as caught:
            await draw(provider, "long " * 100_000)
    assert not CLASS_NAME.search(caught.value.detail)


async def test_failed_download_is_told_without_internals() -> None:
    downloads = Downloads(guard=TRUSTING, pauses_s=())
    for address in ("http://127.0.0.1:9/a.png", "http://nobody.invalid/a.png"):
        with pytest.raises(DownloadFailed) as caught:
            await downloads.fetch(address, MemoryDraft(MemoryImageStore()))
        assert not CLASS_NAME.search(caught.value.detail)
        assert caught.value.detail.startswith(("cannot connect to ", "no such host: "))
    await downloads.close()


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["F27_cut", "F27_html", "F27_silent", "F27_gone", "F27_loop"])
async def test_every_download_that_fails_is_told_without_internals(
    fault: str, open_provider: Open
) -> None:
    with pytest.raises(DownloadFailed) as caught:
        await draw(open_provider(path="/images"), f"[[fault:{fault}]] page")
    assert not CLASS_NAME.search(caught.value.detail)
    assert caught.value.cost_usd == 0.0387
