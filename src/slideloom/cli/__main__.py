"""`python -m slideloom.cli`."""

from slideloom.cli import main

main()
