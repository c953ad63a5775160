"""A shelf of session files in memory."""

import asyncio

import msgspec

from slideloom.domain.session import SessionDocument
from slideloom.errors import StoreError


class MemoryShelf:
    """A `SessionShelf` that lives as long as the test."""

    def __init__(self) -> None:
        self.files: dict[str, dict[str, bytes]] = {}
        self.tokens: dict[str, str] = {}
        self.is_away = False
        self.loses_answers = 0
        """How many of the next answers are lost, though the document is kept."""
        self.puts = 0

    async def put(self, document: SessionDocument, *, token: str) -> str:
        self.puts += 1
        await self._touch()
        files = self.files.setdefault(document.session_id, {})
        while token not in self.tokens:
            if document.name not in files:
                files[document.name] = document.body
                self.tokens[token] = document.name
            document = msgspec.structs.replace(document, run=document.run + 1)
        if self.loses_answers:
            self.loses_answers -= 1
            message = "the connection is gone"
            raise StoreError(message)
        return self.tokens[token]

    async def read(self, session_id: str) -> dict[str, bytes]:
        await self._touch()
        return dict(sorted(self.files.get(session_id, {}).items()))

    async def _touch(self) -> None:
        await asyncio.sleep(0)
        if self.is_away:
            message = "the shelf is away"
            raise StoreError(message)
