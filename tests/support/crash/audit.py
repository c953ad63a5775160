"""The audit: what customers were told, what the store holds, what lies on the disk, and the bill.

Each check returns what is wrong, in words; nothing is wrong with an empty list.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from msgspec import Struct

from slideloom.domain.batch import BatchState, SlideState
from slideloom.domain.status import cost_usd, possibly_billed
from tests.support.crash.customer import Customer
from tests.support.crash.files import find_fault_in_picture, find_torn_logs
from tests.support.crash.ledger import Ledger
from tests.support.crash.site import Site
from tests.support.crash.tally import Tally
from tests.support.upstream.bill import Call, Report
from tests.support.upstream.pictures import prompt_key, read_stamp
from tests.support.upstream.plan import Plan

_TAG = re.compile(r"<deck\d+\.\d+>")
PRICE_USD = Plan().cost_usd
"""Of each picture."""
_HALF_CENT_USD = 0.005


class Place(NamedTuple):
    """One slide of one batch."""

    batch_id: str
    place: int


class Evidence(Struct, frozen=True, kw_only=True):
    """All that there is to be compared."""

    ledger: Ledger
    calls: Mapping[str, Sequence[Call]]
    """The provider's admitted calls, by the slide's tag; `""` is nobody's."""
    bill_usd: float
    customer: Customer
    site: Site
    cut_offs: Counter[Place]
    """How many kills came in the middle of an attempt of that slide."""
    codes: frozenset[str]
    """What a slide may end in, if it is not done."""
    calls_once: bool
    """Whether no slide may be asked for twice: what `RESUME_IN_FLIGHT=fail` promises."""


def sort_calls(report: Report) -> dict[str, list[Call]]:
    """The admitted calls, by the slide they were for."""
    calls: dict[str, list[Call]] = defaultdict(list)
    for call in report.bill.admitted:
        found = _TAG.search(call.prompt)
        calls[found[0] if found else ""].append(call)
    return calls


def list_slides(ledger: Ledger) -> Iterator[tuple[Place, str, SlideState]]:
    """Every slide in the store, with its tag."""
    for batch_id, state in ledger.items():
        pairs = zip(state.order.slides, state.slides, strict=True)
        for place, (order, slide) in enumerate(pairs):
            found = _TAG.search(order.visual_desc)
            yield Place(batch_id, place), found[0] if found else "", slide


def audit_crash(known: Evidence) -> list[str]:
    """What must hold at every moment, so also right after a kill."""
    return [
        *_check_accepted(known),
        *_check_promises(known),
        *_check_written_ahead(known),
        *_check_pictures(known),
    ]


def audit_end(known: Evidence) -> list[str]:
    """What must hold once every batch has its end and the service was stopped in order."""
    return [
        *audit_crash(known),
        *_check_orders(known),
        *_check_ends(known),
        *_check_money(known),
        *_check_bill(known),
        *[f"{path} was left half-written" for path in known.site.list_parts()],
        *find_torn_logs(known.site),
        *known.customer.faults,
    ]


def _check_accepted(known: Evidence) -> list[str]:
    accepted = known.customer.accepted
    return [f"batch {one} was accepted and is lost" for one in accepted if one not in known.ledger]


def _check_promises(known: Evidence) -> list[str]:
    """A slide that somebody was shown as done stays done, with the same picture."""
    taken_back = []
    for (batch_id, slide_id), address in known.customer.shown.items():
        state = known.ledger.get(batch_id)
        if state is None:
            continue  # lost, as was said
        picture = state.slides[int(slide_id.removeprefix("s"))].picture
        if picture is None or f"/assets/{picture.image}" != address:
            taken_back.append(f"{slide_id} of {batch_id} was done as {address}, now {picture}")
    return taken_back


def _check_written_ahead(known: Evidence) -> list[str]:
    """No call that was not written down before."""
    attempts = {tag: slide.attempts for _, tag, slide in list_slides(known.ledger)}
    return [
        f"{tag}: {len(calls)} calls, {attempts.get(tag, 0)} attempts written down"
        for tag, calls in known.calls.items()
        if len(calls) > attempts.get(tag, 0)
    ]


def _check_pictures(known: Evidence) -> list[str]:
    """Every picture is there, whole, its slide's own, and nobody else's."""
    faults, owners = [], Counter[str]()
    for place, tag, slide in list_slides(known.ledger):
        if slide.picture is not None:
            owners[slide.picture.image] += 1
            fault = _find_fault(known, tag, slide.picture.image)
            faults += [f"{slide.picture.image} of {place}: {fault}"] if fault else []
    return faults + [f"{image} has {n} owners" for image, n in owners.items() if n > 1]


