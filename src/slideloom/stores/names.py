"""The names of what image stores keep: made by us alone, so that none leads astray."""

import hashlib
import io
import re
from typing import Final

from slideloom.domain.images import inspect_picture
from slideloom.errors import StoreError

PICTURE_NAME: Final = re.compile(r"slide_(?:[0-9]{3,}_)?[0-9a-f]{32}\.(?:png|jpg|webp)")
"""What drafts are kept as; whatever else lies beside them is none of ours."""
REFERENCE_NAME: Final = re.compile(r"ref_[0-9a-f]{64}\.(?:png|jpg|webp)")
REFERENCES: Final = ".references"
"""The folder of style references, hidden in the pictures' own, so never served."""
THUMBNAILS: Final = ".thumbnails"
"""The folder of small copies, likewise."""


def check_name(pattern: re.Pattern[str], name: str) -> None:
    """Keep every path of ours within its folder.

    Raises:
        StoreError: `name` is none of ours.
    """
    if pattern.fullmatch(name) is None:
        message = f"no picture of ours is named {name[:80]!r}"
        raise StoreError(message)


def name_reference(data: bytes) -> str:
    """The name of a style reference, the same for the same bytes.

    Raises:
        NotAPicture: it is not a whole picture.
    """
    facts = inspect_picture(io.BytesIO(data))
    return f"ref_{hashlib.sha256(data).hexdigest()}.{facts.type}"


def name_thumbnail(name: str, width_px: int) -> str:
    """The name of a picture's copy of that width."""
    return f"{name}.{width_px}.webp"
