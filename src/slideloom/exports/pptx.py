"""A deck as a PowerPoint file: one picture a page, its title as alt text, its text as notes."""

import io
import re
from collections.abc import Sequence

from pptx import Presentation
from pptx.presentation import Presentation as DeckFile
from pptx.util import Inches, Length

from slideloom.domain.album import Album, AlbumPage, to_paper_size
from slideloom.domain.images import inspect_picture
from slideloom.stores.pictures import to_plain_picture

_BLANK_LAYOUT = 6
"""Of the library's own template: no placeholders."""
_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that no XML file may hold."""


def build_pptx(album: Album, pictures: Sequence[bytes]) -> bytes:
    """The file, made of the album's pages and their pictures; blocking.

    Raises:
        NotAPicture: one cannot be decoded.
    """
    deck = Presentation()
    size = to_paper_size(album.ratio)
    deck.slide_width, deck.slide_height = Inches(size.width_in), Inches(size.height_in)
    deck.core_properties.title = _to_xml_text(album.title)[:255]
    for page, picture in zip(album.pages, pictures, strict=True):
        facts = inspect_picture(io.BytesIO(picture))
        box = size.fit(width_px=facts.width_px, height_px=facts.height_px)
        _add_page(deck, page, picture, box=tuple(map(Inches, box)))
    file = io.BytesIO()
    deck.save(file)
    return file.getvalue()


def _add_page(deck: DeckFile, page: AlbumPage, picture: bytes, *, box: tuple[Length, ...]) -> None:
    slide = deck.slides.add_slide(deck.slide_layouts[_BLANK_LAYOUT])
    shape = slide.shapes.add_picture(io.BytesIO(to_plain_picture(picture)), *box)
    title = _to_xml_text(page.title)
    shape._element.nvPicPr.cNvPr.set("descr", title)  # noqa: SLF001 - the library has no other way
    notes = _to_xml_text("\n\n".join(text for text in (page.title, page.notes) if text))
    if notes:
        slide.notes_slide.notes_text_frame.text = notes


def _to_xml_text(text: str) -> str:
    return _NO_XML.sub("", text)
