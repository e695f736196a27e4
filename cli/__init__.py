"""The command-line interface `moesd-probe`."""

import gc
import os
import signal
import sys
import threading
from types import FrameType

_PATIENCE = 3.0  # seconds in which a command may end of itself
_LINE = "moesd-probe: Interrupted.\n"
_received: list[int] = []  # Ray raises another exception in place of ours


def start() -> None:
    """Run the command line; Ctrl-C and SIGTERM end it within 5 seconds, with 130 and 143.

    A command that is still waiting for its threads is ended from outside, as SIGKILL would: files
    are whole or absent. A second signal ends it at once.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) != signal.SIG_IGN:  # as in the background of a script
            signal.signal(number, _interrupt)
    try:
        from cli.main import main

        main()
    except KeyboardInterrupt:
        sys.stderr.write(_LINE)
        sys.exit(exit_code())
    finally:
        gc.freeze()  # Python's last search for cycles among a million objects takes 2 s


def exit_code() -> int:
    """128 and the number of the signal that was received, as shells count."""
    return 128 + (_received[0] if _received else signal.SIGINT)


def _interrupt(number: int, _: FrameType | None) -> None:
    _received.append(number)
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_DFL)
    timer = threading.Timer(_PATIENCE, _end, [128 + number])
    timer.daemon = True
    timer.start()
    raise KeyboardInterrupt


def _end(code: int) -> None:
    sys.stderr.write(_LINE)
    sys.stderr.flush()
    os._exit(code)
