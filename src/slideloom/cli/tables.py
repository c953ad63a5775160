"""Batches and slides as tables for people."""

from collections.abc import Iterable

from rich.text import Text

from slideloom.cli.exits import ACCOUNT_CODES
from slideloom.cli.output import Cell, Output, printable
from slideloom.cli.words import join_facts, tell, tell_count
from slideloom.client import BatchStatus, BatchSummary, SlideResult

_STYLES = {
    "done": "green",
    "completed": "green",
    "error": "red",
    "failed": "red",
    "generating": "yellow",
    "running": "yellow",
}
_MINUTE_S = 60
_TITLE_CHARS = 48


def put_batches(output: Output, batches: Iterable[BatchSummary]) -> None:
    """Print the list of batches."""
    output.put_table(
        ("batch", "status", "slides", "failed", "cost", "made", "title"),
        [
            (
                batch.batch_id,
                _mark(batch.status, is_cancelled=batch.cancelled),
                f"{batch.successful}/{batch.total_slides}",
                str(batch.failed),
                format_cost(batch.cost_usd),
                batch.created_at[:16].replace("T", " "),
                _shorten(batch.title),
            )
            for batch in batches
        ],
    )


def put_slides(output: Output, status: BatchStatus) -> None:
    """Print a batch, slide by slide."""
    output.put_table(
        ("page", "slide", "status", "time", "cost", "title"),
        [_to_row(slide) for slide in status.results],
    )


def _to_row(slide: SlideResult) -> tuple[Cell, ...]:
    title = _shorten(slide.title)
    return (
        str(slide.page_num),
        _shorten(slide.slide_id),
        _mark(slide.status),
        format_seconds(slide.generation_time),
        "cached" if slide.cached else format_cost(slide.cost_usd),
        title if slide.error_code is None else f"{title}  {slide.error_code}",
    )


def note_failures(output: Output, status: BatchStatus) -> None:
    """Say why slides failed: a sentence once, however many it is about."""
    failed = [slide for slide in status.results if slide.status == "error"]
    pages: dict[str, list[int]] = {}
    for slide in failed:
        pages.setdefault(printable(slide.error_message or ""), []).append(slide.page_num)
    for words, where in pages.items():
        one = tell("page {page}", page=where[0])
        subject = one if len(where) == 1 else tell("{count} slides", count=len(where))
        output.note(tell("{subject}: {words}", subject=subject, words=words))
    if any(slide.error_code in ACCOUNT_CODES for slide in failed):
        output.note(tell("First look at the key and the account: slideloom check"))


def summarise(status: BatchStatus) -> str:
    """A batch in a line."""
    facts = [tell("{done}/{all} done", done=status.successful, all=status.total_slides)]
    if status.failed:
        facts.append(tell("{failed} failed", failed=status.failed))
    facts.append(format_seconds(status.total_time))
    if status.cost_usd is not None:
        facts.append(format_cost(status.cost_usd))
    if status.possibly_billed:
        one = "1 call without a picture may be billed"
        many = "{count} calls without a picture may be billed"
        facts.append(tell_count(status.possibly_billed, one, many))
    state = tell("cancelled" if status.cancelled else status.status)
    return f"{status.batch_id}  {state}  {join_facts(facts)}"


def format_cost(cost_usd: float | None) -> str:
    """Dollars, as exactly as matters."""
    return "-" if cost_usd is None else f"${cost_usd:.3f}".rstrip("0").rstrip(".")


def format_seconds(seconds: float | None) -> str:
    """A duration."""
    if seconds is None:
        return "-"
    if seconds < _MINUTE_S:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), _MINUTE_S)
    return f"{minutes} min {rest} s" if rest else f"{minutes} min"


def _mark(status: str, *, is_cancelled: bool = False) -> Text:
    return Text("cancelled" if is_cancelled else status, _STYLES.get(status, ""))


def _shorten(text: str) -> str:
    clean = printable(text)
    return clean if len(clean) <= _TITLE_CHARS else f"{clean[: _TITLE_CHARS - 1]}…"
