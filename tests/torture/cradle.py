"""A process that has everything imported and forks daemons and workloads: a start takes 20 ms.

It is told on its standard input, one JSON object a line (`Birth`), and answers with the process
id. A child is what its own `python -m` would be, planted bug included, and is killed with its
cradle: nothing outlives a harness.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import signal
import sys
from typing import Any, NoReturn

from headway.daemon.main import NOTIFY_VARIABLE
from headway.daemon.main import main as daemon_main
from torture.planted import PLANTED_VARIABLE, plant
from torture.workload import main as workload_main

__all__ = ["main"]

_PR_SET_PDEATHSIG = 1
_BROKEN = 70
_BODIES = {"daemon": daemon_main, "workload": workload_main}


def main() -> None:
    """Fork what is asked for until the input ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    plant(os.environ.get(PLANTED_VARIABLE, ""))
    gc.freeze()
    libc = ctypes.CDLL(None)
    for line in sys.stdin.buffer:
        birth = json.loads(line)
        pid = os.fork()
        if pid == 0:
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            _live(birth)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


def _live(birth: dict[str, Any]) -> NoReturn:
    status = _BROKEN
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        os.environ[NOTIFY_VARIABLE] = birth["notify"]
        _take_places(birth)
        status = _BODIES[birth["body"]](birth["arguments"])
    except BaseException:  # noqa: BLE001 - the fork must never return into the cradle
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        os._exit(status)


def _take_places(birth: dict[str, Any]) -> None:
    """Open what it reads and writes. A fault that is meant for the body may strike here."""
    try:
        for target, name, flags in (
            (2, birth["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND),
            (1, birth["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND),
            (0, birth["input"], os.O_RDONLY),  # Last: a FIFO is where a workload waits.
        ):
            descriptor = os.open(name, flags, 0o600)
            os.dup2(descriptor, target)
            os.close(descriptor)
    except OSError:
        os._exit(_BROKEN)


if __name__ == "__main__":
    main()
