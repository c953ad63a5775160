"""What commands print: results on stdout, everything else on stderr."""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table
from rich.text import Text

from slideloom.cli import json_lines
from slideloom.cli.words import tell
from slideloom.client import ClientError, NotSignedIn, Refused

Cell = str | Text


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Manner:
    """The options that every command on batches has."""

    server: Annotated[
        str | None,
        Parameter(env_var="SLIDELOOM_URL", help="The service's address (SLIDELOOM_URL)."),
    ] = None
    token: Annotated[
        str | None,
        Parameter(
            env_var="SLIDELOOM_TOKEN",
            help="Token for the service. Better SLIDELOOM_TOKEN, also in .env: others see options.",
        ),
    ] = field(default=None, repr=False)
    json: Annotated[bool, Parameter(negative=(), help="Print JSON instead of tables.")] = False
    quiet: Annotated[
        bool, Parameter(name=("--quiet", "-q"), negative=(), help="No progress, no notes.")
    ] = False


class Output:
    """One command's two streams."""

    def __init__(self, manner: Manner) -> None:
        self.is_json = manner.json
        self.is_quiet = manner.quiet
        self.batch_id: str | None = None
        """What an interrupted command was at, once that is known."""
        self._waited_for: set[str] = set()
        """Codes of what this command has said to wait for."""
        self._has_result = False
        """Whether JSON's reader has the object that is the command's answer."""
        self.out = Console(highlight=False, markup=False, emoji=False)
        self.err = Console(stderr=True, highlight=False, markup=False, emoji=False)

    def say(self, *lines: Cell) -> None:
        """Print lines of a result; nothing where JSON is wanted."""
        if not self.is_json:
            for line in lines:
                self.out.print(line, soft_wrap=True)

    def note(self, *lines: Cell) -> None:
        """Print what is no result; nothing where quiet is wanted."""
        if not self.is_quiet:
            for line in lines:
                self.err.print(line, soft_wrap=True)

    def note_wait(self, seconds: float, error: ClientError) -> None:
        """Say why nothing happens for a while; of one cause once, however often it comes."""
        if error.code not in self._waited_for:
            self._waited_for.add(error.code)
            text = "Waiting {seconds} s: {reason}"
            self.note(tell(text, seconds=round(seconds), reason=printable(str(error))))

    def fail(self, error: Exception) -> None:
        """Say what went wrong; also as JSON, so that its reader gets an object in any case."""
        code = getattr(error, "code", "internal")
        request_id = error.request_id if isinstance(error, Refused) else None
        words = str(error)
        if isinstance(error, OSError) and error.filename is not None:
            text = "{place} cannot be read or written: {reason}"
            words = tell(text, place=error.filename, reason=error.strerror)
        if isinstance(error, NotSignedIn):
            words = _tell_way_in(has_token=error.has_token)
        if self.is_json:
            json_lines.put_error(code, words, request_id=request_id)
        where = tell(" (request {request_id})", request_id=request_id) if request_id else ""
        self.err.print(Text(f"slideloom: {printable(words)}{where}"), soft_wrap=True)

    def put_interrupted(self) -> None:
        """Tell a program that it was no end of its own; people know, they pressed the keys."""
        if self.is_json and not self._has_result:
            json_lines.put_interrupted(batch_id=self.batch_id)

    def put_json(self, value: object) -> None:
        """Print the answer, one JSON object in a line; nothing unless JSON is wanted."""
        self._has_result = True
        self.put_json_line(value)

    def put_json_line(self, value: object) -> None:
        """Print one JSON object of several."""
        if self.is_json:
            json_lines.put(value)

    def put_table(self, heads: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
        """Print a table, or lines with tabs where a program reads."""
        if self.is_json:
            return
        if not self.out.is_terminal:
            for row in rows:
                self.out.file.write("\t".join(map(str, row)) + "\n")
            return
        table = Table(*heads, box=None, pad_edge=False, header_style="dim")
        for row in rows:
            table.add_row(*row)
        self.out.print(table)


def _tell_way_in(*, has_token: bool) -> str:
    if has_token and any(word.partition("=")[0] == "--token" for word in sys.argv):
        return tell("The service does not take the token of --token: give another one.")
    if has_token:
        return tell("The service does not take this token: set SLIDELOOM_TOKEN to another one.")
    return tell("The service wants a token: set SLIDELOOM_TOKEN.")


def printable(text: str) -> str:
    """`text` without what would move the cursor or change colours: titles come from anybody."""
    return "".join(c if c.isprintable() else " " for c in text)
