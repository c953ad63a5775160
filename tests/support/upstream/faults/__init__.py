"""Every fault there is, by name."""

from typing import Final

from tests.support.upstream.faults.base import Fault
from tests.support.upstream.faults.bodies import NO_IMAGE_FAULTS, REFUSAL_FAULTS
from tests.support.upstream.faults.cuts import CUT_FAULTS
from tests.support.upstream.faults.framing import FRAMING_FAULTS
from tests.support.upstream.faults.inner import ERROR_IN_BODY_FAULTS, FORM_FAULTS
from tests.support.upstream.faults.pictures import BASE64_FAULTS, BYTES_FAULTS, ODD_PICTURE_FAULTS
from tests.support.upstream.faults.rates import RATE_FAULTS
from tests.support.upstream.faults.refusals import ACCOUNT_FAULTS, CONTENT_FAULTS
from tests.support.upstream.faults.requests import REQUEST_FAULTS
from tests.support.upstream.faults.servers import SERVER_FAULTS
from tests.support.upstream.faults.several import SEVERAL_FAULTS, URL_FAULTS
from tests.support.upstream.faults.streams import STREAM_FAULTS

_ALL: Final = (
    *NO_IMAGE_FAULTS,
    *REFUSAL_FAULTS,
    *ERROR_IN_BODY_FAULTS,
    *FORM_FAULTS,
    *BASE64_FAULTS,
    *BYTES_FAULTS,
    *ODD_PICTURE_FAULTS,
    *SEVERAL_FAULTS,
    *URL_FAULTS,
    *STREAM_FAULTS,
    *CUT_FAULTS,
    *FRAMING_FAULTS,
    *SERVER_FAULTS,
    *CONTENT_FAULTS,
    *ACCOUNT_FAULTS,
    *RATE_FAULTS,
    *REQUEST_FAULTS,
)

FAULTS: Final[dict[str, Fault]] = {
    fault.name: fault for fault in sorted(_ALL, key=lambda fault: fault.scenario)
}


class NoSuchFault(LookupError):
    """A plan or marker names a fault that does not exist, or not in the call's shape."""


def find_fault(name: str) -> Fault:
    """A fault by its name, or the first one of a scenario (`F13`).

    Raises:
        NoSuchFault: there is none.
    """
    fault = FAULTS.get(name)
    if fault is None:
        fault = next((fault for fault in FAULTS.values() if fault.scenario == name), None)
    if fault is None:
        raise NoSuchFault(name)
    return fault
