"""The list of commands. Each command's module is loaded when it is called."""

from cyclopts import App

_COMMANDS = {
    "serve:serve": "Serve on http://localhost:8000 until stopped.",
    "worker:worker": "Make decks off the queue, beside any number of services.",
    "check:check": "Look at settings, folders and keys; pays nothing.",
    "generate:generate": "Make all pictures of a deck, from a file into a folder.",
    "batches:status": "Show a batch slide by slide, or the list of batches.",
    "batches:watch": "Show a batch's progress until it has ended.",
    "batches:retry": "Make again what is not done.",
    "batches:cancel": "Stop a batch; what was made stays.",
    "batches:export": "Take a batch home as .pptx, .pdf or .zip.",
}
"""Where each command is, and its line in the list, for which nothing is loaded."""
app = App(
    name="slideloom",
    help="Makes all the pictures of a slide deck at once.",
    suppress_keyboard_interrupt=False,  # `main` says it to programs
)
for place, words in _COMMANDS.items():
    app.command(f"slideloom.cli.{place}", help=words)
config = App(name="config", help="The service's settings.")
config.command("slideloom.cli.config:show", help="Show every setting, its value and its source.")
app.command(config)
