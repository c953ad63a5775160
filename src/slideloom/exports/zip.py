"""A deck as a ZIP of its pictures, made while it is sent."""

from collections.abc import Callable, Generator, Iterator, Sequence

from zipstream import ZIP_STORED, ZipStream

from slideloom.domain.album import Album, name_files


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
    names = name_files((page.page_num, page.image) for page in album.pages)
    for page, name, size in zip(album.pages, names, sizes, strict=True):
        stream.add(read_pieces(page.image), name, size=size)
    return len(stream), iter(stream)
