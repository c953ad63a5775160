"""`slideloom generate`: from a deck file to pictures in a folder, in one command."""

import asyncio
import shlex
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from cyclopts import Parameter
from msgspec import Struct
from msgspec.structs import replace

from slideloom.cli.batches import note_missing
from slideloom.cli.exits import Exit, exit_for
from slideloom.cli.folder import (
    EMBEDDED,
    HOME_NAME,
    FolderState,
    is_complete,
    plan_order,
    save_state,
)
from slideloom.cli.options import COST_USD, SECONDS, SLIDES_AT_ONCE, check_ratio
from slideloom.cli.output import Manner, Output, printable
from slideloom.cli.progress import reporting
from slideloom.cli.reach import Reached, Unreached, find_token, is_near, reach, reach_or_embed
from slideloom.cli.run import WrongUsageError, run_command
from slideloom.cli.saving import saving
from slideloom.cli.tables import (
    format_cost,
    format_seconds,
    note_failures,
    put_slides,
    summarise,
)
from slideloom.cli.watching import follow, retry_since
from slideloom.cli.words import join_facts, tell, tell_count
from slideloom.client import (
    AsyncBatch,
    BatchStatus,
    Estimate,
    Event,
    NotFound,
    WaitTimeout,
    load_deck,
)

_KINDS = ("pptx", "pdf", "zip")
_SHORT = "budget_exceeded"
"""Code of slides that a budget, or the day's limit, kept from being made."""


class Wish(Struct, frozen=True, kw_only=True):
    """What is wanted of one run."""

    deck: Path
    folder: Path
    body: Mapping[str, object]
    """Of `batch/generate`."""
    kinds: tuple[str, ...]
    """Files to make of the deck at the end."""
    retry: bool
    thumbnails: Literal["auto", "on", "off"]
    dry_run: bool
    timeout_s: float | None


def generate(  # noqa: PLR0913 - one parameter an option
    deck: Annotated[Path, Parameter(name="DECK", help="JSON, or Markdown: # begins a slide.")],
    /,
    *,
    output: Annotated[
        Path | None,
        Parameter(name=("--output", "-o"), help="Folder of the pictures; default the deck's name."),
    ] = None,
    style: Annotated[str | None, Parameter(help="Style of all pages.")] = None,
    ratio: Annotated[
        str | None, Parameter(help="Aspect ratio W:H; default 16:9.", validator=check_ratio)
    ] = None,
    workers: Annotated[
        int | None, Parameter(help="Slides under way at once.", validator=SLIDES_AT_ONCE)
    ] = None,
    model: Annotated[str | None, Parameter(help="Another image model.")] = None,
    max_cost: Annotated[
        float | None, Parameter(help="The most it may cost, in dollars.", validator=COST_USD)
    ] = None,
    no_cache: Annotated[
        bool, Parameter(negative=(), help="Make every slide anew; may pay again.")
    ] = False,
    retry: Annotated[
        bool, Parameter(negative=(), help="Make failed slides of an earlier run again.")
    ] = False,
    pptx: Annotated[bool, Parameter(negative=(), help="Make a PowerPoint file too.")] = False,
    pdf: Annotated[bool, Parameter(negative=(), help="Make a PDF too.")] = False,
    zip_: Annotated[bool, Parameter(name="--zip", negative=(), help="Make a ZIP too.")] = False,
    thumbnails: Annotated[
        Literal["auto", "on", "off"], Parameter(help="Small pictures in the terminal at the end.")
    ] = "auto",
    dry_run: Annotated[
        bool, Parameter(negative=(), help="Say what it would cost, and stop; nothing is paid.")
    ] = False,
    timeout: Annotated[
        float | None,
        Parameter(help="Seconds to wait at most; then exit code 5.", validator=SECONDS),
    ] = None,
    manner: Manner = Manner(),  # noqa: B008 - a frozen record of defaults
) -> Exit:
    """Make all pictures of a deck; run again, it goes on where it was and pays nothing twice."""
    options = {
        "style_prompt": style,
        "aspect_ratio": ratio,
        "max_workers": workers,
        "model": model,
        "max_cost_usd": max_cost,
        "cache": False if no_cache else None,
    }
    wanted = zip(_KINDS, (pptx, pdf, zip_), strict=True)

    async def work(out: Output) -> Exit:
        chosen = {name: value for name, value in options.items() if value is not None}
        wish = Wish(
            deck=deck,
            folder=output or Path(deck.stem),
            body={**load_deck(deck), **chosen},
            kinds=tuple(kind for kind, is_wanted in wanted if is_wanted),
            retry=retry,
            thumbnails=thumbnails,
            dry_run=dry_run,
            timeout_s=timeout,
        )
        return await _make(wish, manner, out)

    return run_command(manner, work)


