"""The way to a bucket of object storage: opened, tried, and its failures in our words; blocking.

Only obstore's blocking calls are used, in threads: after one of its awaitables, its own threads
reach for the interpreter once more, and a process that ends in that moment is aborted.
Source: measured with obstore 0.12 (pyo3 0.30), one end in three right after a call.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Final, TypeVar

from msgspec import Struct
from obstore.exceptions import AlreadyExistsError, BaseError, PermissionDeniedError
from obstore.store import S3Store

from slideloom.errors import StorageFull, StoreError
from slideloom.stores.image_base import PicturePiece

if TYPE_CHECKING:  # it has them for type checkers alone
    from obstore.store import ClientConfig, RetryConfig, S3Config

_PROBE: Final = ".slideloom-probe"
_IMMUTABLE: Final = "public, max-age=31536000, immutable"
"""For whatever else may serve the bucket: a name never stands for other bytes."""
_PAGE: Final = 1000
"""Objects in an answer to a listing, and in one deletion: the most that S3 takes."""
_CLIENT: "Final[ClientConfig]" = {"connect_timeout": "3s", "timeout": "60s"}
_PATIENCE: "Final[RetryConfig]" = {
    # Some six seconds where nobody listens, at most fifteen: a paid picture is worth them, and
    # a thread that waits here holds up the end of the process.
    "max_retries": 6,
    "retry_timeout": timedelta(seconds=15),
    "backoff": {
        "init_backoff": timedelta(milliseconds=100),
        "max_backoff": timedelta(seconds=3),
        "base": 2,
    },
}
_READ_RETRIES: "Final[RetryConfig]" = {"max_retries": 2, "retry_timeout": timedelta(seconds=10)}
"""Readers hear of an outage soon, and leave the threads to those who keep."""
_QUICK_CLIENT: "Final[ClientConfig]" = {"connect_timeout": "2s", "timeout": "5s"}
_QUICK_RETRIES: "Final[RetryConfig]" = {"max_retries": 1, "retry_timeout": timedelta(seconds=5)}
_FAULTS: Final = (BaseError, OSError, ValueError)
"""What obstore raises: its own errors, and `FileNotFoundError` for what is not there."""
_ERROR_CODE: Final = re.compile(r"<Code>(\w{1,64})</Code>")
_STATUS: Final = re.compile(r"non-2xx status code: (\d{3})")
_OTHER_REGION: Final = "the bucket is in another region; set AWS_REGION"
_WORDS: Final = {
    "NoSuchBucket": "there is no such bucket",
    "AccessDenied": "the key may not do this there (AccessDenied)",
    "AllAccessDisabled": "the key may not do this there (AllAccessDisabled)",
    "InvalidAccessKeyId": "AWS_ACCESS_KEY_ID is not known there",
    "SignatureDoesNotMatch": "AWS_SECRET_ACCESS_KEY does not fit the key",
    "ExpiredToken": "AWS_SESSION_TOKEN has expired",
    "InvalidToken": "AWS_SESSION_TOKEN is not accepted",
    "QuotaExceeded": "its quota is used up",
    "AuthorizationHeaderMalformed": _OTHER_REGION,
    "RequestTimeTooSkewed": "this machine's clock is off",
}
"""What an answer's error code means for the operator."""
_NO_KEY: Final = "/latest/api/token"
"""Where obstore asks for a key when it has none: the cloud's own machines know one."""
_MOST_WORDS: Final = 200

_T = TypeVar("_T")


class ObjectPlace(Struct, frozen=True, kw_only=True):
    """Where the objects are; what is empty, obstore looks for in the environment."""

    bucket: str
    prefix: str = ""
    """Before each object's name, without a slash at its ends."""
    endpoint_url: str = ""
    region: str = ""
    access_key_id: str = ""
    secret_access_key: str = ""
    session_token: str = ""


class Listed(Struct, frozen=True, kw_only=True):
    """An object as a listing names it."""

    name: str
    """Without the prefix."""
    kept_at_s: float
    """When it was put there, on the wall clock."""


