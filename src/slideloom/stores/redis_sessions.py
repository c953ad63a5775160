"""Session files in Redis: a hash a session, which goes when nothing was added for long enough."""

import asyncio
import zlib
from typing import Any, Final

from slideloom.domain.session import SessionDocument
from slideloom.errors import StoreError
from slideloom.stores.redis_link import PREFIX, RedisLink
from slideloom.stores.redis_scripts import PUT_SESSION_FILE

_DAY_S: Final = 24 * 3600
_KEEP_ANSWER_S: Final = _DAY_S
"""How long a token is known: whoever had no answer asks again once the server is back."""
_LEVEL: Final = 1
"""Of compression: the fastest; it halves what they take."""


class RedisSessions:
    """A `SessionShelf` in Redis, on a link that others use, too."""

    def __init__(self, link: RedisLink, *, retention_days: int, prefix: str = PREFIX) -> None:
        self._link = link
        self._prefix = prefix
        self._keep_s = retention_days * _DAY_S
        self._put = link.client.register_script(PUT_SESSION_FILE)

    async def put(self, document: SessionDocument, *, token: str) -> str:
        """See `SessionShelf`."""
        body = zlib.compress(document.body, _LEVEL)
        what = (document.session_id, document.action, document.run, token, body)
        args = (*what, self._keep_s, _KEEP_ANSWER_S)
        name = await self._link.ask(lambda _: self._put(keys=[self._prefix], args=args))
        return str(name.decode())

    async def read(self, session_id: str) -> dict[str, bytes]:
        """See `SessionShelf`."""
        key = f"{self._prefix}{{session:{session_id}}}:files"
        found: dict[Any, Any] = await self._link.ask(lambda redis: redis.hgetall(key))
        try:
            return await asyncio.to_thread(_unpack, found)
        except (zlib.error, UnicodeDecodeError) as error:
            message = f"the files of session {session_id} in Redis are damaged: {error}"
            raise StoreError(message) from error


def _unpack(found: dict[bytes, bytes]) -> dict[str, bytes]:
    return {name.decode(): zlib.decompress(body) for name, body in sorted(found.items())}
