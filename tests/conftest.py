"""What all tests need: aioresponses on a current aiohttp, and servers to share."""

import inspect
from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock

import pytest
from aiohttp import ClientResponse
from aioresponses import core

from tests.support.buckets import BucketServer, bucket_server
from tests.support.redis_server import RedisServer, redis_server

if "stream_writer" in inspect.signature(ClientResponse.__init__).parameters:
    # Source: aioresponses issue 289 (open since June 2026): aiohttp 3.14 wants one more argument.
    class _Response(ClientResponse):
        def __init__(self, *args: Any, **facts: Any) -> None:
            facts.setdefault("stream_writer", Mock(output_size=0))
            super().__init__(*args, **facts)

    core.ClientResponse = _Response  # type: ignore[attr-defined]  # it is imported there


@pytest.fixture(scope="session")
def shared_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server for all tests of a process: each takes a prefix of its own."""
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="session")
def shared_bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BucketServer]:
    """A bucket for all tests of a process: each takes a place of its own."""
    with bucket_server(tmp_path_factory.mktemp("bucket")) as server:
        yield server
