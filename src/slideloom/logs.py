"""What is written down for operators: one pipeline file a day, and session files.

A structlog logger renders each event to one JSON line of
`pipeline_YYYYMMDD.log`. An event that carries `document` is mirrored whole into
`sessions/{session_id}_{action}.json` and leaves the document out of the line.
One thread writes, so the loop never waits for the disk. Source: contract §8.

Of several processes each has a pipeline file of its own, `pipeline_YYYYMMDD_{process}.log`: the
lines of two would run into each other. They may share the folder.
"""

import contextlib
import errno
import json
import logging
import os
import queue
import re
import socket
import threading
import traceback
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from secrets import token_hex
from typing import IO, Any

import msgspec
import structlog
from structlog.typing import FilteringBoundLogger

from slideloom.domain.session import SESSION_ID, SessionDocument
from slideloom.tracing import find_trace

OPERATOR_EVENTS = ("batch_generate_complete", "slide_completed")
"""The words operators grep for: no other line may contain them. Source: contract §8."""
_ESCAPES = {
    **{word.encode(): word.replace("_", r"\u005f").encode() for word in OPERATOR_EVENTS},
    b"\x7f": rb"\u007f",
}
_CONTROLS = re.compile(rb"\xc2[\x80-\x9f]|\xe2\x80[\xa8\xa9]")
"""In UTF-8: what JSON leaves raw, and many readers take for a line's end, terminals for orders."""
_MASK = b"***"
_PART_PREFIX = ".part-"
"""Of a session file that is not whole yet."""
_SHARED_PART_PREFIX = ".part@"
"""Of one that is not whole yet where several processes may write: the process' name follows."""
_KEY_CHARS = 8
"""A shorter "key" is a local server's dummy, and would be found in numbers and words."""
_HOST_CHARS = 64
"""Of a host's name in a file's name: that may have 255 in all."""
_PRIVATE = 0o600
"""Of session files: they hold what people wrote, so nobody but the service's user reads them."""
_FLUSH_S = 10.0
"""How long a reader waits for the writing thread."""

Log = FilteringBoundLogger


def name_process(role: str) -> str:
    """A name for this process that no other has, to put into file names.

    The host and the number alone would not do: containers may share the one, and each begins
    its numbers at 1.
    """
    host = re.sub(r"[^A-Za-z0-9.-]+", "-", socket.gethostname())[:_HOST_CHARS]
    return f"{role}-{host}-{os.getpid()}-{token_hex(2)}"


class LogWriter:
    """The thread that owns every log file of this process."""

    def __init__(
        self,
        folder: Path,
        *,
        retention_days: int,
        secrets: Sequence[str] = (),
        process: str = "",
    ) -> None:
        """Write below `folder`; mask `secrets` wherever they turn up.

        With a `process` (`name_process`), others may write to the folder, too.
        """
        self.folder = folder
        self.mirror: Callable[[SessionDocument], None] | None = None
        """Told of each session file, on the writing thread, once it is on the disk."""
        self._end = f"_{process}.log" if process else ".log"
        self._part = f"{_SHARED_PART_PREFIX}{process}-" if process else _PART_PREFIX
        self._retention = timedelta(days=retention_days)
        self._secrets = [
            msgspec.json.encode(secret)[1:-1] for secret in secrets if len(secret) >= _KEY_CHARS
        ]
        self._queue: queue.SimpleQueue[bytes | SessionDocument | threading.Event | None] = (
            queue.SimpleQueue()
        )
        (folder / "sessions").mkdir(parents=True, exist_ok=True)
        for place in (folder, folder / "sessions"):
            if not os.access(place, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(place))
        self._day: date | None = None
        self._file: IO[bytes] | None = None
        self._thread = threading.Thread(target=self._serve, name="logs", daemon=True)
        self._thread.start()

    def sweep(self) -> None:
        """Remove what a crash left half-written, where nobody else writes.

        What one of several processes left goes with the files of its age.
        """
        if self._part == _PART_PREFIX:
            for leftover in (self.folder / "sessions").glob(f"{_PART_PREFIX}*"):
                leftover.unlink(missing_ok=True)

    def line(self, fields: Mapping[str, Any]) -> None:
        """Write one line to today's pipeline file."""
        self._queue.put(render_line(fields, self._secrets))

    def document(self, session_id: str, action: str, content: object) -> None:
        """Write one session file; a second of the same action gets `_2`, and so on."""
        body = msgspec.json.format(_encode(content), indent=2)
        self._queue.put(SessionDocument(session_id, action, _masked(body, self._secrets)))

    def flush(self) -> None:
        """Wait until everything written so far is in the files."""
        written = threading.Event()
        self._queue.put(written)
        written.wait(_FLUSH_S)

    def close(self) -> None:
        """Write what waits, then stop."""
        self._queue.put(None)
        self._thread.join()

    def _serve(self) -> None:
        while (item := self._queue.get()) is not None:
            try:
                match item:
                    case bytes():
                        self._write_line(item)
                    case threading.Event():
                        self._flush_file()
                        item.set()
                    case SessionDocument():
                        self._write_document(item)
                if self._queue.empty():
                    self._flush_file()
            except Exception as error:  # noqa: BLE001 - pictures matter more than logs
                logging.getLogger(__name__).warning("a log entry was lost: %s", error)
                if isinstance(item, threading.Event):
                    item.set()
        self._close_file()

    def _flush_file(self) -> None:
        if self._file is not None:
            self._file.flush()

    def _write_document(self, document: SessionDocument) -> None:
        try:
            folder = self.folder / "sessions"
            document = _write_document(folder, document, part_prefix=self._part)
        finally:  # a full disk here is none elsewhere
            if self.mirror is not None:
                self.mirror(document)

    def _write_line(self, line: bytes) -> None:
        today = date.today()  # noqa: DTZ011 - the operator's own day names the file
        path = self.folder / f"pipeline_{today:%Y%m%d}{self._end}"
        if self._file is None or today != self._day or not path.exists():
            self._close_file()
            self.folder.mkdir(parents=True, exist_ok=True)
            self._file = path.open("ab")
            self._day = today
            self._file.write(line)
            self._forget_old(today)
        else:
            self._file.write(line)

    def _close_file(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):  # what it still held is lost
                file.close()

    def _forget_old(self, today: date) -> None:
        oldest = today - self._retention
        kinds = ("pipeline_*.log", "sessions/*.json", f"sessions/{_SHARED_PART_PREFIX}*")
        for path in (path for kind in kinds for path in self.folder.glob(kind)):
            with contextlib.suppress(FileNotFoundError):  # another process was quicker
                if date.fromtimestamp(path.stat().st_mtime) < oldest:  # noqa: DTZ012 - as above
                    path.unlink()

    def read_session(self, session_id: str) -> dict[str, bytes]:
        """The session's files by name, as JSON; empty when there are none. Blocks on the disk."""
        if SESSION_ID.fullmatch(session_id) is None:
            return {}
        self.flush()
        files = {}
        for path in sorted((self.folder / "sessions").glob(f"{session_id}_*.json")):
            with contextlib.suppress(FileNotFoundError):  # its time was up just now
                files[path.name] = path.read_bytes()
        return files