async def _make(wish: Wish, manner: Manner, output: Output) -> Exit:
    body = msgspec.json.encode(wish.body, order="deterministic")
    state, is_embedded = plan_order(wish.folder, body), False
    if not wish.dry_run and state.batch_id is None:
        _try_folder(wish.folder)
    try:
        async with _reach(wish, manner, state, output) as reached:
            is_embedded = reached.is_embedded
            return await _make_at(reached, wish, state, output)
    except (asyncio.CancelledError, WaitTimeout):
        if output.batch_id is not None:  # a service of our own has stopped by now
            _note_cut_off(output.batch_id, output, is_embedded=is_embedded)
        raise
    except Unreached:
        if manner.server is None and not wish.kinds and is_complete(wish.folder, state):
            return _tell_complete(wish, state, output)
        raise


def _try_folder(folder: Path) -> None:
    """Look whether pictures can be saved there, before anything is paid; a new one is taken away.

    Raises:
        WrongUsageError: they cannot.
    """
    is_new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
        if is_new:
            folder.rmdir()
    except OSError as error:
        text = "Pictures cannot be saved in {folder}: {reason}"
        raise WrongUsageError(tell(text, folder=folder, reason=error.strerror)) from error


async def _make_at(reached: Reached, wish: Wish, state: FolderState, output: Output) -> Exit:
    """Order the deck, or find its order again; save all, hand over."""
    if wish.dry_run:
        estimate = await reached.client.estimate(wish.body)
        output.put_json(estimate)
        output.say(_describe(estimate))
        return Exit.OK
    state = replace(state, server=EMBEDDED if reached.is_embedded else reached.url)
    batch, since = await _find(reached, state.batch_id), None
    if batch is not None:
        since = await _go_on(wish, batch, output)
    elif is_complete(wish.folder, state):
        return _tell_complete(wish, state, output)
    else:
        batch = await _order(wish, reached, state, output)
    output.batch_id = batch.id
    status = await _follow(wish, batch, since, output)
    pictures = await batch.save_all(wish.folder)
    if not status.failed:
        sizes = {path.name: path.stat().st_size for path in pictures}
        save_state(wish.folder, replace(state, batch_id=batch.id, pictures=sizes))
    return await _hand_over(wish, batch, status, pictures, output)


@asynccontextmanager
async def _reach(
    wish: Wish, manner: Manner, state: FolderState, output: Output
) -> AsyncIterator[Reached]:
    """The service that made the deck before, if one did: another one would be paid anew."""
    server = manner.server or state.server
    home, is_embedded = wish.folder / HOME_NAME, server == EMBEDDED
    token = find_token(manner.token)
    if token and server not in {"", EMBEDDED, manner.server} and not is_near(server):
        # Whoever made the folder would get the token of whoever goes on with it.
        token = ""
        text = "No token for {url}, which only this folder names; --server {url} allows it."
        output.note(tell(text, url=printable(server)))
    with tempfile.TemporaryDirectory() as scratch:
        if wish.dry_run and not home.exists():
            home = Path(scratch)  # nothing is to stay of it
        way = (
            reach_or_embed(home=home, is_embedded=is_embedded, token=token, output=output)
            if server in {"", EMBEDDED}
            else reach(server, token, output)
        )
        async with way as reached:
            yield reached


async def _find(reached: Reached, batch_id: str | None) -> AsyncBatch | None:
    """The batch of an earlier run, where it is still there."""
    try:
        return None if batch_id is None else await reached.client.get(batch_id)
    except NotFound:
        return None


async def _go_on(wish: Wish, batch: AsyncBatch, output: Output) -> BatchStatus:
    """Leave it as it is, unless failed slides are wanted once more: that may be paid.

    The status from which on it is to be followed.
    """
    text = "The same deck as before: going on with batch {batch_id}."
    output.note(tell(text, batch_id=batch.id))
    status = await batch.status()
    return await retry_since(batch) if wish.retry and status.failed else status


async def _order(wish: Wish, reached: Reached, state: FolderState, output: Output) -> AsyncBatch:
    """The batch, ordered; first its key is kept, by which a crash here is made good."""
    output.note(_describe(await reached.client.estimate(wish.body)))
    state = replace(state, batch_id=None, pictures=None)
    save_state(wish.folder, state)
    batch = await reached.client.submit(wish.body, idempotency_key=state.key)
    save_state(wish.folder, replace(state, batch_id=batch.id))
    return batch