def _find_fault(known: Evidence, tag: str, image: str) -> str | None:
    path = known.site.assets / image
    if not path.is_file():
        return "the file is not there"
    data = path.read_bytes()
    stamp = read_stamp(data)
    calls = {call.number: call for call in known.calls.get(tag, ())}
    if stamp is None or stamp.call not in calls:
        return f"it was made by {stamp}, not by any of the calls {list(calls)}"
    if stamp.prompt_key != prompt_key(calls[stamp.call].prompt) or not calls[stamp.call].billed:
        return f"it was made by {stamp}, which was {calls[stamp.call]}"
    return find_fault_in_picture(data)


def _check_orders(known: Evidence) -> list[str]:
    """One batch for each order, none for a refused one, and no key without its batch."""
    customer = known.customer
    titles = Counter(state.order.slides[0].title for state in known.ledger.values())
    unanswered = [deck for deck in customer.unanswered.values() if deck.key is not None]
    return [
        *[f"{title} became {n} batches" for title, n in titles.items() if n > 1],
        *[f"{title} was refused, and is there" for title in customer.refused if title in titles],
        *[f"{deck.key} was sent again and never answered" for deck in unanswered],
    ]


def _check_ends(known: Evidence) -> list[str]:
    """Every batch has ended, as its customer was told, and each slide in a way it may."""
    faults = [f"{one} has no end" for one, state in known.ledger.items() if not state.is_final]
    for place, _, slide in list_slides(known.ledger):
        if slide.status != "done" and slide.error_code not in known.codes:
            faults.append(f"{place} ended as {slide.status}, {slide.error_code}")
    for batch_id, end in known.customer.ends.items():
        state = known.ledger.get(batch_id)
        said = end["status"], end["cost_usd"], end["possibly_billed"], end["successful"]
        if state is not None and said != _sum_up(state):
            faults.append(f"{batch_id} was told as {said}, the store has {_sum_up(state)}")
    return faults


def _sum_up(state: BatchState) -> tuple[str, float | None, int, int]:
    return state.status, cost_usd(state), possibly_billed(state), state.count("done")


def _check_money(known: Evidence) -> list[str]:
    """Each slide's paid attempts against the calls that were billed for it."""
    faults = []
    for place, tag, slide in list_slides(known.ledger):
        calls = known.calls.get(tag, ())
        billed = sum(call.billed for call in calls)
        written, maybe = count_paid(slide), slide.possibly_billed
        if written is None or not written <= billed <= written + maybe:
            faults.append(
                f"{place}: {billed} calls billed, but the store has"
                f" {slide.cost_usd} USD and {maybe} possibly billed"
            )
        allowed = 1 if known.calls_once else 1 + known.cut_offs[place]
        if len(calls) > allowed:
            faults.append(f"{place}: {len(calls)} calls, {known.cut_offs[place]} cut off")
    return faults


def count_paid(slide: SlideState) -> int | None:
    """How many calls the slide's cost stands for; `None` when it is no whole number of them."""
    cost = slide.cost_usd or 0.0
    count = round(cost / PRICE_USD)
    return count if abs(cost - count * PRICE_USD) < 1e-6 else None


def _check_bill(known: Evidence) -> list[str]:
    """The bill is what the store has, and what it holds for possible, to the cent."""
    faults = [f"nobody's call: {call.prompt[:80]}" for call in known.calls.get("", ())]
    figures = count_up(known)
    gap_usd = figures.bill_usd - figures.store_usd - figures.hidden_usd
    if abs(gap_usd) >= _HALF_CENT_USD:
        faults.append(f"bill and store are {gap_usd:.4f} USD apart")
    return faults


def count_up(known: Evidence) -> Tally:
    """The figures of one life, but for its kills."""
    tally = Tally(batches=len(known.ledger), bill_usd=known.bill_usd)
    for _, tag, slide in list_slides(known.ledger):
        billed = sum(call.billed for call in known.calls.get(tag, ()))
        hidden = billed - (count_paid(slide) or 0)
        tally.slides += 1
        tally.done += slide.status == "done"
        tally.failed += slide.status == "error"
        tally.left_behind += slide.picture is not None and slide.cost_usd is None
        tally.extra_calls += max(0, billed - 1)
        tally.possibly_billed += slide.possibly_billed
        tally.really_billed += hidden
        tally.store_usd += slide.cost_usd or 0.0
        tally.hidden_usd += hidden * PRICE_USD
    calls = [call for some in known.calls.values() for call in some]
    tally.calls, tally.cut_calls = len(calls), sum(call.client_went for call in calls)
    tally.resends = known.customer.resends
    return tally
