"""The command-line interface `moesd-probe`."""

import sys


def start() -> None:
    """Run the command line; Ctrl-C ends it in one line, also while it is being imported."""
    try:
        from cli.main import main

        main()
    except KeyboardInterrupt:
        sys.stderr.write("moesd-probe: Interrupted.\n")
        sys.exit(130)