def _tell_complete(wish: Wish, state: FolderState, output: Output) -> Exit:
    """Say that all is there, though the service has forgotten the batch."""
    pictures = [str(wish.folder / name) for name in state.pictures or {}]
    output.put_json({"batch_id": state.batch_id, "status": "completed", "pictures": pictures})
    output.say(_tell_pictures(len(pictures), wish.folder))
    return Exit.OK


async def _follow(
    wish: Wish, batch: AsyncBatch, since: BatchStatus | None, output: Output
) -> BatchStatus:
    """Show and save what comes, until the end."""
    with reporting(output, since or await batch.status()) as reporter:
        async with saving(batch, wish.folder) as saver:

            def take(event: Event) -> None:
                reporter.take(event)
                saver.take(event)

            return await follow(batch, take, timeout_s=wish.timeout_s, since=since)


async def _hand_over(
    wish: Wish,
    batch: AsyncBatch,
    status: BatchStatus,
    pictures: Sequence[Path],
    output: Output,
) -> Exit:
    """Make the files that are wanted, and say what there is."""
    files = []
    for kind in wish.kinds if pictures else ():
        made = await batch.export(wish.folder / f"{wish.deck.stem}.{kind}")
        files.append(made.path)
        note_missing(output, made.missing)
    output.put_json(
        {
            **msgspec.to_builtins(status),
            "folder": str(wish.folder),
            "pictures": [str(path) for path in pictures],
            "files": [str(path) for path in files],
        }
    )
    put_slides(output, status)
    await _show_thumbnails(wish, pictures, output)
    output.say(summarise(status))
    output.say(_tell_pictures(len(pictures), wish.folder), *map(str, files))
    note_failures(output, status)
    if _may_retry(status):
        output.note(tell("Make the failed slides again with:"), f"  {_same_command('--retry')}")
    return exit_for(status)


def _may_retry(status: BatchStatus) -> bool:
    """Whether a retry now may help: not where money alone was short, and that stays so."""
    return any(slide.status == "error" and slide.error_code != _SHORT for slide in status.results)


def _tell_pictures(count: int, folder: Path) -> str:
    one, many = "1 picture is in {folder}", "{count} pictures are in {folder}"
    return tell_count(count, one, many, folder=folder)


async def _show_thumbnails(wish: Wish, pictures: Sequence[Path], output: Output) -> None:
    """Draw the deck small, where the terminal can and nobody minds."""
    if wish.thumbnails == "off" or not pictures or output.is_quiet or output.is_json:
        return
    from slideloom.cli.thumbnails import find_way, show_sheet  # noqa: PLC0415 - Pillow

    way = find_way(output.err) or ("blocks" if wish.thumbnails == "on" else None)
    if way is not None:
        await asyncio.to_thread(show_sheet, output.err, pictures, way)


def _note_cut_off(batch_id: str, output: Output, *, is_embedded: bool) -> None:
    if is_embedded:
        output.note(tell("Stopped. What is made is kept; go on with:"))
    else:
        text = "Detached: batch {batch_id} goes on. Come back to it with:"
        output.note(tell(text, batch_id=batch_id))
    output.note(f"  {_same_command()}")


def _same_command(*more: str) -> str:
    """What was typed, and more; nothing twice."""
    typed = _without_token(sys.argv[1:])
    return printable(shlex.join(["slideloom", *typed, *(s for s in more if s not in typed)]))


def _without_token(typed: Sequence[str]) -> list[str]:
    """What was typed, but for the token: what is printed is copied, and kept."""
    pairs = zip(("", *typed), typed, strict=False)
    return [
        word
        for before, word in pairs
        if before != "--token" and word.partition("=")[0] != "--token"
    ]


def _describe(estimate: Estimate) -> str:
    low, high = estimate.cost_usd_low, estimate.cost_usd_high
    if (not high and not estimate.calls) or high == 0:
        cost = tell("nothing to pay")
    elif low is None or high is None:
        cost = tell("cost unknown")
    else:
        cost = format_cost(low) if low == high else f"{format_cost(low)} – {format_cost(high)}"
    one = "1 slide from {provider} ({model})"
    many = "{count} slides from {provider} ({model})"
    names = {"provider": estimate.provider, "model": estimate.model}
    facts = [tell_count(estimate.total_slides, one, many, **names)]
    if estimate.cache_hits:
        facts.append(tell("{count} from the cache", count=estimate.cache_hits))
    about = tell("about {time}", time=format_seconds(estimate.seconds))
    return join_facts([*facts, cost, about])
