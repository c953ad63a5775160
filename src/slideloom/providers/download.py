"""Pictures that an answer only gives the address of.

The address comes from outside, so it is asked without a key, over https, and
only on public hosts: what counts is the address a socket is made for, after
names, redirects and odd spellings are resolved (source: reliability findings 6).
"""

import asyncio
import socket
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Self

import aiohttp
from msgspec import Struct
from yarl import URL

from slideloom.domain.images import MAX_BYTES, NotAPicture
from slideloom.errors import BlockedAddress, CorruptPicture, DownloadFailed, NoAnswerInTime
from slideloom.providers.http import make_socket, open_session
from slideloom.providers.intake import Spool
from slideloom.providers.tap import pour
from slideloom.providers.trouble import describe_trouble
from slideloom.stores.image_base import Draft

PAUSES_S = (0.25, 0.5, 1.0)
"""Between the tries: an address may be told a moment before the picture is there."""
_MOST_REDIRECTS = 3
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_OK = 200

_GLOBAL_V6 = ip_network("2000::/3")
"""All that is handed out for the Internet; NAT64, mapped and local addresses are outside."""
_NOT_PUBLIC = tuple(
    ip_network(net)
    for net in (
        "100.64.0.0/10",  # shared by carriers; Alibaba's metadata is in it
        "168.63.129.16/32",  # Azure's host, as seen from inside
        "192.0.0.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "198.18.0.0/15",
        "2001::/23",  # Teredo and other protocols
        "2002::/16",  # 6to4: an IPv4 address inside
        "2001:db8::/32",
        "3fff::/20",
    )
)


def is_public(host: str) -> bool:
    """Whether an IP address is one of the Internet's, where anyone may ask."""
    try:
        address = ip_address(host)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address not in _GLOBAL_V6:
        return False
    return (
        address.is_global
        and not address.is_multicast
        and not any(_contains(net, address) for net in _NOT_PUBLIC)
    )


def _contains(net: object, address: IPv4Address | IPv6Address) -> bool:
    return address in net  # type: ignore[operator]


class Guard(Struct, frozen=True):
    """Which addresses may be asked."""

    schemes: frozenset[str] = frozenset({"https"})
    allows: Callable[[str], bool] = is_public


PUBLIC_ONLY = Guard()
"""The only one there is outside tests."""


class _Refused(OSError):
    """The guard refused an address."""


class _Missed(Exception):
    """One try gave no picture; another may."""


class FileIntake:
    """A picture as it is, for `pour`."""

    is_idle = False
    is_done = False
    is_whole = False

    def __init__(self, *, limit_bytes: int = MAX_BYTES) -> None:
        self.spool = Spool()
        self._limit_bytes = limit_bytes

    def take(self, chunk: bytes) -> None:
        """See `Intake`."""
        self._limit_bytes -= len(chunk)
        if self._limit_bytes < 0:
            message = "the download is larger than any picture"
            raise CorruptPicture(message)
        self.spool.put(chunk)

    def take_raw(self, buffer: bytearray, size: int) -> bool:  # noqa: ARG002 - the protocol's
        """See `Intake`: nothing to gain here."""
        return False


class Downloads:
    """Fetches pictures by address, without any key; made on the running loop."""

    def __init__(
        self,
        *,
        guard: Guard = PUBLIC_ONLY,
        pauses_s: tuple[float, ...] = PAUSES_S,
        stall_s: float = 30.0,
    ) -> None:
        """Take a guard (tests have another), the pauses between tries, the longest silence."""
        self._guard = guard
        self._pauses_s = pauses_s
        self._stall_s = stall_s
        self._holders = 1
        self._session = open_session(
            aiohttp.TCPConnector(limit=0, socket_factory=self._make_socket, force_close=True),
            headers={"Accept": "image/*"},
            read_timeout_s=stall_s,
        )

    async def fetch(self, address: str, draft: Draft) -> None:
        """Put the picture at `address` into `draft`.

        Raises:
            BlockedAddress: it is not https on a public host, or leads elsewhere.
            DownloadFailed: no try gave a picture.
            StorageFull: the disk did not take it.
        """
        for pause_s in (*self._pauses_s, None):
            try:
                await self._try(address, draft)
            except _Missed as miss:
                if pause_s is None:
                    raise DownloadFailed(str(miss)) from miss
                await draft.rewind()
                await asyncio.sleep(pause_s)
            else:
                return

    def hold(self) -> Self:
        """Themselves, for one holder more: closed when every holder has closed them."""
        self._holders += 1
        return self

    async def close(self) -> None:
        """Let go; the last holder closes every connection."""
        self._holders -= 1
        if self._holders == 0:
            await self._session.close()

    async def _try(self, address: str, draft: Draft) -> None:
        try:
            await self._follow(self._read_url(address), draft)
            await draft.inspect()
        except aiohttp.ClientConnectorError as error:
            if _is_refusal(error):
                raise BlockedAddress(f"{error.host} is not a public address") from error
            raise _Missed(describe_trouble(error, place=error.host)) from error
        except (aiohttp.InvalidURL, UnicodeError) as error:
            raise BlockedAddress("not a plain address") from error
        except aiohttp.ClientResponseError as error:
            # Its words hold the address, which may be signed.
            raise _Missed(f"HTTP {error.status} at the picture's address") from error
        except NotAPicture as error:
            raise _Missed(f"what the picture's address gave is no picture: {error}") from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _Missed(describe_trouble(error, place="the picture's address")) from error
        except (CorruptPicture, NoAnswerInTime) as error:
            raise _Missed(error.detail) from error

    async def _follow(self, url: URL, draft: Draft) -> None:
        for _ in range(_MOST_REDIRECTS + 1):
            async with self._session.get(url, allow_redirects=False) as response:
                if response.status == _OK:
                    await pour(response, FileIntake(), draft, stall_s=self._stall_s)
                    return
                if response.status not in _REDIRECTS:
                    raise _Missed(f"HTTP {response.status} at the picture's address")
                url = self._read_url(response.headers.get("Location", ""), base=url)
        raise _Missed(f"more than {_MOST_REDIRECTS} redirects")

    def _read_url(self, address: str, *, base: URL | None = None) -> URL:
        """Check an address as far as its text can tell."""
        try:
            told = URL(address)
            # Not joined when it has a scheme: `https:///10.0.0.1/` would be a path to some.
            url = told if base is None or told.scheme else base.join(told)
        except ValueError as error:
            raise BlockedAddress("not an address") from error
        if url.scheme not in self._guard.schemes or not url.raw_host:
            raise BlockedAddress(f"not an https address: {url.scheme or 'no scheme'}")
        if url.raw_user or url.raw_password:
            raise BlockedAddress("a name or password in the address")
        return url

    def _make_socket(self, info: aiohttp.AddrInfoType) -> socket.socket:
        """Sees every address right before it is connected to, however it was found."""
        host = str(info[4][0]).partition("%")[0]
        if not self._guard.allows(host):
            raise _Refused(f"{host} is not a public address")
        return make_socket(info)


def _is_refusal(error: aiohttp.ClientConnectorError) -> bool:
    """Whether the guard refused; several addresses come as one error with all the texts."""
    return isinstance(error.os_error, _Refused) or "is not a public address" in str(error.os_error)
