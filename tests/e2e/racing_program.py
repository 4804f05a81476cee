"""Another program that edits a notebook's file, again and again, as such programs do.

`racing_program.py FILE TIMES`: reads, adds to a cell of its own, writes; in turn by a rename and in
place. Before every third write it does not look whether the file still is the one it read. After
most edits it waits until somebody else has written, so that the other side has its turn. Says
"done" at the end.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

OWN_CELL = "racing-program"

TURN_S = 0.2
"""How long the other side's turn is waited for at most."""


def main() -> int:
    path, times = Path(sys.argv[1]), int(sys.argv[2])
    for number in range(times):
        while not edit(path, number):
            pass
    print("done", flush=True)
    return 0


def edit(path: Path, number: int) -> bool:
    """One edit; False when the file is being changed by somebody else right now."""
    content = path.read_bytes()
    try:
        notebook: dict[str, Any] = json.loads(content)
    except ValueError:
        return False
    cells = notebook["cells"]
    own = next((cell for cell in cells if cell.get("id") == OWN_CELL), None)
    if own is None:
        own = {"cell_type": "markdown", "id": OWN_CELL, "metadata": {}, "source": ""}
        cells.append(own)
    text = "".join(own["source"])
    own["source"] = text + f"theirs {number}\n"
    changed = json.dumps(notebook, indent=1).encode()
    if number % 3 and path.read_bytes() != content:
        return False
    if number % 2:
        replacement = path.with_name("replacement")
        replacement.write_bytes(changed)
        replacement.rename(path)
    else:
        descriptor = os.open(path, os.O_WRONLY | os.O_TRUNC)
        with os.fdopen(descriptor, "wb") as file:
            file.write(changed)
    if number % 5:
        until_s = time.monotonic() + TURN_S
        while path.read_bytes() == changed and time.monotonic() < until_s:
            pass
    return True


if __name__ == "__main__":
    sys.exit(main())
