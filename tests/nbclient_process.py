"""nbclient in a process of its own: it runs each notebook that a line on standard input names.

A line is JSON: `path`, `allow_errors`. The answer is a line too, when the file has its outputs:
`done`, or `failed` if a cell failed that nothing allows to.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

CELL_S = 60


def run(path: Path, *, allow_errors: bool) -> str:
    """Run the notebook at `path` and write its outputs back; gives the answer."""
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    client = NotebookClient(
        notebook,
        timeout=CELL_S,
        kernel_name="python3",
        allow_errors=allow_errors,
        resources={"metadata": {"path": str(path.parent)}},
    )
    try:
        client.execute()
    except CellExecutionError:
        answer = "failed"
    else:
        answer = "done"
    nbformat.write(notebook, path)  # type: ignore[no-untyped-call]
    return answer


if __name__ == "__main__":
    for line in sys.stdin:
        asked = json.loads(line)
        print(run(Path(asked["path"]), allow_errors=asked["allow_errors"]), flush=True)
