"""Everything this service raises on purpose, in one tree, by who must act.

SlideloomError
├── RequestError          the caller: the request cannot be served as sent
│   ├── MalformedBody         not JSON at all
│   ├── InvalidRequest        JSON, but not what the route takes
│   ├── BodyTooLarge          more bytes than the route takes
│   ├── NotJson               another media type than application/json
│   ├── MalformedHost         the Host header names no host
│   ├── WrongHost             the service is not known by that name
│   ├── ForeignOrigin         another web site's page asks
│   ├── Unauthorized          no token, or a wrong one
│   ├── TooManyRequests       more than the token may send
│   ├── DailyCostReached      the day's money is spent
│   ├── UnknownBatch          no such batch (any more)
│   ├── UnknownSlide          no such slide in the batch
│   │   └── UnknownVersion        no such picture of the slide
│   ├── SlideUnderWay         the slide is being made: it cannot be changed now
│   ├── NoPictures            the batch has no picture to take home
│   ├── KeyReused             the Idempotency-Key stands for another request
│   └── UnknownSession        no log files of such a session
├── ProviderError         the image model's answer; recorded on the slide
│   ├── TransientError        may be asked again
│   │   ├── RequestNotSent        certainly unbilled: nothing reached the provider
│   │   ├── UpstreamDown          certainly unbilled: 5xx, HTML error page
│   │   ├── RateLimited           certainly unbilled: too fast, or no capacity
│   │   ├── AnswerLost            maybe billed: the answer broke on its way
│   │   ├── CorruptPicture        maybe billed: the bytes are not a whole picture
│   │   └── NoImage               maybe billed: an answer, but no picture in it
│   └── PermanentError        asking again cannot help
│       ├── NoAnswerInTime        maybe billed: the attempt's time is up
│       ├── ContentBlocked        refused by a machine-readable reason
│       ├── AuthFailed            the key is refused: the lane stops
│       ├── QuotaExhausted        the account is empty: the lane stops
│       ├── BadRequest            the provider will not take this request
│       ├── DownloadFailed        the picture's address did not give it
│       ├── BlockedAddress        the picture's address is not a public one
│       └── RenderFailed          the embedded renderer failed
├── StoreError            our disk or database
│   ├── StorageFull           no room (or no right) to keep a picture
│   ├── Fenced                a newer run owns the batch
│   ├── LogMoved              somebody else wrote to the batch meanwhile
│   ├── NotTakenUp            the batch was left open, and is about to be taken up
│   ├── NotWrittenYet         a wish is carried out, but not written down yet
│   ├── UnreadableLog         a batch's record is not what we write
│   └── StoreUnusable         the database cannot be opened as it is
├── Stopping              the service is shutting down
└── SettingsError         the operator: a setting is wrong
"""

from typing import ClassVar, Literal

SlideErrorCode = Literal[
    "rate_limited",
    "quota_exhausted",
    "auth_failed",
    "content_blocked",
    "no_image",
    "invalid_image",
    "bad_request",
    "upstream_unavailable",
    "timeout",
    "batch_timeout",
    "interrupted",
    "cancelled",
    "budget_exceeded",
    "storage_full",
    "blocked_url",
    "internal",
]
"""Every code a slide can end in. Source: contract section 6."""


class SlideloomError(Exception):
    """Anything this service raises on purpose."""

    code: ClassVar[str] = "internal"


class RequestError(SlideloomError):
    """The caller must change the request."""

    code = "invalid_request"


class MalformedBody(RequestError):
    """The body is not JSON: broken, too deep, not UTF-8, or behind a byte-order mark."""

    code = "malformed_body"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class InvalidRequest(RequestError):
    """The body is JSON, but not what the route takes."""

    def __init__(self, message: str, loc: tuple[str | int, ...]) -> None:
        super().__init__(message)
        self.message = message
        self.loc = loc