class ObjectLink:
    """One bucket, below one prefix; every method blocks, and may be called in any thread."""

    def __init__(self, place: ObjectPlace) -> None:
        """Take where it is; nothing is asked of it yet.

        Raises:
            StoreError: it is no place to go to.
        """
        try:
            self._writer = _build(place, _CLIENT, _PATIENCE)
            self._reader = _build(place, _CLIENT, _READ_RETRIES)
            self._prober = _build(place, _QUICK_CLIENT, _QUICK_RETRIES)
        except _FAULTS as error:
            message = f"object storage cannot be used: {_explain(error)}"
            raise StoreError(message) from error

    def probe(self) -> None:
        """Put a small object and take it away again; there in a few seconds, or not at all.

        Where nothing may be deleted, it stays: always the same one.

        Raises:
            StorageFull: another picture could not be kept.
        """
        try:
            self._prober.put(_PROBE, b"slideloom", use_multipart=False)
        except _FAULTS as error:
            raise _to_storage_full(error) from error
        try:
            self._prober.delete(_PROBE)
        except _FAULTS as error:
            if _find_code(error) != "AccessDenied":
                raise _to_storage_full(error) from error

    def put(self, name: str, data: bytes, *, media_type: str) -> None:
        """Keep `data` durably, unless that name is taken: then by the same bytes, sent before.

        Raises:
            StorageFull: it was not taken.
        """
        try:
            self._writer.put(
                name,
                data,
                mode="create",
                use_multipart=False,
                attributes={"Content-Type": media_type, "Cache-Control": _IMMUTABLE},
            )
        except AlreadyExistsError:
            return
        except _FAULTS as error:
            raise _to_storage_full(error) from error

    def find(self, name: str) -> bytes | None:
        """An object, whole; `None`: there is none.

        Raises:
            StoreError: it cannot be read.
        """
        return _look(lambda: bytes(self._reader.get(name).bytes()))

    def find_piece(self, name: str, *, start: int, limit_bytes: int) -> PicturePiece | None:
        """Its bytes from `start` on, which must be below its size; otherwise as `find`."""

        def look() -> PicturePiece:
            got = self._reader.get(name, options={"range": (start, start + limit_bytes)})
            return PicturePiece(data=bytes(got.bytes()), whole_bytes=got.meta["size"])

        return _look(look)

    def find_size(self, name: str) -> int | None:
        """An object's size in bytes; otherwise as `find`."""
        return _look(lambda: self._reader.head(name)["size"])

    def list_pages(self) -> Iterator[list[Listed]]:
        """All objects, by name, some at a time.

        Raises:
            StoreError: they cannot be listed.
        """
        try:
            for page in self._reader.list(chunk_size=_PAGE):
                yield [
                    Listed(name=meta["path"], kept_at_s=meta["last_modified"].timestamp())
                    for meta in page
                ]
        except _FAULTS as error:
            raise _to_store_error(error) from error

    def delete(self, names: Sequence[str]) -> None:
        """Take objects away, at most as many as a page has.

        Raises:
            StoreError: they cannot be deleted.
        """
        try:
            if names:
                self._writer.delete(names)
        except _FAULTS as error:
            raise _to_store_error(error) from error


def _build(place: ObjectPlace, client: "ClientConfig", retries: "RetryConfig") -> S3Store:
    config: S3Config = {"bucket": place.bucket}
    if place.endpoint_url:
        config["endpoint"] = place.endpoint_url
    if place.region:
        config["region"] = place.region
    if place.access_key_id:
        config["access_key_id"] = place.access_key_id
        config["secret_access_key"] = place.secret_access_key
    if place.session_token:
        config["session_token"] = place.session_token
    return S3Store(
        prefix=place.prefix or None,
        config=config,
        client_options={**client, "allow_http": place.endpoint_url.startswith("http://")},
        retry_config=retries,
    )


def _look(look: Callable[[], _T]) -> _T | None:
    """What `look` finds, if anything.

    Raises:
        StoreError: it cannot look.
    """
    try:
        return look()
    except FileNotFoundError as error:
        if _find_code(error) == "NoSuchBucket":
            raise _to_store_error(error) from error
        return None
    except _FAULTS as error:
        raise _to_store_error(error) from error


def _to_storage_full(error: Exception) -> StorageFull:
    return StorageFull(f"object storage takes no picture: {_explain(error)}")


def _to_store_error(error: Exception) -> StoreError:
    return StoreError(f"object storage cannot be used: {_explain(error)}")


def _find_code(error: Exception) -> str | None:
    """The error code of an answer of S3, if there was any."""
    found = _ERROR_CODE.search(str(error))
    if found is not None:
        return found[1]
    return "AccessDenied" if isinstance(error, PermissionDeniedError) else None


def _explain(error: Exception) -> str:
    """What went wrong, without the answer itself: it may name a key."""
    code, text = _find_code(error), str(error)
    status = _STATUS.search(text)
    if code in _WORDS:
        return _WORDS[code]
    if _NO_KEY in text:
        return "no key for it is set; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    if "redirect" in text:
        return _OTHER_REGION
    if status is not None:
        return f"it answers {status[1]} {code or ''}".rstrip()
    if "HTTP error" in text:
        return "it cannot be reached"
    return text.partition("\n")[0][:_MOST_WORDS]
