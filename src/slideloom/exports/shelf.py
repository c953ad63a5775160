"""A deck's pictures as the programs that will show them need them."""

import tempfile
from collections.abc import Callable, Iterator
from typing import IO, Self

from slideloom.domain.images import PictureFacts
from slideloom.stores.pictures import to_plain_picture

_PIECE_BYTES = 256 * 1024


class Shelf:
    """Pictures as every program knows them, by name; blocking.

    Only one is ever in memory. Those that had to be changed lie in a file without a name, which
    is gone with the shelf, or with the process.
    """

    def __init__(self, read_pieces: Callable[[str], Iterator[bytes]]) -> None:
        """Take what reads a picture's bytes, by its name in the image store."""
        self._read_pieces = read_pieces
        self._changed: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - see `__exit__`
        self._places: dict[str, int] = {}
        """Where in the file the changed ones begin."""
        self._facts: dict[str, PictureFacts] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._changed.close()

    def put(self, name: str) -> None:
        """Look at a picture, and change it if need be.

        Raises:
            NotAPicture: it cannot be shown.
            StoreError: it cannot be read.
        """
        data = b"".join(self._read_pieces(name))
        facts, plain = to_plain_picture(data)
        if plain is not data:
            self._places[name] = self._changed.seek(0, 2)
            self._changed.write(plain)
        self._facts[name] = facts

    def look(self, name: str) -> PictureFacts:
        """What a picture that was put here is, upright."""
        return self._facts[name]

    def read(self, name: str) -> Iterator[bytes]:
        """Its bytes, piece by piece.

        Raises:
            StoreError: it cannot be read any more.
        """
        return self._read_changed(name) if name in self._places else self._read_pieces(name)

    def _read_changed(self, name: str) -> Iterator[bytes]:
        self._changed.seek(self._places[name])
        left_bytes = self._facts[name].size_bytes
        while left_bytes > 0:
            piece = self._changed.read(min(left_bytes, _PIECE_BYTES))
            left_bytes -= len(piece)
            yield piece
