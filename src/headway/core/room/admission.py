"""What a request to execute means: which cells, which text, with which tags.

Floor 3. It only reads the notebook; admitting is in `executions`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from headway.core.document.tags import RAISES_EXCEPTION, SKIP_EXECUTION, tags_of
from headway.core.room.queue import Execution
from headway.errors import CellNotFound, NotExecutable
from headway.ids import CellId, derived_execution_id, heads_from_text, heads_to_text

if TYPE_CHECKING:
    from headway.core.document.notebook import NotebookDocument
    from headway.core.wire import rpc

__all__ = ["batch_of", "cells_to_run", "execution_of"]


def execution_of(params: rpc.Execute, notebook: NotebookDocument) -> Execution:
    """The execution of one cell, whatever its tags. Raises NotExecutable, CellNotFound."""
    source, heads = _source(notebook, params.cell_id, params.source, params.required_heads)
    return Execution(
        params.execution_id,
        params.cell_id,
        source,
        _sha256(source),
        heads,
        allow_stdin=params.allow_stdin,
    )


def cells_to_run(params: rpc.ExecuteAll, notebook: NotebookDocument) -> list[CellId]:
    """The cells that a batch is about. Raises NotExecutable if one that is named has no code."""
    if params.cells is not None:
        for cell_id in params.cells:
            _require_code(notebook, cell_id)
        return list(dict.fromkeys(params.cells))
    return [cell_id for cell_id in notebook.order() if notebook.cell_type(cell_id) == "code"]


def batch_of(
    params: rpc.ExecuteAll, cells: list[CellId], notebook: NotebookDocument
) -> Iterator[Execution]:
    """The executions of these cells as one batch: without cells that are tagged to be skipped.

    Tags are read as they are now, not as they were at the caller's heads. Of a run of everything,
    what the caller had not seen and what is empty is left out too. Raises CellNotFound if a cell
    that is named was not there at the caller's heads.
    """
    for cell_id in cells:
        tags = tags_of(notebook.cell(cell_id).metadata)
        if SKIP_EXECUTION in tags:
            continue
        try:
            source, heads = _source(notebook, cell_id, params.source, params.required_heads)
        except CellNotFound:
            if params.cells is not None:
                raise
            continue  # Somebody added it since the caller looked: it asked for what it saw.
        if params.cells is None and not source.strip():
            continue
        yield Execution(
            derived_execution_id(params.batch_id, cell_id),
            cell_id,
            source,
            _sha256(source),
            heads,
            batch_id=params.batch_id,
            stops_batch=not params.allow_errors,
            may_raise=RAISES_EXCEPTION in tags,
            allow_stdin=params.allow_stdin,
        )


def _require_code(notebook: NotebookDocument, cell_id: CellId) -> None:
    cell_type = notebook.cell_type(cell_id)
    if cell_type != "code":
        raise NotExecutable(
            f"Cell {cell_id!r} is a {cell_type} cell; only code cells run.",
            cell_id=cell_id,
            cell_type=cell_type,
        )


def _source(
    notebook: NotebookDocument, cell_id: CellId, source: str, required_heads: str | None
) -> tuple[str, str]:
    """The text to run and the heads it was read at."""
    _require_code(notebook, cell_id)
    if source == "confirmed" and required_heads is not None:
        return notebook.source_at(cell_id, heads_from_text(required_heads)), required_heads
    return notebook.source(cell_id), heads_to_text(notebook.replica.heads())


def _sha256(source: str) -> str:
    return hashlib.sha256(source.encode()).hexdigest()
