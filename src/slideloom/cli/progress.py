"""How a batch goes, on stderr: a bar on a terminal, a line a slide elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn

from slideloom.cli.output import Output, printable
from slideloom.cli.tables import format_cost, format_seconds
from slideloom.cli.words import tell
from slideloom.client import BatchEvent, BatchNews, BatchStatus, Event, SlideEvent


class Reporter(Protocol):
    """Is told each event."""

    def take(self, event: Event) -> None:
        """Show what it changes."""


@contextmanager
def reporting(output: Output, before: BatchStatus) -> Iterator[Reporter]:
    """Who shows the progress of a batch, from `before` on."""
    if output.is_quiet:
        yield _Silence()
    elif not output.err.is_terminal:
        yield _Lines(output)
    else:
        columns = (
            SpinnerColumn(),
            BarColumn(bar_width=30),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TextColumn("{task.description}"),
        )
        with Progress(*columns, console=output.err, transient=True) as progress:
            done, total = before.completed_slides, before.total_slides
            yield _Bar(progress, progress.add_task("", completed=done, total=total), output)


class _Silence:
    def take(self, event: Event) -> None:
        """Nothing is wanted."""


class _Lines:
    def __init__(self, output: Output) -> None:
        self._output = output

    def take(self, event: Event) -> None:
        """Print what happened to a slide, unless it only begins."""
        if isinstance(event, SlideEvent) and event.name != "slide.started":
            self._output.note(describe(event))


class _Bar:
    def __init__(self, progress: Progress, task: TaskID, output: Output) -> None:
        self._progress = progress
        self._task = task
        self._output = output

    def take(self, event: Event) -> None:
        """Move the bar; what went wrong stays above it."""
        if isinstance(event, BatchEvent):
            self._progress.update(
                self._task,
                completed=event.batch.completed_slides,
                total=event.batch.total_slides,
                description=_summarise(event.batch),
            )
        elif event.name in {"slide.failed", "slide.retrying"}:
            self._output.note(describe(event))


def describe(event: SlideEvent) -> str:
    """One line on what happened to a slide."""
    slide = event.slide
    what = printable(f"{tell('page {page}', page=slide.page_num)}  {slide.title}")
    match event.name:
        case "slide.done":
            return f"✓ {what}  {format_seconds(slide.generation_time)}"
        case "slide.failed":
            return f"✗ {what}  {slide.error_code}"  # the sentence is said once, at the end
        case "slide.retrying":
            wait_s = round(event.retry_in or 0)
            wait = tell("again in {seconds} s", seconds=wait_s) if wait_s else tell("again at once")
            return f"↻ {what}  {event.retry_reason}, {wait}"
        case _:
            return f"… {what}"


def _summarise(news: BatchNews) -> str:
    facts = []
    if news.failed:
        facts.append(tell("{failed} failed", failed=news.failed))
    if news.cost_usd is not None:
        facts.append(format_cost(news.cost_usd))
    if news.estimated_remaining_time is not None:
        facts.append(f"ETA {format_seconds(news.estimated_remaining_time)}")
    return "  ".join(facts)
