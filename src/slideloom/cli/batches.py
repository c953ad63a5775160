"""Commands on batches that are there: status, watch, retry, cancel, export."""

from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter

from slideloom.cli.exits import Exit, exit_for
from slideloom.cli.options import LIST_LIMIT, SECONDS
from slideloom.cli.output import Manner, Output
from slideloom.cli.progress import reporting
from slideloom.cli.reach import reach
from slideloom.cli.run import WrongUsageError, run_command
from slideloom.cli.tables import note_failures, put_batches, put_slides, summarise
from slideloom.cli.watching import follow, retry_since
from slideloom.cli.words import tell, tell_count
from slideloom.client import FINAL, BatchEvent, BatchStatus, Event

_ENDINGS = {".pptx", ".pdf", ".zip"}


def status(
    batch_id: Annotated[
        str | None, Parameter(name="ID", help="The batch's id; without one: all batches.")
    ] = None,
    /,
    *,
    limit: Annotated[
        int, Parameter(help="The most batches in the list.", validator=LIST_LIMIT)
    ] = 20,
    manner: Manner = Manner(),  # noqa: B008 - a frozen record of defaults
) -> Exit:
    """Show a batch slide by slide, or the list of batches."""

    async def work(output: Output) -> Exit:
        async with reach(manner.server, manner.token, output) as reached:
            if batch_id is None:
                page = await reached.client.list(limit=limit)
                output.put_json(page)
                put_batches(output, page.batches)
                if not page.batches:
                    output.note(tell("There are no batches yet."))
                return Exit.OK
            _put_status(output, await (await reached.client.get(batch_id)).status())
        return Exit.OK

    return run_command(manner, work)


def watch(
    batch_id: Annotated[str, Parameter(name="ID", help="The batch's id.")],
    /,
    *,
    timeout: Annotated[
        float | None,
        Parameter(help="Seconds to wait at most; then exit code 5.", validator=SECONDS),
    ] = None,
    manner: Manner = Manner(),  # noqa: B008 - a frozen record of defaults
) -> Exit:
    """Show a batch's progress until it has ended; with --json, each event as a line."""

    async def work(output: Output) -> Exit:
        async with reach(manner.server, manner.token, output) as reached:
            batch = await reached.client.get(batch_id)
            before = await batch.status()
            with reporting(output, before) as reporter:

                def take(event: Event) -> None:
                    output.put_json_line(to_line(event))
                    reporter.take(event)

                after = await follow(batch, take, timeout_s=timeout)
        output.say(summarise(after))
        note_failures(output, after)
        return exit_for(after)

    return run_command(manner, work)


def retry(
    batch_id: Annotated[str, Parameter(name="ID", help="The batch's id.")],
    /,
    *,
    slide: Annotated[
        list[str] | None,
        Parameter(negative=(), help="Only this slide, by its id; may be repeated."),
    ] = None,
    wait: Annotated[bool, Parameter(negative=(), help="Wait for the end.")] = False,
    manner: Manner = Manner(),  # noqa: B008 - a frozen record of defaults
) -> Exit:
    """Make again what is not done."""

    async def work(output: Output) -> Exit:
        async with reach(manner.server, manner.token, output) as reached:
            batch = await reached.client.get(batch_id)
            after = await retry_since(batch, slide)
            if after.status in FINAL or not wait:
                _put_status(output, after)
                output.note(_tell_next(after))
                return exit_for(after) if wait else Exit.OK
            with reporting(output, after) as reporter:
                after = await follow(batch, reporter.take, timeout_s=None, since=after)
        _put_status(output, after)
        return exit_for(after)

    return run_command(manner, work)


def cancel(
    batch_id: Annotated[str, Parameter(name="ID", help="The batch's id.")],
    /,
    *,
    manner: Manner = Manner(),  # noqa: B008 - a frozen record of defaults
) -> Exit:
    """Stop a batch; what was made stays."""

    async def work(output: Output) -> Exit:
        async with reach(manner.server, manner.token, output) as reached:
            batch = await reached.client.get(batch_id)
            has_ended = (await batch.status()).status in FINAL
            after = await batch.cancel()
        _put_status(output, after)
        if has_ended:
            output.note(tell("It had already ended."))
        return Exit.OK

    return run_command(manner, work)


def export(
    batch_id: Annotated[str, Parameter(name="ID", help="The batch's id.")],
    file: Annotated[Path, Parameter(name="FILE", help="Ends in .pptx, .pdf or .zip.")],
    /,
    *,
    manner: Manner = Manner(),  # noqa: B008 - a frozen record of defaults
) -> Exit:
    """Take a batch's finished slides home in one file."""

    async def work(output: Output) -> Exit:
        if file.suffix.lower() not in _ENDINGS:
            message = tell("{name} must end in .pptx, .pdf or .zip", name=file.name)
            raise WrongUsageError(message)
        async with reach(manner.server, manner.token, output) as reached:
            made = await (await reached.client.get(batch_id)).export(file)
        output.put_json({"path": str(made.path), "missing": made.missing})
        output.say(str(made.path))
        note_missing(output, made.missing)
        return Exit.OK

    return run_command(manner, work)


def note_missing(output: Output, pages: tuple[int, ...]) -> None:
    """Say which pages an export does not have."""
    if pages:
        named = ", ".join(map(str, pages))
        one = "Without page {pages}, which has no picture."
        many = "Without pages {pages}, which have no picture."
        output.note(tell_count(len(pages), one, many, pages=named))


def to_line(event: Event) -> dict[str, object]:
    """An event as it comes over WebSocket."""
    if isinstance(event, BatchEvent):
        return {"id": event.id, "event": event.name, "data": event.batch}
    data = {"batch_id": event.batch_id, **msgspec.to_builtins(event.slide)}
    if event.retry_reason is not None:
        data |= {"retry_reason": event.retry_reason, "retry_in": event.retry_in}
    return {"id": event.id, "event": event.name, "data": data}


def _tell_next(after: BatchStatus) -> str:
    """What a retry leaves to be done."""
    if after.status not in FINAL:
        return tell("Watch it: slideloom watch {batch_id}", batch_id=after.batch_id)
    if after.successful == after.total_slides:
        return tell("Nothing to make again: every slide is done.")
    return tell("Nothing to make again: what was named is done.")


def _put_status(output: Output, status: BatchStatus) -> None:
    output.put_json(status)
    put_slides(output, status)
    output.say(summarise(status))
    note_failures(output, status)
