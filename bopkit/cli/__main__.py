"""Run the command line by `python -m bopkit.cli`."""

from bopkit.cli import main

main()
