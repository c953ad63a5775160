"""What all tests need: aioresponses on a current aiohttp."""

import inspect
from typing import Any
from unittest.mock import Mock

from aiohttp import ClientResponse
from aioresponses import core

if "stream_writer" in inspect.signature(ClientResponse.__init__).parameters:
    # Source: aioresponses issue 289 (open since June 2026): aiohttp 3.14 wants one more argument.
    class _Response(ClientResponse):
        def __init__(self, *args: Any, **facts: Any) -> None:
            facts.setdefault("stream_writer", Mock(output_size=0))
            super().__init__(*args, **facts)

    core.ClientResponse = _Response  # type: ignore[attr-defined]  # it is imported there
