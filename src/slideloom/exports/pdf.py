"""A deck as a PDF: one picture a page, put in as it is, without loss."""

from collections.abc import Sequence

import img2pdf

from slideloom.domain.album import Album, to_paper_size
from slideloom.stores.pictures import to_plain_picture


def build_pdf(album: Album, pictures: Sequence[bytes]) -> bytes:
    """The file, made of the album's pictures; blocking.

    Raises:
        NotAPicture: one cannot be decoded.
    """
    size = to_paper_size(album.ratio)
    paper = img2pdf.in_to_pt(size.width_in), img2pdf.in_to_pt(size.height_in)
    layout = img2pdf.get_layout_fun(pagesize=paper, fit=img2pdf.FitMode.into)
    body: bytes = img2pdf.convert(
        [to_plain_picture(picture) for picture in pictures],
        layout_fun=layout,
        title=album.title or None,
        rotation=img2pdf.Rotation.ifvalid,
    )
    return body
