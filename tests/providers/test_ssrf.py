"""Addresses in a provider's answers: no way of writing one leads into a private network.

The whole service is asked, so that nothing but what is in production stands between an answer
and a socket. Source: reliability R18 and its table of incidents (Open WebUI, Gradio, Crawl4AI).
"""

import ssl
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import aiohttp
import msgspec
import pytest

from tests.providers.conftest import KEY
from tests.support.lures import (
    DEAD_IP,
    FAR_HOST,
    PUBLIC_IP,
    Lure,
    LureHosts,
    Sockets,
    listening,
)
from tests.support.service import running_service

PRIVATE_IPS = (
    "127.0.0.1",
    "127.8.9.10",
    "0.0.0.0",  # noqa: S104 - nothing is bound
    "10.1.2.3",
    "172.16.0.1",
    "192.168.0.1",
    "169.254.169.254",  # metadata of AWS, Google, Azure
    "169.254.170.2",  # of AWS' containers
    "100.100.100.200",  # of Alibaba
    "168.63.129.16",  # of Azure, in the middle of public addresses
    "100.64.0.1",
    "192.0.0.192",  # of Oracle
    "198.18.0.1",
    "224.0.0.1",
    "239.255.255.250",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::127.0.0.1",
    "64:ff9b::7f00:1",  # NAT64
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::a00:1",
    "2002:7f00:1::1",  # 6to4
    "2002:a9fe:a9fe::1",
    "2001:0:7f00:1::1",  # Teredo
    "fc00::1",
    "fd00:ec2::254",  # AWS over IPv6
    "fe80::1",
    "fec0::1",
    "ff02::1",
)
NAMES = {
    "localhost": ("127.0.0.1", "::1"),
    "localhost.localdomain": ("127.0.0.1",),
    "ip6-localhost": ("::1",),
    "printer.localhost": ("127.0.0.1",),
    "metadata.google.internal": ("169.254.169.254",),
    "127.0.0.1.nip.example": ("127.0.0.1",),
    "both.example": (DEAD_IP, "10.0.0.1"),
    "xn--lcalhost-7ib.example": ("127.0.0.1",),
    "localhоst": ("127.0.0.1",),
    "①②⑦.⓪.⓪.①": ("127.0.0.1",),
    "0x7f.1": ("127.0.0.1",),  # what a C library makes of them
    "0x7f000001": ("127.0.0.1",),
    "0177.0.0.1": ("127.0.0.1",),
    "017700000001": ("127.0.0.1",),
    "2130706433": ("127.0.0.1",),
    "127.1": ("127.0.0.1",),
    "0xa9fea9fe": ("169.254.169.254",),
    "2852039166": ("169.254.169.254",),
}
WRITTEN = (
    *(
        f"https://[{ip}]:PORT/a.png" if ":" in ip else f"https://{ip}:PORT/a.png"
        for ip in PRIVATE_IPS
    ),
    *(f"https://{name}:PORT/a.png" for name in NAMES),
    "https://localhost.:PORT/a.png",
    "https://LOCALHOST:PORT/a.png",
    "https://127.0.0.1.:PORT/a.png",
    "https://[::1%25lo]:PORT/a.png",
    "https://[fe80::1%25eth0]/a.png",
    "https://169.254.169.254/latest/meta-data/",
    "https://cdn.example@127.0.0.1:PORT/a.png",
    "https://cdn.example:443@127.0.0.1:PORT/a.png",
    "https://127.0.0.1:PORT@cdn.example/a.png",
    "https://u:p@cdn.example/a.png",
    "https://127.0.0.1:PORT\\@cdn.example/a.png",
    "https://cdn.example\\@127.0.0.1:PORT/a.png",
    "https://127.0.0.1:PORT#@cdn.example/a.png",
    "https://127.0.0.1:PORT?@cdn.example/a.png",
    "https:///127.0.0.1:PORT/a.png",
    "//127.0.0.1:PORT/a.png",
    "http://127.0.0.1:PORT/a.png",
    "http://cdn.example/a.png",
    "http://[::1]:PORT/a.png",
    "ftp://cdn.example/a.png",
    "gopher://127.0.0.1:PORT/_x",
    "file:///etc/passwd",
    "file://localhost/etc/passwd",
    "ws://cdn.example/a.png",
    "dict://127.0.0.1:PORT/x",
    "unix:///var/run/docker.sock",
    "javascript:alert(1)",
)
"""`PORT` is where a private host listens on this machine."""
WAYS = ("directly", "by redirect", "by a name", "by a name that changes", "by a redirect to a name")


def build_lure(way: str, number: int, target: str, port: int) -> Lure:
    """A lure to `target`, an address or, for the ways with a name, an IP; `port` is private."""
    hop, name = f"https://{FAR_HOST}/hop/{number}", f"n{number}.example"
    match way:
        case "directly":
            return Lure(address=target)
        case "by redirect":
            return Lure(address=hop, redirect=target)
        case "by a name":
            return Lure(address=f"https://{name}:{port}/a", names={name: ((target,),)})
        case "by a redirect to a name":
            redirect = f"https://{name}:{port}/a"
            return Lure(address=hop, redirect=redirect, names={name: ((target,),)})
        case _:  # public while it is looked at, then private
            return Lure(address=f"https://{name}/a", names={name: ((PUBLIC_IP,), (target,))})


