"""The command line: parse, call, print. Each command's module is loaded when it is called."""

import os
import sys

from cyclopts import App, CycloptsError

from slideloom.cli.exits import Exit
from slideloom.cli.json_lines import put_error, put_interrupted

app = App(
    name="slideloom",
    help="Makes all the pictures of a slide deck at once.",
    suppress_keyboard_interrupt=False,  # `main` says it to programs
)
_COMMANDS = {
    "serve:serve": "Serve on http://localhost:8000 until stopped.",
    "check:check": "Look at settings, folders and keys; pays nothing.",
    "generate:generate": "Make all pictures of a deck, from a file into a folder.",
    "batches:status": "Show a batch slide by slide, or the list of batches.",
    "batches:watch": "Show a batch's progress until it has ended.",
    "batches:retry": "Make again what is not done.",
    "batches:cancel": "Stop a batch; what was made stays.",
    "batches:export": "Take a batch home as .pptx, .pdf or .zip.",
}
"""Where each command is, and its line in the list, for which nothing is loaded."""
for place, words in _COMMANDS.items():
    app.command(f"slideloom.cli.{place}", help=words)
config = App(name="config", help="The service's settings.")
config.command("slideloom.cli.config:show", help="Show every setting, its value and its source.")
app.command(config)


def main() -> None:
    """The console script."""
    try:
        code = app(sys.argv[1:], exit_on_error=False, result_action="return_value")
    except CycloptsError as error:  # it has said what is wrong
        code = Exit.USAGE
        if "--json" in sys.argv:
            put_error("usage", str(error))
    except KeyboardInterrupt:
        code = Exit.INTERRUPTED
        if "--json" in sys.argv:
            put_interrupted()
    except BrokenPipeError:
        # Whoever read is gone; nor may the interpreter flush into the pipe at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = Exit.ERROR
    sys.exit(int(code or Exit.OK))
