"""The Python client: `Client` for plain calls, `AsyncClient` for asyncio."""

from slideloom.client.aio import DEFAULT_URL, AsyncClient
from slideloom.client.aio_batch import FINAL, AsyncBatch
from slideloom.client.blocking import Batch, Client
from slideloom.client.decks import Deck, SlideLike, load_deck, parse_deck
from slideloom.client.errors import (
    AnswerLost,
    Busy,
    ClientError,
    Conflict,
    DailyLimit,
    FieldProblem,
    InvalidRequest,
    NotFound,
    NotSignedIn,
    Problem,
    Refused,
    ServiceFault,
    UnexpectedAnswer,
    Unreachable,
    UnreadableDeck,
    WaitTimeout,
)
from slideloom.client.records import (
    BatchEvent,
    BatchPage,
    Event,
    Exported,
    Readiness,
    SlideEvent,
)
from slideloom.domain.estimate import Estimate
from slideloom.domain.feed import BatchNews
from slideloom.domain.request import SlideRequest
from slideloom.domain.status import BatchStatus, BatchSummary, SlideResult, SlideVersion

__all__ = [
    "DEFAULT_URL",
    "FINAL",
    "AnswerLost",
    "AsyncBatch",
    "AsyncClient",
    "Batch",
    "BatchEvent",
    "BatchNews",
    "BatchPage",
    "BatchStatus",
    "BatchSummary",
    "Busy",
    "Client",
    "ClientError",
    "Conflict",
    "DailyLimit",
    "Deck",
    "Estimate",
    "Event",
    "Exported",
    "FieldProblem",
    "InvalidRequest",
    "NotFound",
    "NotSignedIn",
    "Problem",
    "Readiness",
    "Refused",
    "ServiceFault",
    "SlideEvent",
    "SlideLike",
    "SlideRequest",
    "SlideResult",
    "SlideVersion",
    "UnexpectedAnswer",
    "Unreachable",
    "UnreadableDeck",
    "WaitTimeout",
    "load_deck",
    "parse_deck",
]
