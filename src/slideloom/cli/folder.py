"""A deck's folder: what `generate` remembers there, so that a second run goes on."""

import hashlib
import os
import secrets
import tempfile
from pathlib import Path

import msgspec
from msgspec import Struct

from slideloom.client.errors import NOT_JSON

STATE_NAME = ".slideloom.json"
HOME_NAME = ".slideloom"
"""Folder of the service that is started when none is running."""
EMBEDDED = "embedded"
"""Where an order is when that service took it."""


class FolderState(Struct, frozen=True, kw_only=True):
    """What was ordered for this folder last."""

    key: str
    """The Idempotency-Key: made of the deck, its options and the nonce."""
    server: str = ""
    """Where it was ordered, `EMBEDDED` included; empty: nowhere yet."""
    batch_id: str | None = None
    """`None` while no answer has come: the key finds it again."""
    nonce: str = ""
    """Tells this folder's orders from those of others."""
    pictures: dict[str, int] | None = None
    """Names and sizes in bytes, once every slide is done."""


def load_state(folder: Path) -> FolderState | None:
    """What was ordered for `folder`; nothing where that cannot be read."""
    try:
        return msgspec.json.decode((folder / STATE_NAME).read_bytes(), type=FolderState)
    except (OSError, *NOT_JSON):
        return None


def save_state(folder: Path, state: FolderState) -> None:
    """Keep it, whole or not at all: an order must be found again, whatever happens.

    Raises:
        OSError: the disk does not take it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    number, name = tempfile.mkstemp(prefix=STATE_NAME, dir=folder)
    with os.fdopen(number, "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(state)) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    Path(name).replace(folder / STATE_NAME)


def to_key(body: bytes, *, nonce: str) -> str:
    """The key of an order: in one folder, the same deck with the same options has the same."""
    return f"cli-{hashlib.sha256(nonce.encode() + b':' + body).hexdigest()}"


def plan_order(folder: Path, body: bytes) -> FolderState:
    """The order that was begun in `folder`, if it is the same one, else a new one.

    Each folder has an order of its own: what another one paid for comes from the cache,
    unless the service has another model by now.
    """
    known = load_state(folder)
    if known is not None and known.key == to_key(body, nonce=known.nonce):
        return known
    nonce = secrets.token_hex(8)
    return FolderState(key=to_key(body, nonce=nonce), nonce=nonce)


def is_complete(folder: Path, state: FolderState) -> bool:
    """Whether every picture that was ordered lies there whole."""
    sizes = state.pictures or {}
    return bool(sizes) and all(
        path.is_file() and path.stat().st_size == size
        for path, size in ((folder / name, size) for name, size in sizes.items())
    )
