"""One page of a deck, as it was ordered."""

from typing import Literal

from msgspec import Struct

SlideKind = Literal["cover", "content", "ending"]


class Slide(Struct, frozen=True, kw_only=True):
    """One page of a deck, every default filled in."""

    id: str
    """The user's own name for it, unique in the batch; never used in a path."""
    page_num: int
    """1-based; may repeat."""
    type: SlideKind
    title: str
    content_text: str
    visual_desc: str
