"""Another program's changes to the file, taken into a notebook that is open.

Floor 3. They come in as an ordinary commit by the author "file", so every peer sees them, and
changed outputs as records `requested_by` "file". When to look at the file is `file`'s business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headway.core.document.runtime import TERMINAL
from headway.core.room.file_errors import beyond_limits
from headway.core.room.file_merge import check_readable, plan_merge, says_all
from headway.errors import EditError

if TYPE_CHECKING:
    from headway.core.room.bases import Base
    from headway.core.room.documents import Documents
    from headway.core.room.recorder import Recorder
    from headway.ids import CellId, Entropy, ExecutionId
    from headway.moments import Moment

__all__ = ["Intake", "Taken"]


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of a merge."""

    runs: dict[CellId, ExecutionId]
    """The execution of each cell that the file shows, where it shows the latest one."""
    is_all: bool
    """Whether the file holds everything that the document holds now, outputs apart."""


class Intake:
    """The way of a file's changes into the two documents."""

    def __init__(self, documents: Documents, recorder: Recorder, entropy: Entropy) -> None:
        """Changes go into `documents` and `recorder`."""
        self._documents = documents
        self._recorder = recorder
        self._entropy = entropy

    def take(
        self,
        bases: Sequence[Base],
        content: bytes,
        runs: Mapping[CellId, ExecutionId],
        now: Moment,
        *,
        accepts: bool,
    ) -> Taken:
        """Merge what `content` changed since its base; all of it or nothing.

        Args:
            bases: What was written or read before, the latest last.
            content: The file's bytes now.
            runs: The executions that the latest base shows.
            now: This instant.
            accepts: A person wants the file's version, whatever it takes away.

        Raises NotebookUnreadable for what is no notebook, or one that breaks our limits, and
        FileWouldEmpty.
        """
        notebook = self._documents.notebook
        check_readable(content)
        plan = plan_merge(notebook, bases, content, self._entropy, accepts=accepts)
        try:
            notebook.apply(plan.edits, now, "file")
        except EditError as error:
            cells, edits = len(plan.theirs.cells), len(plan.edits)
            raise beyond_limits(error, cells, edits=edits) from error
        self._documents.commit(now)
        shown = self._recorder.found_in_file(plan.outputs, now, runs)
        if plan.widgets_changed:
            self._recorder.found_widgets(plan.theirs.widgets, now, is_new=True)
        return Taken(
            {**runs, **shown}, says_all(plan.theirs, notebook.cells(), notebook.metadata())
        )

    def runs(self) -> dict[CellId, ExecutionId]:
        """The latest execution of each cell, where it is over: what a file written now shows."""
        reader = self._recorder.reader
        latest = reader.latest_by_cell()
        return {each: run for each, run in latest.items() if reader.status(run) in TERMINAL}
