"""A deck as a PowerPoint file: one picture a page, its title as alt text, its text as notes."""

import io
import re
import zipfile
from collections.abc import Mapping
from typing import IO, Final

from PIL import Image
from pptx import Presentation
from pptx.presentation import Presentation as DeckFile
from pptx.util import Inches, Length

from slideloom.domain.album import Album, AlbumPage, to_paper_size
from slideloom.domain.images import PictureType
from slideloom.exports.shelf import Shelf

_BLANK_LAYOUT = 6
"""Of the library's own template: no placeholders."""
_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that no XML file may hold."""
_STAND_IN_TYPES: Final[Mapping[PictureType, str]] = {"png": "PNG", "jpg": "JPEG"}
"""What the shelf has."""


def write_pptx(album: Album, shelf: Shelf, file: IO[bytes]) -> None:
    """Write the file, made of the album's pages and their pictures on the shelf; blocking.

    The library keeps all pictures in memory, and deflates what does not get smaller: so it
    makes a deck of stand-ins, whose places the pictures take on the way to the disk.
    """
    stand_ins = {
        page.image: _make_stand_in(number, shelf.look(page.image).type)
        for number, page in enumerate(album.pages)
    }
    names = {stand_in: name for name, stand_in in stand_ins.items()}
    with (
        zipfile.ZipFile(_build(album, shelf, stand_ins)) as built,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as deck,
    ):
        for entry in built.infolist():
            content = built.read(entry)
            if content in names:
                _store(deck, entry.filename, shelf, names[content])
            else:
                deck.writestr(entry, content)


def _make_stand_in(number: int, kind: PictureType) -> bytes:
    """A picture of that type, unlike all others: of like ones the library keeps one."""
    buffer = io.BytesIO()
    Image.new("L", (1, 1)).save(buffer, _STAND_IN_TYPES[kind])
    return buffer.getvalue() + f"stands for picture {number}".encode()


def _store(deck: zipfile.ZipFile, entry_name: str, shelf: Shelf, name: str) -> None:
    """Put a picture into the deck as it is: pictures do not get smaller."""
    entry = zipfile.ZipInfo(entry_name)
    entry.file_size = shelf.look(name).size_bytes
    with deck.open(entry, "w") as stored:
        for piece in shelf.read(name):
            stored.write(piece)


def _build(album: Album, shelf: Shelf, stand_ins: Mapping[str, bytes]) -> IO[bytes]:
    deck = Presentation()
    size = to_paper_size(album.ratio)
    deck.slide_width, deck.slide_height = Inches(size.width_in), Inches(size.height_in)
    deck.core_properties.title = _to_xml_text(album.title)[:255]
    for page in album.pages:
        facts = shelf.look(page.image)
        box = size.fit(width_px=facts.width_px, height_px=facts.height_px)
        _add_page(deck, page, stand_ins[page.image], box=tuple(map(Inches, box)))
    built = io.BytesIO()
    deck.save(built)
    return built


def _add_page(deck: DeckFile, page: AlbumPage, picture: bytes, *, box: tuple[Length, ...]) -> None:
    slide = deck.slides.add_slide(deck.slide_layouts[_BLANK_LAYOUT])
    shape = slide.shapes.add_picture(io.BytesIO(picture), *box)
    title = _to_xml_text(page.title)
    shape._element.nvPicPr.cNvPr.set("descr", title)  # noqa: SLF001 - the library has no other way
    notes = _to_xml_text("\n\n".join(text for text in (page.title, page.notes) if text))
    if notes:
        slide.notes_slide.notes_text_frame.text = notes


def _to_xml_text(text: str) -> str:
    return _NO_XML.sub("", text)
