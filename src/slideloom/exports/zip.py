"""A deck as a ZIP of its pictures, made while it is sent."""

from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence

from zipstream import ZIP_STORED, ZipStream

from slideloom.domain.album import Album, AlbumPage


def stream_zip(
    album: Album, sizes: Sequence[int], read_pieces: Callable[[str], Iterator[bytes]]
) -> tuple[int, Generator[bytes]]:
    """The file's length in bytes, and its pieces; reading them blocks on the disk.

    Args:
        album: its pages become `slide_001.png` and so on, by page number.
        sizes: of its pictures, in bytes: they are stored as they are.
        read_pieces: a picture's bytes, by its name in the image store.
    """
    stream = ZipStream(compress_type=ZIP_STORED, sized=True)
    for page, name, size in zip(album.pages, _names(album.pages), sizes, strict=True):
        stream.add(read_pieces(page.image), name, size=size)
    return len(stream), iter(stream)


def _names(pages: Sequence[AlbumPage]) -> Iterator[str]:
    """What the pictures are called: never by anything a user sent."""
    seen: Counter[int] = Counter()
    for page in pages:
        seen[page.page_num] += 1
        repeat = f"_{seen[page.page_num]}" if seen[page.page_num] > 1 else ""
        yield f"slide_{page.page_num:03d}{repeat}.{page.image.rpartition('.')[2]}"