def build_lures(way: str, written: Sequence[str], port: int) -> list[Lure]:
    """A deck's lures: to what is written so, or to every private IP by a name."""
    targets = PRIVATE_IPS if way.endswith(("name", "changes")) else written
    targets = [target.replace("PORT", str(port)) for target in targets]
    return [build_lure(way, number, target, port) for number, target in enumerate(targets)]


async def make_all(folder: Path, lures: list[Lure], hosts: LureHosts, *, api: str) -> list[str]:
    """A deck of all lures; each slide's code, in their order."""
    async with listening(hosts.serve) as port:
        settings: dict[str, object] = {
            "LLM_IMAGE_API": api,
            "LLM_IMAGE_API_KEY": KEY,
            "LLM_IMAGE_API_BASE": f"http://127.0.0.1:{port}/v1",
            "BATCH_MAX_WORKERS": 200,
            "LANE_START": 200,
        }
        async with running_service(folder, **settings) as service:
            slides = [{"title": f"lure {number}"} for number in range(len(lures))]
            body = {"slides": slides, "style_prompt": "", "max_workers": 200, "cache": False}
            _, answer, _ = await service.post("/slide/batch/generate", body)
            hosts.known_ports |= {port, int(service.url.rpartition(":")[2])}
    assert KEY not in msgspec.json.encode(answer).decode()
    return [result["error_code"] or result["status"] for result in answer["results"]]


@pytest.fixture
def any_host(
    server_tls: ssl.SSLContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> ssl.SSLContext:
    """A certificate trusted for every name; and no resolution is remembered."""
    trusting = ssl.create_default_context(cafile=tmp_path / "cert.pem")
    trusting.check_hostname = False
    patched = partial(aiohttp.TCPConnector, ssl=trusting, use_dns_cache=False)
    monkeypatch.setattr(aiohttp, "TCPConnector", patched)
    return server_tls


async def lure_all(  # noqa: PLR0913 - three are fixtures, the others the table's
    folder: Path,
    patch: pytest.MonkeyPatch,
    tls: ssl.SSLContext,
    *,
    way: str,
    shape: str = "images",
    is_stream: bool = False,
    written: Sequence[str] = WRITTEN,
) -> list[str]:
    """Lure to every address in one way, see that nobody was asked; the addresses not blocked."""
    lures: list[Lure] = []
    hosts = LureHosts(lures, shape=shape, is_stream=is_stream)
    async with (
        listening(hosts.serve_private) as private_port,
        listening(hosts.serve_far, tls=tls) as far_port,
    ):
        lures += build_lures(way, written, private_port)
        sockets = Sockets(NAMES, lures, far_port=far_port)
        sockets.install(patch)
        codes = await make_all(folder, lures, hosts, api="chat" if shape == "markdown" else shape)
    assert hosts.private_asked == []
    assert sockets.find_strays(hosts.known_ports) == []
    assert len(hosts.asked) == len(lures) >= len(PRIVATE_IPS)
    assert not any(KEY.encode() in request for request in hosts.far_asked)
    is_far_asked = way in {"by redirect", "by a redirect to a name", "by a name that changes"}
    passed = [
        f"{lure.redirect or lure.address}: {code}"
        for lure, code in zip(lures, codes, strict=True)
        if code != "blocked_url"
    ]
    assert passed or len(hosts.far_asked) == (len(lures) if is_far_asked else 0)
    return passed


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
async def test_no_address_leads_into_a_private_network(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, any_host: ssl.SSLContext
) -> None:
    assert await lure_all(tmp_path, monkeypatch, any_host, way=way) == []


@pytest.mark.slow
@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("shape", ["images", "chat", "markdown", "gemini"])
async def test_every_shape_of_answer_is_guarded_alike(
    shape: str,
    is_stream: bool,  # noqa: FBT001 - a case of the table
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    any_host: ssl.SSLContext,
) -> None:
    written = [text for text in WRITTEN if shape != "markdown" or text.startswith("http")]
    passed = await lure_all(
        tmp_path,
        monkeypatch,
        any_host,
        way="directly",
        shape=shape,
        is_stream=is_stream,
        written=written,
    )
    assert passed == []


@pytest.mark.slow
async def test_public_address_would_have_been_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, any_host: ssl.SSLContext
) -> None:
    lures = [Lure(address=f"https://{FAR_HOST}/a.png")]
    hosts = LureHosts(lures, shape="images", is_stream=False)
    async with listening(hosts.serve_far, tls=any_host) as far_port:
        Sockets(NAMES, lures, far_port=far_port).install(monkeypatch)
        codes = await make_all(tmp_path, lures, hosts, api="images")
    assert codes == ["upstream_unavailable"]
    assert len(hosts.far_asked) == 4
    assert not any(KEY.encode() in request for request in hosts.far_asked)