class BodyTooLarge(RequestError):
    """The body is longer than the route takes."""

    code = "body_too_large"

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"body over {limit_bytes} bytes")
        self.limit_bytes = limit_bytes


class NotJson(RequestError):
    """The body is declared as something else than application/json."""

    code = "unsupported_media_type"

    def __init__(self, media_type: str) -> None:
        super().__init__(f"media type {media_type!r}")
        self.media_type = media_type


class MalformedHost(RequestError):
    """The Host header is missing, doubled, or names no host."""


class WrongHost(RequestError):
    """The service is not known by the name in the Host header."""

    code = "wrong_host"

    def __init__(self, host: str) -> None:
        super().__init__(f"host {host!r}")
        self.host = host


class ForeignOrigin(RequestError):
    """A page of a web site that may not use the API asks."""

    code = "foreign_origin"

    def __init__(self, origin: str) -> None:
        super().__init__(f"origin {origin!r}")
        self.origin = origin


class Unauthorized(RequestError):
    """There is no token, or a wrong one."""

    code = "unauthorized"


class TooManyRequests(RequestError):
    """The token has sent all the requests it may for now."""

    code = "too_many_requests"

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


class DailyCostReached(RequestError):
    """What may be spent in a day is spent."""

    code = "daily_cost_limit"

    def __init__(self, limit_usd: float, *, retry_after_s: int) -> None:
        super().__init__(f"${limit_usd:.2f} a day")
        self.limit_usd = limit_usd
        self.retry_after_s = retry_after_s


class UnknownBatch(RequestError):
    """There is no such batch, or its record has been cleaned up."""

    code = "not_found"

    def __init__(self, batch_id: str) -> None:
        super().__init__(f"no batch {batch_id!r}")
        self.batch_id = batch_id


class UnknownSlide(RequestError):
    """The batch has no such slide."""

    code = "not_found"

    def __init__(self, slide_id: str) -> None:
        super().__init__(f"no slide {slide_id!r}")
        self.slide_id = slide_id


class UnknownVersion(UnknownSlide):
    """The slide has no such picture."""

    def __init__(self, slide_id: str, version: str) -> None:
        super().__init__(slide_id)
        self.version = version


class SlideUnderWay(RequestError):
    """The slide is being made, and cannot be changed before it has ended."""

    code = "slide_under_way"

    def __init__(self, slide_id: str) -> None:
        super().__init__(f"slide {slide_id!r}")


class NoPictures(RequestError):
    """There is no picture to take home, yet or any more."""

    code = "no_pictures"


class KeyReused(RequestError):
    """An Idempotency-Key that stands for another request already."""

    code = "idempotency_key_reused"


class UnknownSession(RequestError):
    """There are no log files of such a session."""

    code = "not_found"

    def __init__(self, session_id: str) -> None:
        super().__init__(f"no session {session_id!r}")
        self.session_id = session_id


class ProviderError(SlideloomError):
    """An attempt that gave no picture; what it carries is recorded on the slide."""

    code: ClassVar[SlideErrorCode] = "internal"
    billed: ClassVar[Literal["no", "maybe"]] = "no"
    """Whether the provider may charge for the attempt."""
    stops_lane: ClassVar[bool] = False
    """Whether no other call with the same key can succeed."""

    def __init__(  # noqa: PLR0913 - one answer's facts, all named
        self,
        detail: str = "",
        *,
        http_status: int | None = None,
        provider_code: str | None = None,
        request_id: str | None = None,
        retry_after_s: float | None = None,
        cost_usd: float | None = None,
        is_capacity: bool = False,
    ) -> None:
        """Take the provider's own words (`detail`, without keys) and its facts.

        `cost_usd` is what the provider says it charged all the same; `is_capacity`, that
        the model has no room for anybody now, which another model may have.
        """
        super().__init__(detail)
        self.detail = detail
        self.http_status = http_status
        self.provider_code = provider_code
        self.request_id = request_id
        self.retry_after_s = retry_after_s
        self.cost_usd = cost_usd
        self.is_capacity = is_capacity
        self.moves_on = False
        """Whether the slide may try again with another key; the lanes decide."""
        self.own_pause_s = 0.0
        """How long the slide waits by itself, where others need not; the lanes decide."""


