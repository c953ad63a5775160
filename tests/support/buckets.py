"""Object storage of the tests' own: a moto server, and one that refuses everything."""

import asyncio
import contextlib
import http.client
import os
import socket
import subprocess
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from msgspec import Struct

from slideloom.stores.object_link import ObjectLink, ObjectPlace

KEY: Final = "AKIACANARY0123456789"
SECRET: Final = KEY.lower() * 2
BUCKET: Final = "slides"
_MOTO: Final = Path(__file__).parents[2] / ".venv/moto/bin/moto_server"
_START_S: Final = 60.0


class BucketServer(Struct, frozen=True):
    """A server with one bucket, whose objects live as long as it does."""

    url: str

    def take_place(self, **changes: str) -> ObjectPlace:
        """A place in the bucket that nobody else uses."""
        facts = {
            "bucket": BUCKET,
            "prefix": f"of/{uuid.uuid4().hex}",
            "endpoint_url": self.url,
            "region": "us-east-1",
            "access_key_id": KEY,
            "secret_access_key": SECRET,
        }
        return ObjectPlace(**facts | changes)


def to_settings(place: ObjectPlace) -> dict[str, Any]:
    """The settings that name the place."""
    return {
        "IMAGE_STORE": f"s3://{place.bucket}/{place.prefix}",
        "AWS_ENDPOINT_URL": place.endpoint_url,
        "AWS_REGION": place.region,
        "AWS_ACCESS_KEY_ID": place.access_key_id,
        "AWS_SECRET_ACCESS_KEY": place.secret_access_key,
    }


def list_names(place: ObjectPlace) -> list[str]:
    """The names of all objects there."""
    return [one.name for page in ObjectLink(place).list_pages() for one in page]


@contextlib.contextmanager
def bucket_server(folder: Path) -> Iterator[BucketServer]:
    """A running server; without moto the test is skipped, which CI does not allow."""
    if not _MOTO.exists():
        reason = "moto is not installed (tests/support/tools.sh does it)"
        pytest.fail(reason) if os.environ.get("SLIDELOOM_CI") else pytest.skip(reason)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = int(taken.getsockname()[1])
    server = BucketServer(f"http://127.0.0.1:{port}")
    with (folder / "moto.log").open("wb") as log:
        process = subprocess.Popen(
            [_MOTO, "--host", "127.0.0.1", "--port", str(port)], stdout=log, stderr=log
        )
        try:
            deadline_s = time.monotonic() + _START_S
            while not _makes_bucket(port):
                assert process.poll() is None, (folder / "moto.log").read_text()
                assert time.monotonic() < deadline_s
                time.sleep(0.05)
            yield server
        finally:
            process.kill()
            process.wait()


def _makes_bucket(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(connection), contextlib.suppress(OSError):
        connection.request("PUT", f"/{BUCKET}")
        return connection.getresponse().status == 200
    return False


@asynccontextmanager
async def refusing_server(status: int, code: str) -> AsyncIterator[str]:
    """The address of a server that answers everything so, naming the key as S3's own does."""
    body = f"<Error><Code>{code}</Code><AWSAccessKeyId>{KEY}</AWSAccessKeyId></Error>".encode()
    answer = f"HTTP/1.1 {status} No\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]
            await reader.readexactly(int(length or 0))
            writer.write(answer.encode() + (b"" if head.startswith(b"HEAD") else body))
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await server.wait_closed()
