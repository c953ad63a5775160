"""Faults of servers and of the proxies before them: 5xx, in JSON and in HTML."""

from typing import Final

from tests.support.upstream.envelopes import html_page, plain_error
from tests.support.upstream.faults.base import UNBILLED, Fault, Options, Player, refused
from tests.support.upstream.scripts import give_up

_REASONS: Final = {
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Temporarily Unavailable",
    504: "Gateway Time-out",
    520: "Web server returned an unknown error",
    521: "Web server is down",
    522: "Connection timed out",
    523: "Origin is unreachable",
    524: "A timeout occurred",
    529: "Site is overloaded",
}


def _server_error(status: int) -> Player:
    message = "Provider returned error"
    return lambda case: give_up(status, plain_error(case.ask.dialect, status, message))


def _server_page(status: int) -> Player:
    page = html_page(status, _REASONS[status])
    return lambda _: give_up(status, page, media_type="text/html; charset=UTF-8")


def _build_faults() -> tuple[Fault, ...]:
    faults: list[Fault] = []
    for status in _REASONS:
        down: Options = {"wanted": "upstream_unavailable", "calls": UNBILLED}
        about = f"{status} {_REASONS[status]}"
        faults += (
            refused(f"F25_{status}", f"{about}, JSON", _server_error(status), **down),
            refused(f"F25_{status}_html", f"{about}, HTML", _server_page(status), **down),
        )
    return tuple(faults)


SERVER_FAULTS: Final = _build_faults()
