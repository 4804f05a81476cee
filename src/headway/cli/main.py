"""Where the command line begins: the streams, then the command, then the exit status.

Floor 6. It imports next to nothing, so that Ctrl-C while the rest is imported is no traceback.
"""

from __future__ import annotations

import os
import signal
import sys

from headway.cli.exit_statuses import EXIT_FAILED, EXIT_INTERRUPTED

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> None:
    """Run a command and exit with its status.

    Args:
        arguments: What follows the program's name; this process's if None.
    """
    words = sys.argv[1:] if arguments is None else arguments
    try:
        if words[:1] == ["run"]:
            # What a scheduler sends ends a run as Ctrl-C does, from the first moment.
            signal.signal(signal.SIGTERM, signal.default_int_handler)
        from headway.cli.streams import make_usable

        make_usable()
        from headway.cli.commands import run_command

        sys.exit(run_command(words))
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:
        # Whoever read the output has gone; the interpreter must not try to write the rest to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_FAILED)
