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

    def lay_out(width_px: int, height_px: int, _: object) -> tuple[float, ...]:
        """By pixels alone: some pictures say that they have none an inch."""
        _, _, width_in, height_in = size.fit(width_px=width_px, height_px=height_px)
        sides = (size.width_in, size.height_in, width_in, height_in)
        return tuple(img2pdf.in_to_pt(side) for side in sides)

    img2pdf.convert(
        [_Picture(shelf, page.image) for page in album.pages],
        outputstream=file,
        engine=img2pdf.Engine.internal,  # the other one lets no other thread run while it writes
        layout_fun=lay_out,
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
