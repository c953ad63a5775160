"""The emulator: a port, the connections on it, and the desk that takes calls."""

import asyncio
import ssl
from types import TracebackType
from typing import Self

import msgspec

from tests.support.upstream import routes
from tests.support.upstream.bill import Bill, report_bill
from tests.support.upstream.desk import Desk
from tests.support.upstream.exchange import Exchange
from tests.support.upstream.faults import NoSuchFault
from tests.support.upstream.plan import Plan
from tests.support.upstream.scripts import refuse
from tests.support.upstream.steps import Script
from tests.support.upstream.wire import Connection, Head

_BACKLOG = 2048
"""Connections the kernel keeps waiting: benches open hundreds at once."""


class Upstream:
    """A paid image provider on a local port, as good or bad as its plan says.

    `async with Upstream(plan) as up:` serves in the running loop; everything is plain callbacks,
    no task is left over.
    """

    def __init__(
        self,
        plan: Plan | None = None,
        *,
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._plan = plan or Plan()
        self._port = port
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._connections: set[Connection] = set()
        self._zero_s = 0.0
        self._desks: list[Desk] = []
        self.bill = Bill()
        """Everything that came in; look at it whenever you like."""

    async def __aenter__(self) -> Self:
        """Start serving."""
        loop = asyncio.get_running_loop()
        self._zero_s = loop.time()
        self._server = await loop.create_server(
            lambda: Connection(self),
            "127.0.0.1",
            self._port,
            ssl=self._tls,
            backlog=_BACKLOG,
        )
        self._port = self._server.sockets[0].getsockname()[1]
        self.plan = self._plan
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop at once, whatever is under way."""
        for desk in self._desks:
            desk.stop()
        for connection in list(self._connections):
            connection.transport.abort()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
        await asyncio.sleep(0)

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self._port}"

    @property
    def base_url(self) -> str:
        """What a client takes as its API base."""
        return f"{self.origin}/api/v1"

    @property
    def google_url(self) -> str:
        """The same as Google writes it."""
        return f"{self.origin}/v1beta"

    @property
    def plan(self) -> Plan:
        """What is played now."""
        return self._plan

    @plan.setter
    def plan(self, plan: Plan) -> None:
        """Play something else from the next call on.

        Limits, queues, counts and remembered files begin anew; the bill goes on.
        """
        self._plan = plan
        desk = Desk(plan, origin=self.origin, bill=self.bill, zero_s=self._zero_s)
        self._desks.append(desk)

    def reset(self, plan: Plan | None = None) -> None:
        """Begin with an empty bill, and another plan if one is given.

        Calls under way go on and are charged to the old bill.
        """
        self.bill = Bill()
        self._zero_s = asyncio.get_running_loop().time()
        self.plan = plan or self._plan

    # What the wire asks of its host.

    def on_open(self, connection: Connection) -> None:
        """A client connected."""
        self.bill.connections += 1
        connection.number = self.bill.connections
        self._connections.add(connection)

    def on_lost(self, connection: Connection) -> None:
        """A connection is gone."""
        self._connections.discard(connection)

    def on_head(self, connection: Connection, head: Head) -> bool:
        """Drop a stale connection, or play a fault that comes before the body."""
        generation = routes.find_generation(head.method, head.path)
        if generation is None:
            return False
        idle_s = asyncio.get_running_loop().time() - connection.idle_since_s
        stale_after_s = self._plan.stale_after_s
        if connection.served and stale_after_s is not None and idle_s > stale_after_s:
            self._desk.record_visit(head, 0)
            connection.shut()
            return True
        return self._desk.take_head(connection, head, generation)

    def on_request(self, connection: Connection, head: Head, body: bytes) -> None:
        """Answer."""
        generation = routes.find_generation(head.method, head.path)
        if head.path.startswith("/__"):
            script = self._control(head, body)
        elif routes.is_missing(self._plan, head.path):
            self._desk.record_visit(head, self._plan.missing_status)
            script = routes.tell_missing(self._plan, head)
        elif generation is not None:
            self._desk.take(connection, head, body, generation)
            return
        else:
            script = self._answer_plain(head)
        Exchange(connection, script).start()

    @property
    def _desk(self) -> Desk:
        return self._desks[-1]

    def _answer_plain(self, head: Head) -> Script:
        if head.method == "GET" and head.path.startswith("/files/"):
            status, script = self._desk.files.serve(head.path, self.origin)
        else:
            status, script = routes.tell(head, self._plan, self._desk.gate)
        self._desk.record_visit(head, status)
        return script

    def _control(self, head: Head, body: bytes) -> Script:
        try:
            match head.method, head.path:
                case "GET", "/__bill":
                    return refuse(200, report_bill(self.bill))
                case "POST", "/__plan":
                    self.plan = msgspec.json.decode(body, type=Plan)
                case "POST", "/__reset":
                    self.reset(msgspec.json.decode(body, type=Plan) if body else None)
                case _:
                    return refuse(404, {"error": "no such control"})
        except (msgspec.DecodeError, NoSuchFault) as error:
            return refuse(400, {"error": f"{type(error).__name__}: {error}"})
        return refuse(200, {"ok": True})
