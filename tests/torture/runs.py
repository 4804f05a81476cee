"""Executions and what they were promised, kept outside every daemon.

Each run of the cell appends the id it runs as to a file, by itself, from within the kernel. So
the file says how often each id ran, whatever the daemon believes.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from headway.client.aio import AsyncNotebook
from headway.core.document.runtime import TERMINAL
from headway.core.wire import rpc
from headway.errors import HeadwayError
from headway.ids import execution_id, heads_to_text

__all__ = ["Runs"]

ANSWER_S = 20.0
"""How long an execution may take to be terminal after its daemon is there again."""

_CELL = """\
import os, time
from IPython import get_ipython
note = os.open({path!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
os.write(note, (get_ipython().get_parent()["header"]["msg_id"] + "\\n").encode())
os.close(note)
time.sleep({pause_s})
"""


@dataclass
class Runs:
    """The executions of one notebook."""

    ran: Path
    asked: dict[str, str] = field(default_factory=dict)
    """Execution id -> cell id, of all that were ever asked for."""
    accepted: dict[str, str] = field(default_factory=dict)
    """Execution id -> the one that runs for it: itself, or the same cell's that waited already."""
    ended: dict[str, str] = field(default_factory=dict)
    """Execution id -> terminal status."""
    repeats: int = 0

    def cell(self, pause_s: float = 0.0) -> str:
        """The source of a cell that notes each of its runs."""
        return _CELL.format(path=str(self.ran), pause_s=pause_s)

    async def ask(self, notebook: AsyncNotebook, cell: str) -> str:
        """Ask for a run under a new id; gives it once it was accepted."""
        identity = execution_id(time.time(), os.urandom)
        self.asked[identity] = cell
        await self._request(notebook, identity)
        return identity

    async def repeat(self, notebook: AsyncNotebook, identity: str) -> None:
        """Ask again under an id that was used, as who never heard the answer."""
        self.repeats += 1
        await self._request(notebook, identity)

    @property
    def open(self) -> list[str]:
        """Accepted, and not known to have ended."""
        return [each for each in self.asked if each in self.accepted.keys() - self.ended]

    @property
    def unanswered(self) -> list[str]:
        """Asked for, and nobody here knows whether they were accepted."""
        return [each for each in self.asked if each not in self.accepted]

    async def settle(self, notebook: AsyncNotebook) -> list[str]:
        """Wait for the end of everything accepted; gives what is wrong."""
        wrong = []
        for identity in self.open:
            params = rpc.GetExecution(document=notebook.id, execution_id=identity, wait=True)
            try:
                outcome: rpc.ExecutionOutcome = await notebook._pump.request(params, ANSWER_S)
            except HeadwayError as error:
                wrong.append(f"execution {identity} has no end: {error.code} {error}")
                continue
            status = str(outcome.record["status"])
            if status not in TERMINAL:
                wrong.append(f"execution {identity} is {status} for ever")
            self.ended[identity] = status
        return wrong

    def check(self) -> list[str]:
        """What the kernel's own notes say against the daemon."""
        lines = self.ran.read_text().split() if self.ran.exists() else []
        counts = Counter(lines)
        wrong = [f"execution {each} ran {n} times" for each, n in counts.items() if n > 1]
        strange = sorted(counts.keys() - self.asked.keys())
        wrong += [f"execution {each} ran and was never asked for" for each in strange]
        wrong += [
            f"execution {each} ended as ok and never ran"
            for each, status in self.ended.items()
            if status == "ok" and self.accepted[each] not in counts
        ]
        return wrong

    async def _request(self, notebook: AsyncNotebook, identity: str) -> None:
        params = rpc.Execute(
            document=notebook.id,
            required_heads=heads_to_text(notebook.heads),
            cell_id=self.asked[identity],
            execution_id=identity,
        )
        answer: rpc.Accepted = await notebook._pump.request(params, ANSWER_S)
        self.accepted[identity] = answer.execution_id