def open_log(writer: LogWriter) -> Log:
    """The logger that everything here is given; it writes through `writer`.

    Its last step is the writer's: whatever the others added is masked as well.
    """

    def sink(_: object, __: str, fields: MutableMapping[str, Any]) -> str:
        trace = find_trace()
        named = {} if trace is None else {"trace_id": trace.trace_id}
        fields.update(named)
        document = fields.pop("document", None)
        if document is not None:
            writer.document(fields["session_id"], fields.pop("action"), {**document, **named})
        writer.line(fields)
        raise structlog.DropEvent

    log: Log = structlog.wrap_logger(
        None,
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _explain_exception,
            sink,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    )
    return log


def render_line(fields: Mapping[str, Any], secrets: Sequence[bytes] = ()) -> bytes:
    """One event as one line of JSON, the event's name first.

    The words operators grep for stand in no line but their own, and nothing in
    a line ends it, whatever users send.
    """
    rest = dict(fields)
    name = _escaped(_encode(rest.pop("event")))
    if fields["event"] in OPERATOR_EVENTS:
        name = _encode(fields["event"])
    body = _escaped(_masked(_encode(rest), secrets))
    return b'{"event":' + name + (b"," if rest else b"") + body[1:] + b"\n"


def _masked(body: bytes, secrets: Sequence[bytes]) -> bytes:
    for secret in secrets:
        body = body.replace(secret, _MASK)
    return body


def _encode(content: object) -> bytes:
    try:
        return msgspec.json.encode(content, enc_hook=str)
    except UnicodeEncodeError:  # header bytes that are no text; escaped they lose nothing
        return json.dumps(msgspec.to_builtins(content, enc_hook=str)).encode()


def _escaped(body: bytes) -> bytes:
    for raw, escaped in _ESCAPES.items():
        body = body.replace(raw, escaped)
    return body if body.isascii() else _CONTROLS.sub(_escape, body)


def _escape(found: re.Match[bytes]) -> bytes:
    return rb"\u%04x" % ord(found[0].decode())


def _explain_exception(
    _: object, __: str, fields: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Turn `exc_info` into the traceback's text."""
    error = fields.pop("exc_info", None)
    if isinstance(error, BaseException):
        fields["traceback"] = "".join(traceback.format_exception(error))
    return fields


def _write_document(
    folder: Path, document: SessionDocument, *, part_prefix: str
) -> SessionDocument:
    """Write it under the first name that is free, whose run it is from now on."""
    part = folder / f"{part_prefix}{document.session_id}_{document.action}"
    folder.mkdir(parents=True, exist_ok=True)  # somebody may have cleared up
    try:
        with open(part, "wb", opener=_open_private) as file:
            file.write(document.body)
        while True:
            with contextlib.suppress(FileExistsError):
                os.link(part, folder / document.name)  # whole, or not
                return document
            document = msgspec.structs.replace(document, run=document.run + 1)
    finally:
        part.unlink(missing_ok=True)


def _open_private(path: str, flags: int) -> int:
    """Open it for this user alone, whatever the umask, and whoever left it there."""
    number = os.open(path, flags | os.O_NOFOLLOW, _PRIVATE)
    os.fchmod(number, _PRIVATE)
    return number
