"""What the emulator was asked and what it charges: the record a test looks at afterwards."""

from typing import Any

from msgspec import Struct, field


class Call(Struct, kw_only=True):
    """One call for an image; filled in as it goes on."""

    number: int
    """From 1, in order of arrival, refused ones too."""
    path: str
    key_tail: str
    """The key's last four characters."""
    headers: dict[str, str]
    """Names in lower case."""
    connection: int
    """Which connection it came on, from 1."""
    started_s: float
    """When its request was complete, in seconds since the emulator started or was reset."""
    ended_s: float | None = None
    """When its answer was written out, or it ended otherwise."""
    shape: str = ""
    model: str = ""
    prompt: str = ""
    body: dict[str, Any] | None = None
    fault: str | None = None
    """Name of the fault it got."""
    rejected: str | None = None
    """Why it was not admitted: `key revoked outage balance limit rate`, or a bad `request`."""
    client_went: bool = False
    """Whether the client was gone before the answer was written out."""
    billed: bool = False
    """Whether the image was made and charged."""
    cost_usd: float = 0.0


class Visit(Struct, kw_only=True):
    """A request that asks for no image: discovery, a download, an unknown path."""

    method: str
    path: str
    headers: dict[str, str]
    status: int
    at_s: float


class Bill(Struct, kw_only=True):
    """Everything that came in since the last reset."""

    calls: list[Call] = field(default_factory=list)
    visits: list[Visit] = field(default_factory=list)
    bill_usd: float = 0.0
    connections: int = 0
    """Connections taken, ever."""
    in_flight: int = 0
    """Admitted calls whose answer is not written out yet."""
    peak_in_flight: int = 0

    @property
    def billed(self) -> list[Call]:
        """Calls that were charged."""
        return [call for call in self.calls if call.billed]

    @property
    def admitted(self) -> list[Call]:
        """Calls that got past keys and limits."""
        return [call for call in self.calls if call.rejected is None]

    @property
    def distinct_prompts(self) -> set[str]:
        """Prompts seen."""
        return {call.prompt for call in self.calls}

    @property
    def downloads(self) -> list[Visit]:
        """Requests to the file host."""
        return [visit for visit in self.visits if visit.path.startswith("/files/")]

    def find(self, text: str) -> list[Call]:
        """Calls whose prompt holds the text, in order."""
        return [call for call in self.calls if text in call.prompt]


class Report(Struct, frozen=True, kw_only=True):
    """A bill with its sums, as `GET /__bill` gives it."""

    bill: Bill
    call_count: int
    admitted_count: int
    rejected_counts: dict[str, int]
    fault_counts: dict[str, int]
    billed_count: int
    distinct_prompt_count: int
    client_went_count: int


def report_bill(bill: Bill) -> Report:
    """Add the sums up."""
    rejected: dict[str, int] = {}
    faults: dict[str, int] = {}
    for call in bill.calls:
        if call.rejected is not None:
            rejected[call.rejected] = rejected.get(call.rejected, 0) + 1
        if call.fault is not None:
            faults[call.fault] = faults.get(call.fault, 0) + 1
    return Report(
        bill=bill,
        call_count=len(bill.calls),
        admitted_count=len(bill.admitted),
        rejected_counts=rejected,
        fault_counts=faults,
        billed_count=len(bill.billed),
        distinct_prompt_count=len(bill.distinct_prompts),
        client_went_count=sum(call.client_went for call in bill.calls),
    )
