"""Who is called for pictures."""

from collections.abc import Sequence
from hashlib import sha256
from urllib.parse import urlsplit

from slideloom.engine.lane import Lane
from slideloom.engine.shared_lane import SharedLane
from slideloom.logs import Log
from slideloom.providers.base import Provider
from slideloom.providers.network import open_network
from slideloom.settings import Settings
from slideloom.stores.shared_base import LaneBoard


def open_lanes(settings: Settings, log: Log, *, board: LaneBoard | None) -> list[Lane]:
    """One for each key, shared through `board` if there is one. Be on the running loop.

    Raises:
        SettingsError: the provider's base is no web address.
    """
    providers, start = open_providers(settings), settings.lane_start
    if board is None or not providers[0].bills:  # the renderer is this machine's own
        return [Lane(provider, start=start) for provider in providers]
    return [
        SharedLane(provider, start=start, board=board, name=name_lane(settings, key), log=log)
        for provider, key in zip(providers, settings.image_keys, strict=True)
    ]


def name_lane(settings: Settings, key: str) -> str:
    """The same for all who call the same model at the same place with the same key, which it hides.

    Model and place can be read in it, so that an operator finds the lane.
    """
    place = urlsplit(settings.image_base).netloc
    facts = (settings.llm_image_api, settings.image_base, settings.llm_image_path, key)
    digest = sha256("\n".join((*facts, settings.llm_image_model)).encode()).hexdigest()
    return f"{place}:{settings.llm_image_model}:{digest}"


def open_providers(settings: Settings) -> Sequence[Provider]:
    """One for each key; without a key the embedded renderer. Be on the running loop.

    Raises:
        SettingsError: the provider's base is no web address.
    """
    if settings.llm_image_api == "local" or not settings.image_keys:
        from slideloom.providers.local import LocalProvider  # noqa: PLC0415 - typst is 80 MB

        return [LocalProvider()]
    return open_network(
        api=settings.llm_image_api,
        base_url=settings.image_base,
        keys=settings.image_keys,
        model=settings.llm_image_model,
        path=settings.llm_image_path or None,
    )
