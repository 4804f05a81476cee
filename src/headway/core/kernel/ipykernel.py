"""What we ask of ipykernel alone: to be ready for a notebook's floods, and how it fared.

Floor 1. Each is one expression that it evaluates in silence and that leaves no name behind in the
user's namespace. Other kernels are taken as they come.
"""

from __future__ import annotations

from typing import Any, Final

from headway.core.kernel.requests import execute_request

__all__ = [
    "CONFIGURE_IPYKERNEL",
    "HISTORY_INPUTS_AT_ONCE",
    "PREPARE_IPYKERNEL",
    "inquiry_request",
    "is_ipykernel",
    "prepare_request",
    "read_inquiry",
]

Message = dict[str, Any]

HISTORY_INPUTS_AT_ONCE: Final = 200
"""Inputs that IPython gathers before it writes them to its history file."""

_LOG_WHAT_IS_HEARD: Final = (
    "[log.setLevel(max(log.level, min(each.level for each in log.handlers)))"
    " for log in (shell.kernel.log,) if log.handlers and not log.propagate]"
)
"""ipykernel's log makes records of every message for a handler that takes warnings alone."""

_LOOK_AT_SIGNATURES_ONCE: Final = (
    "[setattr(module, '_accepts_parameters', (lambda look: lambda method, names: "
    "look(method, tuple(names)))(__import__('functools').lru_cache(module._accepts_parameters)))"
    " for module in map(__import__('sys').modules.get, ('ipykernel.kernelbase', "
    "'ipykernel.ipkernel')) if hasattr(module, '_accepts_parameters')]"
)
"""It looks at the signatures of its own methods twice in each cell."""

_TRANSFORM_ONCE: Final = (
    "(lambda transform, kept: setattr(shell, 'transform_cell', lambda code: "
    "kept.pop()[1] if kept and kept[0][0] == (code, shell.execution_count) else "
    "(kept.clear(), kept.append(((code, shell.execution_count), transform(code))))"
    " and kept[0][1]))(shell.transform_cell, [])"
)
"""ipykernel transforms a cell to see whether it awaits, IPython does it again to run it."""

_KEEP_NO_TEXT: Final = (
    "hasattr(shell, '_tee') and "
    "setattr(shell, '_tee', lambda channel: __import__('contextlib').nullcontext())"
)
"""IPython 9 keeps all that was ever printed, for `%notebook`, which writes a notebook of it."""

PREPARE_IPYKERNEL: Final = (
    "(lambda shell: ("
    "setattr(shell.history_manager, 'db_cache_size',"
    f" max(shell.history_manager.db_cache_size, {HISTORY_INPUTS_AT_ONCE})), "
    "setattr(shell.kernel, '_execute_sleep', 0), "
    f"{_LOG_WHAT_IS_HEARD}, {_LOOK_AT_SIGNATURES_ONCE}, {_TRANSFORM_ONCE}, "
    f"{_KEEP_NO_TEXT}) and None)(get_ipython())"
)
"""One expression that leaves no name behind in the user's namespace. It makes ipykernel

*   write IPython's own history file once in `HISTORY_INPUTS_AT_ONCE` inputs, instead of after
    each, by a transaction that every kernel of the user waits for (half of the time of a small
    cell, measured). What searches the history writes it first, and so does the kernel's end;
    only a kernel that is killed forgets its last inputs there, never in the notebook;
*   not sleep half a millisecond before each reply, which it does so that clients that stop
    reading at the reply see the output: we read on until it says idle, after all of it;
*   not make log records that its handlers drop, and not inspect the same signatures in each cell
    (together a twelfth of its processor time in a small cell, measured);
*   not transform the text of a cell into Python twice; and
*   not keep what was printed a second time: the notebook has it (`%notebook` goes without).
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


def prepare_request(*expressions: str) -> Message:
    """The content that prepares an ipykernel: silent, without history or an execution count.

    It evaluates our own preparations, then `expressions`.
    """
    code = "\n".join((PREPARE_IPYKERNEL, *expressions))
    return execute_request(code) | {"silent": True, "store_history": False}


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