class TransientError(ProviderError):
    """The same call may succeed another time."""


class RequestNotSent(TransientError):
    """Refused, no such host, or reset before the body was sent."""

    code = "upstream_unavailable"


class UpstreamDown(TransientError):
    """The provider answered 5xx or an HTML error page."""

    code = "upstream_unavailable"


class RateLimited(TransientError):
    """The provider answered 429, or that it has no capacity now."""

    code = "rate_limited"


class AnswerLost(TransientError):
    """The connection broke after the request was sent, or the answer is cut short."""

    code = "upstream_unavailable"
    billed = "maybe"


class CorruptPicture(TransientError):
    """The answer's bytes are not a whole picture of a known type."""

    code = "invalid_image"
    billed = "maybe"


class NoImage(TransientError):
    """The provider answered, without a picture and without refusing."""

    code = "no_image"
    billed = "maybe"


class PermanentError(ProviderError):
    """The same call would fail again, or must not be paid again."""


class NoAnswerInTime(PermanentError):
    """The attempt's time was up before the picture was there."""

    code = "timeout"
    billed = "maybe"


class ContentBlocked(PermanentError):
    """The provider refused the content, by a machine-readable reason."""

    code = "content_blocked"


class AuthFailed(PermanentError):
    """The provider refuses the key."""

    code = "auth_failed"
    stops_lane = True


class QuotaExhausted(PermanentError):
    """The account has no money or no quota left."""

    code = "quota_exhausted"
    stops_lane = True


class BadRequest(PermanentError):
    """The provider will not take this request."""

    code = "bad_request"


class DownloadFailed(PermanentError):
    """The picture's address did not give the picture, after every try."""

    code = "upstream_unavailable"
    billed = "maybe"


class BlockedAddress(PermanentError):
    """The picture's address is not https on a public host."""

    code = "blocked_url"
    billed = "maybe"


class RenderFailed(PermanentError):
    """The embedded renderer could not typeset the slide: a fault of ours."""

    code = "internal"


class StoreError(SlideloomError):
    """Our disk or database failed."""

    code = "storage_unavailable"


class StorageFull(StoreError):
    """There is no room, or no right, to keep a picture."""

    code = "storage_full"


class Fenced(StoreError):
    """A newer run has taken the batch; this one must stop."""

    def __init__(self, batch_id: str, epoch: int | None) -> None:
        super().__init__(f"batch {batch_id} is no longer at epoch {epoch}")
        self.batch_id = batch_id
        self.epoch = epoch


class LogMoved(StoreError):
    """Somebody else has written to the batch since it was read: look again, decide again."""

    def __init__(self, batch_id: str, at: int) -> None:
        super().__init__(f"the last event of batch {batch_id} is not number {at} any more")


class NotTakenUp(StoreError):
    """A batch that a stop or a crash left open: it is about to be taken up."""

    def __init__(self, batch_id: str) -> None:
        super().__init__(f"batch {batch_id} has not been taken up yet")


class NotWrittenYet(StoreError):
    """A wish is carried out as far as it can be, but the store does not take it down."""

    code = "not_written_yet"


class UnreadableLog(StoreError):
    """A batch's record cannot be read, and will not become better by itself."""

    code = "record_unreadable"


class StoreUnusable(StoreError):
    """The database cannot be opened as it is, and was left untouched."""


class Stopping(SlideloomError):
    """The service is shutting down and takes no new work."""

    code = "stopping"


class SettingsError(SlideloomError):
    """A setting is wrong; the operator must mend it."""

    code = "settings"
