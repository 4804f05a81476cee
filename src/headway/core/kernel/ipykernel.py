"""What we ask of ipykernel alone: to be ready for a notebook, and how it fared.

Floor 1. It runs what we ask in silence, and no name is left behind in the user's namespace. What
else it is prepared for is in `streams`, `output_flow` and `asking`, each a program for
`prepare_request`. Other kernels are taken as they come.
"""

from __future__ import annotations

from typing import Any, Final

from headway.core.kernel.requests import execute_request

__all__ = [
    "CONFIGURE_IPYKERNEL",
    "HISTORY_INPUTS_AT_ONCE",
    "inquiry_request",
    "is_ipykernel",
    "prepare_request",
    "read_inquiry",
]

Message = dict[str, Any]

HISTORY_INPUTS_AT_ONCE: Final = 200
"""Inputs that IPython gathers before it writes them to its history file."""

_PREPARE: Final = f"""
import sys
from contextlib import nullcontext
from functools import lru_cache

shell = kernel.shell

def write_history_seldom(history):
    history.db_cache_size = max(history.db_cache_size, {HISTORY_INPUTS_AT_ONCE})

def log_what_is_heard(log):
    if log.handlers and not log.propagate:
        log.setLevel(max(log.level, min(each.level for each in log.handlers)))

def look_at_signatures_once(module):
    if hasattr(module, "_accepts_parameters"):
        look = lru_cache(module._accepts_parameters)
        module._accepts_parameters = lambda method, names: look(method, tuple(names))

def transform_once(transform):
    kept = []

    def transform_or_take(code):
        cell = code, shell.execution_count
        if kept and kept[0][0] == cell:
            return kept.pop()[1]
        kept[:] = [(cell, transform(code))]
        return kept[0][1]

    shell.transform_cell = transform_or_take

write_history_seldom(shell.history_manager)
log_what_is_heard(kernel.log)
look_at_signatures_once(sys.modules.get("ipykernel.kernelbase"))
look_at_signatures_once(sys.modules.get("ipykernel.ipkernel"))
transform_once(shell.transform_cell)
kernel._execute_sleep = 0
if hasattr(shell, "_tee"):
    shell._tee = lambda channel: nullcontext()
"""
"""A program that makes ipykernel

*   write IPython's own history file once in `HISTORY_INPUTS_AT_ONCE` inputs, instead of after
    each, by a transaction that every kernel of the user waits for (half of the time of a small
    cell, measured). What searches the history writes it first, and so does the kernel's end;
    only a kernel that is killed forgets its last inputs there, never in the notebook;
*   not make records of every message for a log that takes warnings alone, and not inspect the same
    signatures twice in each cell (together a twelfth of its processor time in a small cell,
    measured);
*   not transform a cell into Python twice, to see whether it awaits and to run it;
*   not sleep half a millisecond before each reply, which it does so that clients that stop
    reading at the reply see the output: we read on until it says idle, after all of it; and
*   not keep what was printed a second time, as IPython 9 does for `%notebook`, which writes a
    notebook of it: we have one (`%notebook` goes without).
"""

CONFIGURE_IPYKERNEL: Final = """\
# Since ipykernel 7 a thread of its own reads the shell socket, for the sake of subshells. Each cell
# would pass through it twice.
import threading
import ipykernel.kernelapp
import ipykernel.kernelbase

class NoThread:
    def __init__(self, *arguments, **named):
        self.parent_thread = threading.current_thread()  # asked for by cells that await

    def __bool__(self):
        return False

ipykernel.kernelapp.ShellChannelThread = NoThread
ipykernel.kernelbase.Kernel._supports_kernel_subshells = False
"""
"""A configuration file that ipykernel reads before it makes its sockets. The thread that runs cells
reads them itself then, as in all versions before 7: a small cell takes a fifteenth less (measured).
What subshells are for, to be asked while a cell runs, its control socket does as well."""

_INQUIRY: Final = "headway-inquiry"

INQUIRE_IPYKERNEL: Final = (
    "(lambda shell, last: shell.payload_manager.write_payload({"
    f"'source': '{_INQUIRY}', "
    "'sha256': __import__('hashlib').sha256(last.info.raw_cell.encode()).hexdigest(), "
    "'count': last.execution_count or 0, "
    "'error': '' if last.success else "
    "type(last.error_before_exec or last.error_in_exec).__name__}, single=False))"
    "(get_ipython(), get_ipython().last_execution_result)"
)
"""One expression that tells of the execution before it how it ended, in its reply's payload, and
leaves no name behind. Asked after an execution whose reply may have been sent to nobody."""


def is_ipykernel(message: Message) -> bool:
    """Whether this kernel_info_reply is that of ipykernel, which `PREPARE_IPYKERNEL` is for."""
    content = message.get("content")
    return isinstance(content, dict) and content.get("implementation") == "ipython"


def prepare_request(*programs: str) -> Message:
    """The content that prepares an ipykernel: silent, without history or an execution count.

    It runs our own preparations, then `programs`, each by itself with the name `kernel` for the
    kernel. None leaves a name behind in the user's namespace. The reply is "ok" if all went well.
    """
    each = (
        f'exec({program!r}, {{"kernel": get_ipython().kernel}})'
        for program in (_PREPARE, *programs)
    )
    return execute_request("\n".join(each)) | {"silent": True, "store_history": False}


def inquiry_request() -> Message:
    """The content that asks an ipykernel how its last execution ended; silent as preparing is."""
    return execute_request(INQUIRE_IPYKERNEL) | {"silent": True, "store_history": False}


def read_inquiry(message: Message, sha256: str, after_count: int) -> tuple[str, str] | None:
    """What an inquiry's reply says of the execution: ("ok", "") or ("error", its exception).

    None when the last execution was another one, or nothing can be told. Never raises.
    """
    content = message.get("content")
    payload = content.get("payload") if isinstance(content, dict) else None
    for item in payload if isinstance(payload, list) else ():
        if isinstance(item, dict) and item.get("source") == _INQUIRY:
            count, error = item.get("count"), item.get("error")
            is_it = item.get("sha256") == sha256 and isinstance(count, int) and count > after_count
            if is_it and isinstance(error, str):
                return ("error", error) if error else ("ok", "")
    return None
