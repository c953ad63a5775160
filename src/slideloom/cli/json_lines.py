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


def put_interrupted(**facts: object) -> None:
    """Print that Ctrl-C, or a signal like it, came first."""
    put_error("interrupted", "stopped before the end", **facts)
