"""Where the settings' values come from, and what is wrong with them.

Precedence: command line > environment > `.env` in the working folder > default.
"""

import difflib
import re
from collections.abc import Mapping
from pathlib import Path

import msgspec
from dotenv import dotenv_values
from msgspec import Struct

from slideloom.errors import SettingsError
from slideloom.settings.checks import LONG_KEY, check, find_doubts
from slideloom.settings.values import Settings

_OUR_PREFIXES = ("BATCH_", "LLM_")
"""Unknown names that begin so are most likely misspelt settings."""
_OLD_NAMES = {
    "LLM_TIMEOUT_SECONDS": "SLIDE_TIMEOUT_SECONDS",
    "AWS_ENDPOINT_URL_S3": "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT": "AWS_ENDPOINT_URL",
    "AWS_DEFAULT_REGION": "AWS_REGION",
}
"""The original service's names for settings of ours, and others' for AWS's; the new name wins."""
_SECRETS = (
    "API_TOKENS",
    "LLM_API_KEY",
    "LLM_IMAGE_API_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
)


def load_settings(
    environ: Mapping[str, str],
    *,
    env_file: Path | None = None,
    overrides: Mapping[str, str | None] | None = None,
) -> tuple[Settings, list[str]]:
    """Settings from the command line (`overrides`), `environ` and `env_file`.

    Returns:
        The settings, and warnings for the operator in words.

    Raises:
        SettingsError: a value is of the wrong kind, or asks for what is not there.
    """
    merged = {
        name: value
        for _, values in _read_sources(environ, env_file, overrides)
        for name, value in values.items()
    }
    for old, new in _OLD_NAMES.items():
        if old in merged:
            merged.setdefault(new, merged[old])
    known = {field.encode_name for field in msgspec.structs.fields(Settings)}
    try:
        settings = msgspec.convert(
            {name: value.strip() for name, value in merged.items() if name in known},
            Settings,
            strict=False,
        )
    except msgspec.ValidationError as error:
        raise SettingsError(_explain(error, merged)) from error
    check(settings)
    empty = [
        f"{name} is set, but holds no key"
        for name in ("LLM_IMAGE_API_KEY", "LLM_API_KEY")
        if name in merged and not merged[name].strip(", ")
    ]
    return settings, _misspelt(merged, known) + empty + find_doubts(settings)


class TracedSetting(Struct, frozen=True, kw_only=True):
    """One setting as it is in force, and who says so."""

    name: str
    value: object
    """A key is masked."""
    source: str
    """`default`, `.env`, `environment` or `command line`; with the old name where that was used."""


def trace_settings(
    environ: Mapping[str, str],
    *,
    env_file: Path | None = None,
    overrides: Mapping[str, str | None] | None = None,
) -> list[TracedSetting]:
    """Every setting with its value and where that comes from; arguments as `load_settings`.

    Raises:
        SettingsError: as `load_settings`.
    """
    settings, _ = load_settings(environ, env_file=env_file, overrides=overrides)
    source_of = {
        name: source
        for source, values in _read_sources(environ, env_file, overrides)
        for name in values
    }
    for old, new in _OLD_NAMES.items():
        if old in source_of:
            source_of.setdefault(new, f"{source_of[old]} ({old})")
    return [
        TracedSetting(
            name=field.encode_name,
            value=_mask(field.encode_name, getattr(settings, field.name)),
            source=source_of.get(field.encode_name, "default"),
        )
        for field in msgspec.structs.fields(Settings)
    ]


def _read_sources(
    environ: Mapping[str, str],
    env_file: Path | None,
    overrides: Mapping[str, str | None] | None,
) -> list[tuple[str, dict[str, str]]]:
    """What each source sets, the one that wins last."""
    from_file = _read_env_file(env_file) if env_file is not None and env_file.is_file() else {}
    sources = ((".env", from_file), ("environment", environ), ("command line", overrides or {}))
    # An empty value is how compose files and .env.example say "not set".
    return [
        (name, {key: value for key, value in values.items() if value and value.strip()})
        for name, values in sources
    ]


def _mask(name: str, value: object) -> object:
    """The value, unless it is a key (its last characters tell which) or an address with one."""
    if name in _SECRETS and value:
        keys = [key.strip() for key in str(value).split(",") if key.strip()]
        return ",".join(_mask_key(key, has_name=name == "API_TOKENS") for key in keys)
    if isinstance(value, str) and "://" in value:
        return re.sub(r"(?<=://)\S*@", "••••@", value)  # a password may hold any character
    return value


def _mask_key(key: str, *, has_name: bool) -> str:
    owner, colon, secret = key.partition(":") if has_name else ("", "", key)
    return f"{owner}{colon}••••{secret[-4:] if len(secret) >= LONG_KEY else ''}"


def _read_env_file(path: Path) -> dict[str, str | None]:
    try:
        return dotenv_values(path, encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"{path} is not UTF-8 text; save it as UTF-8"
        raise SettingsError(message) from error
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror}"
        raise SettingsError(message) from error


_CHOICES = {
    "LLM_IMAGE_API": "must be auto, images, chat, gemini or local",
    "ASPECT_FIX": "must be off, crop or pad",
    "RESUME_IN_FLIGHT": "must be fail or retry",
}
_PLAIN_WORDS = (
    (r"Expected `int`, got `str`", "must be a whole number"),
    (r"Expected `float( \| null)?`, got `str`", "must be a number"),
    (r"Expected `(?:int|float)(?: \| null)?` (>=?|<=?) (\S+)", r"must be \1 \2"),
)


def _explain(error: msgspec.ValidationError, merged: Mapping[str, str]) -> str:
    message, _, place = str(error).partition(" - at `$.")
    name = place.rstrip("`")
    message = _CHOICES.get(name, message)
    for theirs, ours in _PLAIN_WORDS:
        message = re.sub(theirs, ours, message)
    return f"{name}={merged.get(name, '')!r}: {message}" if name in merged else str(error)


def _misspelt(merged: Mapping[str, str], known: set[str]) -> list[str]:
    warnings = []
    for name in sorted(merged):
        if name.startswith(_OUR_PREFIXES) and name not in known | set(_OLD_NAMES):
            near = difflib.get_close_matches(name, known | set(_OLD_NAMES), n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            warnings.append(f"unknown setting {name}{hint}")
    return warnings
