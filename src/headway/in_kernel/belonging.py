"""What a thread prints when no cell runs belongs to the cell that ran last.

ipykernel takes whatever came last on its shell socket for what is answered. We ask something there,
too: behind a cell that takes long, so that its end is known, and of a kernel that outlived a daemon
which widgets it has. What a thread of the user's printed after that answered a question of ours,
and was shown by nobody, until the next cell ran.
"""

from __future__ import annotations

from typing import Any, Final

__all__ = ["INQUIRIES", "NEEDS", "prepare"]

NEEDS: Final = ("shell.set_parent",)

INQUIRIES: Final = ("kernel_info_request", "comm_info_request")
"""Requests that run nothing of the user's."""


def prepare(kernel: Any) -> None:
    """Have this kernel's outputs answer no question of ours."""
    answer = kernel.shell.set_parent

    def set_parent(parent: Any) -> None:
        if parent["header"]["msg_type"] not in INQUIRIES:
            answer(parent)

    kernel.shell.set_parent = set_parent
