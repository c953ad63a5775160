"""Where calls for images are taken: checked, given a fault or a picture, recorded, charged."""

import asyncio
import math

from tests.support.upstream.answers import Headers
from tests.support.upstream.asks import Ask, BadAsk, parse_ask, size_for
from tests.support.upstream.bill import Bill, Call, Visit
from tests.support.upstream.choice import Chooser, Chosen
from tests.support.upstream.envelopes import (
    bad_key_error,
    bad_request_error,
    openrouter_error,
    plain_error,
)
from tests.support.upstream.exchange import Exchange
from tests.support.upstream.faults import NoSuchFault
from tests.support.upstream.faults.requests import no_endpoints
from tests.support.upstream.files import FileHost
from tests.support.upstream.limits import Gate, Reject
from tests.support.upstream.pictures import make_plate
from tests.support.upstream.plan import Plan
from tests.support.upstream.routes import Generation
from tests.support.upstream.scripts import Case, refuse, succeed
from tests.support.upstream.steps import Pause, Script
from tests.support.upstream.wire import Connection, Head, read_key

MISUSED = 418
"""Status of a call whose fault does not exist: a mistake in the test, said loudly."""
_UNAUTHORIZED = 401


class Desk:
    """One plan being played, and the bill it runs up."""

    def __init__(self, plan: Plan, *, origin: str, bill: Bill, zero_s: float) -> None:
        self.plan = plan
        self.bill = bill
        self.gate = Gate(plan)
        self.files = FileHost()
        self._chooser = Chooser(plan)
        self._files_base = plan.files_base or f"{origin}/files"
        self._zero_s = zero_s
        self._exchanges: set[Exchange] = set()
        # Drawn before the first call, so that it takes no longer than the others.
        width_px, height_px = size_for("16:9")
        size_bytes, seed = plan.image_bytes, plan.seed
        make_plate(plan.media_type, width_px, height_px, size_bytes=size_bytes, seed=seed)

    def stop(self) -> None:
        """Let nothing go on by itself."""
        for exchange in self._exchanges:
            exchange.cancel()

    def take_head(self, connection: Connection, head: Head, generation: Generation) -> bool:
        """Play a fault that comes before the body, if it is the turn of one; whether it was."""
        chosen = self._chooser.choose_at_head(generation.shape)
        if chosen is None:
            return False
        connection.ignore_body()
        call = self._record_call(connection, head, generation)
        call.fault = chosen.fault.name
        case = Case(ask=_blank_ask(generation), plan=self.plan, number=call.number)
        self._play(connection, call, case.ask, chosen.fault.script(case), is_billable=False)
        return True

    def take(
        self,
        connection: Connection,
        head: Head,
        body: bytes,
        generation: Generation,
    ) -> None:
        """Answer a whole call."""
        call = self._record_call(connection, head, generation)
        shape, dialect = generation.shape, generation.dialect
        try:
            ask = parse_ask(shape, dialect, body, plan=self.plan, path_model=generation.model)
        except BadAsk as error:
            call.body = error.body
            said = bad_request_error(dialect, str(error), field=error.field)
            self._turn_away(connection, call, refuse(400, said))
            return
        call.model, call.prompt = ask.model, ask.prompt
        call.body = ask.body if self.plan.record_bodies else None
        key, now_s = _read_key(head, generation), asyncio.get_running_loop().time()
        reject = self.gate.decide(key, now_s=now_s, in_flight=self.bill.in_flight)
        if reject is not None:
            call.rejected = reject.reason
            self._turn_away(connection, call, self._reject_script(ask, reject))
            return
        try:
            chosen = self._chooser.choose(ask)
        except NoSuchFault as error:
            said = openrouter_error(MISUSED, f"no such fault: {error}")
            self._turn_away(connection, call, refuse(MISUSED, said))
            return
        if chosen is not None:
            call.fault = chosen.fault.name
            self._apply_effect(chosen, key)
        self._admit(connection, call, ask, chosen)

    def record_visit(self, head: Head, status: int) -> None:
        """Note a request that asks for no image."""
        self.bill.visits.append(
            Visit(
                method=head.method,
                path=head.path,
                headers=head.headers,
                status=status,
                at_s=self._now_s(),
            ),
        )

    def _admit(self, connection: Connection, call: Call, ask: Ask, chosen: Chosen | None) -> None:
        case = Case(
            ask=ask,
            plan=self.plan,
            number=call.number,
            argument=chosen.argument if chosen else "",
            in_flight=self.bill.in_flight + 1,
            is_reused=connection.served > 1,
            files_base=self._files_base,
        )
        wants_text = "text" in (ask.body.get("modalities") or [])
        if chosen is not None:
            self.files.remember(case)
            script = chosen.fault.script(case)
        elif wants_text and ask.model in self.plan.image_only_models:
            script = refuse(404, no_endpoints(ask.model))
        else:
            script = succeed(case)
        is_billable = chosen is None or chosen.fault.billed
        self._play(connection, call, ask, script, is_billable=is_billable)

    def _play(
        self,
        connection: Connection,
        call: Call,
        ask: Ask,
        script: Script,
        *,
        is_billable: bool,
    ) -> None:
        """Play an admitted call's script; it counts as under way until that is over."""
        bill = self.bill
        bill.in_flight += 1
        bill.peak_in_flight = max(bill.peak_in_flight, bill.in_flight)

        def charge() -> None:
            if is_billable:
                call.billed, call.cost_usd = True, self.plan.cost_usd
                bill.bill_usd += call.cost_usd
                self.gate.spent_usd += call.cost_usd

        def close(*, client_went: bool) -> None:
            self._exchanges.discard(exchange)
            self._close_call(call, client_went=client_went)
            bill.in_flight -= 1

        exchange = Exchange(
            connection,
            script,
            latency_s=self._chooser.draw_latency_s(ask.prompt),
            stays=ask.shape != "images" and not ask.stream,
            on_made=charge,
            on_over=close,
        )
        self._exchanges.add(exchange)
        exchange.start()

    def _turn_away(self, connection: Connection, call: Call, script: Script) -> None:
        """Answer a call that was not admitted."""
        call.rejected = call.rejected or "request"

        def close(*, client_went: bool) -> None:
            self._exchanges.discard(exchange)
            self._close_call(call, client_went=client_went)

        exchange = Exchange(connection, script, on_over=close)
        self._exchanges.add(exchange)
        exchange.start()

    def _close_call(self, call: Call, *, client_went: bool) -> None:
        call.client_went = client_went
        call.ended_s = self._now_s()

    def _reject_script(self, ask: Ask, reject: Reject) -> Script:
        headers: Headers = ()
        if reject.retry_after_s is not None:
            headers = (("Retry-After", f"{math.ceil(reject.retry_after_s)}"),)
        if ask.dialect == "google" and reject.status == _UNAUTHORIZED:
            said = bad_key_error(is_missing=reject.message.startswith("Missing"))
            return refuse(said["error"]["code"], said)
        body = plain_error(ask.dialect, reject.status, reject.message)
        script = refuse(reject.status, body, headers=headers)
        wait_s = self.plan.reject_latency_s
        return (Pause(wait_s), *script) if wait_s > 0 else script

    def _apply_effect(self, chosen: Chosen, key: str) -> None:
        match chosen.fault.effect:
            case "revoke_key":
                self.gate.revoked.add(key)
            case "empty_balance":
                self.gate.broke.add(key)
            case None:
                pass

    def _record_call(self, connection: Connection, head: Head, generation: Generation) -> Call:
        call = Call(
            number=len(self.bill.calls) + 1,
            path=head.path,
            key_tail=_read_key(head, generation)[-4:],
            headers=head.headers,
            connection=connection.number,
            started_s=self._now_s(),
            shape=generation.shape,
        )
        self.bill.calls.append(call)
        return call

    def _now_s(self) -> float:
        return asyncio.get_running_loop().time() - self._zero_s


def _read_key(head: Head, generation: Generation) -> str:
    return read_key(head, is_google=generation.dialect == "google")


def _blank_ask(generation: Generation) -> Ask:
    return Ask(
        shape=generation.shape,
        dialect=generation.dialect,
        model="",
        prompt="",
        width_px=8,
        height_px=8,
        media_type="image/png",
        count=1,
        stream=False,
        body={},
    )
