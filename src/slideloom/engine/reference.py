"""The picture whose style a batch's slides are to have."""

from slideloom.domain.events import BatchOrder
from slideloom.domain.images import NotAPicture
from slideloom.errors import StoreError
from slideloom.logs import Log
from slideloom.providers.base import Reference
from slideloom.stores.image_base import ImageStore


async def find_reference(
    images: ImageStore, order: BatchOrder, made: str | None, *, log: Log
) -> Reference | None:
    """The picture that goes along with an order's calls; `None` when there is none to be had.

    It is the one that was sent, or `made`, the image of the slide that the others follow.
    """
    sent = order.reference_file
    if sent is None and made is None:
        return None
    try:
        if sent is not None:
            body = await images.read_reference(sent)
        else:
            body = await images.read_as_reference(made or "")
    except (NotAPicture, StoreError) as error:
        name, session_id = sent or made, order.session_id
        log.error("reference_unusable", session_id=session_id, name=name, exc_info=error)
        return None
    return Reference(media_type="image/jpeg", body=body)
