"""A provider's base address, and whose it is."""

from slideloom.errors import SettingsError


def read_base_url(text: str) -> str:
    """A provider's base address, without a slash at its end.

    Raises:
        SettingsError: it is no web address.
    """
    base = text.strip().rstrip("/")
    scheme, _, rest = base.partition("://")
    if scheme not in {"http", "https"} or not rest or any(sign in rest for sign in "@?# "):
        message = f"not a provider's base address: {base[:100]!r}"
        raise SettingsError(message)
    return base


def read_host(base_url: str) -> str:
    """The host of a base address, in lower case."""
    place = read_place(base_url).lower()
    return place.partition("]")[0].lstrip("[") if place.startswith("[") else place.split(":")[0]


def read_place(base_url: str) -> str:
    """Host and, where it is told, port of a base address."""
    return base_url.partition("://")[2].partition("/")[0]


def is_openrouter(base_url: str) -> bool:
    """Whether it is OpenRouter's."""
    return _is_within(read_host(base_url), "openrouter.ai")


def is_google(base_url: str) -> bool:
    """Whether it is Google's own API, and not its imitation of OpenAI's.

    Source: `…/v1beta/openai` takes `/images/generations` and `/chat/completions`.
    """
    return _is_within(read_host(base_url), "googleapis.com") and not base_url.endswith("/openai")


def _is_within(host: str, domain: str) -> bool:
    return host == domain or host.endswith("." + domain)
