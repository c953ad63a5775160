"""A deck as a PDF: one picture a page, put in as it is, without loss."""

from typing import IO

import img2pdf
from msgspec import Struct

from slideloom.domain.album import Album, to_paper_size
from slideloom.exports.shelf import Shelf


def write_pdf(album: Album, shelf: Shelf, file: IO[bytes]) -> None:
    """Write the file, made of the album's pictures on the shelf; blocking.

    The pictures' bytes are in memory until it is written: the library keeps them.
    """
    size = to_paper_size(album.ratio)
    paper = img2pdf.in_to_pt(size.width_in), img2pdf.in_to_pt(size.height_in)
    img2pdf.convert(
        [_Picture(shelf, page.image) for page in album.pages],
        outputstream=file,
        engine=img2pdf.Engine.internal,  # the other one lets no other thread run while it writes
        layout_fun=img2pdf.get_layout_fun(pagesize=paper, fit=img2pdf.FitMode.into),
        title=album.title or None,
        rotation=img2pdf.Rotation.none,  # the shelf's are upright; turning would turn the page
        first_frame_only=True,  # more would be more pages
    )


class _Picture(Struct, frozen=True):
    """Read when its turn comes."""

    shelf: Shelf
    name: str

    def read(self) -> bytes:
        return b"".join(self.shelf.read(self.name))
