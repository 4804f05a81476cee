"""What we ask of ipykernel alone: to be ready for a notebook, and how it fared.

Floor 1. It runs what we ask in silence, and no name is left behind in the user's namespace. What it
is prepared for is in `headway.in_kernel`. Other kernels are taken as they come.
"""

from __future__ import annotations

from inspect import getsource
from types import ModuleType
from typing import Any, Final

from headway.core.kernel.requests import execute_request

__all__ = [
    "CONFIGURE_IPYKERNEL",
    "inquiry_request",
    "is_ipykernel",
    "prepare_request",
    "read_inquiry",
]

Message = dict[str, Any]

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
    """Whether this kernel_info_reply is that of ipykernel, which `in_kernel` is for."""
    content = message.get("content")
    return isinstance(content, dict) and content.get("implementation") == "ipython"


def prepare_request(*programs: ModuleType) -> Message:
    """The content that has an ipykernel run programs of `in_kernel`, silent and without a count.

    What they use of the kernel (`NEEDS`) is looked for first: where something is missing, nothing
    is changed. Then each is run by itself, and its `prepare` is called with the kernel. None leaves
    a name behind in the user's namespace. The reply is "ok" if all went well.
    """
    needs = tuple(name for program in programs for name in program.NEEDS)
    look = f'__import__("operator").attrgetter(*{needs!r})(get_ipython().kernel)'
    each = (
        f"(lambda names: (exec({getsource(program)!r}, names), "
        'names["prepare"](get_ipython().kernel)))({})'
        for program in programs
    )
    return execute_request("\n".join((look, *each))) | {"silent": True, "store_history": False}


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
