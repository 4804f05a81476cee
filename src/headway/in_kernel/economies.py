"""What an ipykernel need not do in each cell.

*   Write IPython's own history file after each input, in a transaction that every kernel of the
    user waits for: half of the time of a small cell (measured). What searches the history writes
    it first, and so does the kernel's end; only a kernel that is killed forgets its last inputs
    there, never in the notebook.
*   Make records of every message for a log that takes warnings alone, and inspect the same
    signatures twice: together a twelfth of its processor time in a small cell (measured).
*   Transform a cell into Python twice, to see whether it awaits and to run it.
*   Sleep half a millisecond before each reply, which it does so that clients that stop reading at
    the reply see the output: we read on until it says idle, after all of it.
*   Keep what was printed a second time, as IPython 9 does for `%notebook`, which writes a notebook
    of it: we have one (`%notebook` goes without).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from functools import lru_cache, partial
from typing import Any, Final

__all__ = ["HISTORY_INPUTS_AT_ONCE", "NEEDS", "prepare"]

NEEDS: Final = (
    "log.handlers",
    "shell.execution_count",
    "shell.history_manager.db_cache_size",
    "shell.transform_cell",
)

HISTORY_INPUTS_AT_ONCE: Final = 200
"""Inputs that IPython gathers before it writes them to its history file."""


def prepare(kernel: Any) -> None:
    """Have this kernel do without all of it."""
    shell = kernel.shell
    history = shell.history_manager
    history.db_cache_size = max(history.db_cache_size, HISTORY_INPUTS_AT_ONCE)
    kernel._execute_sleep = 0
    if hasattr(shell, "_tee"):
        shell._tee = lambda **_: nullcontext()
    shell.transform_cell = _remembering(shell, shell.transform_cell)
    log = kernel.log
    if log.handlers and not log.propagate:
        log.setLevel(max(log.level, min(each.level for each in log.handlers)))
    for name in "ipykernel.kernelbase", "ipykernel.ipkernel":
        module: Any = sys.modules.get(name)
        if hasattr(module, "_accepts_parameters"):
            look = lru_cache(module._accepts_parameters)
            module._accepts_parameters = partial(_look_once, look)


def _look_once(look: Callable[..., object], method: object, names: Iterable[str]) -> object:
    return look(method, tuple(names))


def _remembering(shell: Any, transform: Callable[[str], str]) -> Callable[[str], str]:
    """Transforms the same cell once."""
    kept: list[tuple[tuple[str, int], str]] = []

    def transform_or_take(code: str) -> str:
        cell = code, shell.execution_count
        if kept and kept[0][0] == cell:
            return kept.pop()[1]
        kept[:] = [(cell, transform(code))]
        return kept[0][1]

    return transform_or_take
