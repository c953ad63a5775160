"""One provider, opened as the service opens it."""

from typing import Any

from slideloom.providers.call import NetworkProvider
from slideloom.providers.network import Api, open_network


def open_provider(api: Api, *, key: str, **facts: Any) -> NetworkProvider:
    """The provider of one key; `facts` are those of `open_network`. Be on the running loop."""
    (provider,) = open_network(api=api, keys=(key,), **facts)
    return provider
