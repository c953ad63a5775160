"""Why a connection failed, in a sentence for people: no class names, no internals."""

import os
import ssl

import aiohttp

NO_ANSWER = "the connection was lost before an answer came"
BROKEN_ANSWER = "the connection broke in the middle of the answer"


def describe_trouble(error: Exception, *, place: str) -> str:
    """What happened on the way to `place`, a host with its port."""
    if isinstance(error, aiohttp.ClientConnectorError):
        return _describe_connecting(error)
    if isinstance(error, aiohttp.ClientPayloadError):
        return describe_break(error)
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return f"cannot connect to {place}: no answer in time"
    sentences: tuple[tuple[type[Exception], str], ...] = (
        (aiohttp.ClientResponseError, f"{place} does not speak proper HTTP"),
        (TimeoutError, f"{place} fell silent"),
    )
    return next((words for kind, words in sentences if isinstance(error, kind)), NO_ANSWER)


def describe_break(error: Exception) -> str:
    """What broke an answer off that had begun."""
    return "the answer's compression is broken" if "encoding: " in str(error) else BROKEN_ANSWER


def _describe_connecting(error: aiohttp.ClientConnectorError) -> str:
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"no such host: {error.host}"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        reason = _read_reason(error.certificate_error)
        return f"the certificate of {error.host} is not valid: {reason}"
    host = f"[{error.host}]" if ":" in error.host else error.host
    place = f"{host}:{error.port}" if error.port else host
    if isinstance(error, aiohttp.ClientSSLError):
        return f"no encrypted connection to {place}: {_read_reason(error.os_error)}"
    number = error.os_error.errno
    reason = f": {os.strerror(number).lower()}" if number and number > 0 else ""
    return f"cannot connect to {place}{reason}"


def _read_reason(error: Exception) -> str:
    """OpenSSL's own words, without its file names and numbers."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message.rstrip(".")
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.replace("_", " ").lower()
    return "the handshake failed"
