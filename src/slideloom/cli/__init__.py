"""The command line: parse, call, print."""

import os
import sys

_ERROR, _INTERRUPTED = 1, 130
"""`Exit`'s, which takes a moment to load: Ctrl-C may come in that moment, too."""


def main() -> None:
    """The console script."""
    try:
        code = _run()
    except KeyboardInterrupt:
        code = _INTERRUPTED
        if "--json" in sys.argv:
            from slideloom.cli.json_lines import put_interrupted  # noqa: PLC0415 - as above

            put_interrupted()
    except BrokenPipeError:
        # Whoever read is gone; nor may the interpreter flush into the pipe at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = _ERROR
    sys.exit(code)


def _run() -> int:
    from cyclopts import CycloptsError  # noqa: PLC0415 - see `_INTERRUPTED`

    from slideloom.cli.commands import app  # noqa: PLC0415
    from slideloom.cli.exits import Exit  # noqa: PLC0415
    from slideloom.cli.json_lines import put_error  # noqa: PLC0415

    try:
        code = app(sys.argv[1:], exit_on_error=False, result_action="return_value")
    except CycloptsError as error:  # it has said what is wrong
        code = Exit.USAGE
        if "--json" in sys.argv:
            put_error("usage", str(error))
    return int(code or Exit.OK)
