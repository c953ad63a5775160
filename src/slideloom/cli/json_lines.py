"""JSON on stdout, one object a line."""

import sys

import msgspec


def put(value: object) -> None:
    """Print one object."""
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
    sys.stdout.flush()


def put_error(code: str, detail: str, **facts: object) -> None:
    """Print what went wrong: whoever wants JSON gets an object in any case."""
    put({"error": {"code": code, "detail": detail, **facts}})
