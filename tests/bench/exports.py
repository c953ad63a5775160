"""`python -m tests.bench.exports [rounds]`: decks taken home, beside the plain way and a bare copy.

Each kind of file out of the same pictures on the disk: by the exporter, read to its end; by the
plain loop over the library, in memory; and the pictures' bytes copied into one temporary file.
All take turns in one run; each ratio is within one round.
"""

import asyncio
import io
import statistics
import sys
import tempfile
import time
import uuid
import zipfile
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import img2pdf
from msgspec import Struct
from pptx import Presentation

from slideloom.domain.album import Album, AlbumPage
from slideloom.domain.ratio import Ratio
from slideloom.exports.exporter import Exporter, MadeFile
from slideloom.stores.files import FileImageStore
from tests.support.upstream import Stamp
from tests.support.upstream.pictures import make_plate

_LOADS = ((30, 1), (30, 4), (200, 1))
"""Slides, and MiB of each one's picture: 1920x1080 pixels, JPEG."""
_MIB = 1024 * 1024
_ROUNDS = 3


class Turn(Struct, frozen=True):
    """Seconds of each contestant in one round."""

    ours_s: float
    plain_s: float
    copy_s: float


def copy_plainly(paths: list[Path]) -> None:
    """The floor: the bytes go through once."""
    with tempfile.TemporaryFile() as file:
        for path in paths:
            file.write(path.read_bytes())


def make_pptx_plainly(paths: list[Path]) -> None:
    """As its documentation shows it."""
    deck = Presentation()
    for number, path in enumerate(paths, 1):
        slide = deck.slides.add_slide(deck.slide_layouts[6])
        slide.shapes.add_picture(str(path), 0, 0, deck.slide_width, deck.slide_height)
        slide.notes_slide.notes_text_frame.text = f"Title {number}"
    deck.save(io.BytesIO())


def make_pdf_plainly(paths: list[Path]) -> None:
    """As its documentation shows it."""
    img2pdf.convert([str(path) for path in paths])


def make_zip_plainly(paths: list[Path]) -> None:
    """The standard library's, stored."""
    with zipfile.ZipFile(io.BytesIO(), "w") as packed:
        for path in paths:
            packed.write(path, path.name)


async def _time(make: Callable[[], Awaitable[MadeFile]]) -> float:
    began_s = time.perf_counter()
    made = await make()
    for _ in made.pieces:
        pass
    made.close()
    return time.perf_counter() - began_s


def _time_plain(make: Callable[[list[Path]], None], paths: list[Path]) -> float:
    began_s = time.perf_counter()
    make(paths)
    return time.perf_counter() - began_s


def keep_pictures(folder: Path, count: int, size_mib: int) -> Album:
    """A deck of that many pictures, each unlike the others."""
    plate = make_plate("image/jpeg", 1920, 1080, size_bytes=size_mib * _MIB, seed=1)
    pages = []
    for number in range(1, count + 1):
        name = f"slide_{number:03d}_{uuid.uuid4().hex}.jpg"
        (folder / name).write_bytes(plate.raw(Stamp(number, "0" * 16, "final")))
        pages.append(AlbumPage(image=name, page_num=number, title=f"Title {number}", notes=""))
    return Album(title="bench", ratio=Ratio(16, 9), pages=tuple(pages))


async def run_load(count: int, size_mib: int, rounds: int) -> dict[str, list[Turn]]:
    """The turns of each kind of file."""
    turns: dict[str, list[Turn]] = {"pptx": [], "pdf": [], "zip": []}
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        images = await FileImageStore.open(folder, min_free_mb=0)
        exporter = Exporter(images)
        album = keep_pictures(folder, count, size_mib)
        paths = [folder / page.image for page in album.pages]
        contestants = {
            "pptx": (exporter.make_pptx, make_pptx_plainly),
            "pdf": (exporter.make_pdf, make_pdf_plainly),
            "zip": (exporter.open_zip, make_zip_plainly),
        }
        for _ in range(rounds):
            for kind, (ours, plain) in contestants.items():
                ours_s = await _time(partial(ours, album))
                plain_s = _time_plain(plain, paths)
                turns[kind].append(Turn(ours_s, plain_s, _time_plain(copy_plainly, paths)))
        exporter.close()
        await images.close()
    return turns


def print_table(title: str, turns: dict[str, list[Turn]]) -> None:
    """Medians."""
    print(f"\n{title:26}  ours s  plain s   copy s  ours/plain  ours/copy")
    for kind, runs in turns.items():
        medians = [
            statistics.median(values)
            for values in zip(*((one.ours_s, one.plain_s, one.copy_s) for one in runs), strict=True)
        ]
        to_plain = statistics.median(one.ours_s / one.plain_s for one in runs)
        to_copy = statistics.median(one.ours_s / one.copy_s for one in runs)
        ours_s, plain_s, copy_s = medians
        print(
            f"{kind:26} {ours_s:7.3f} {plain_s:8.3f} {copy_s:8.3f} {to_plain:11.2f} {to_copy:10.2f}"
        )


async def main(rounds: int) -> None:
    """All loads."""
    for count, size_mib in _LOADS:
        turns = await run_load(count, size_mib, rounds)
        print_table(f"{count} slides of {size_mib} MiB", turns)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else _ROUNDS))
