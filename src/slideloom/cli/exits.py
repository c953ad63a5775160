"""How commands end, for scripts. Source: reliability findings, section 7."""

from enum import IntEnum

from slideloom.client import (
    BatchStatus,
    ClientError,
    DailyLimit,
    NotSignedIn,
    Refused,
    Unreachable,
    WaitTimeout,
)

ACCOUNT_CODES = frozenset({"auth_failed", "quota_exhausted"})
"""Of what only the owner of the key can mend."""


class Exit(IntEnum):
    """The exit code of a command."""

    OK = 0
    ERROR = 1
    USAGE = 2
    """Wrong options, or wrong settings."""
    SLIDES_FAILED = 3
    """Some slides, or all, have no picture."""
    ACCOUNT = 4
    """The key or the token is refused, the account is empty, or the day's money is spent."""
    UNREACHABLE = 5
    """No answer from the service, or not in time."""
    INTERRUPTED = 130
    """Ctrl-C."""


def exit_for(status: BatchStatus) -> Exit:
    """The exit code for a batch that has ended."""
    codes = {slide.error_code for slide in status.results if slide.status == "error"}
    if codes & ACCOUNT_CODES:
        return Exit.ACCOUNT
    return Exit.SLIDES_FAILED if codes else Exit.OK


def exit_for_error(error: ClientError) -> Exit:
    """The exit code for what the client raised."""
    if isinstance(error, Unreachable | WaitTimeout):
        return Exit.UNREACHABLE
    if isinstance(error, NotSignedIn | DailyLimit):
        return Exit.ACCOUNT
    if isinstance(error, Refused) and error.code in ACCOUNT_CODES:
        return Exit.ACCOUNT
    return Exit.ERROR
