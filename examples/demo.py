"""The demonstration: runs the notebooks beside it through a daemon of its own, and checks them.

`make demo` calls it. Its daemon lives in a temporary home, so nothing of yours is touched; what
it leaves behind are the executed notebooks in build/demo.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
OUT = HERE.parent / "build" / "demo"
HEADWAY = (sys.executable, "-m", "headway")

ALL_RAN = 0
CELL_FAILED = 1


def main() -> int:
    """Run everything; gives 0 if it all went as this file says it should."""
    began_s = time.monotonic()
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    # A short path of its own: a Unix socket's path may not be long.
    home = tempfile.mkdtemp(prefix="headway-demo-")
    os.environ["HEADWAY_HOME"] = home
    try:
        wrong = _demonstrate()
    finally:
        headway("stop")
        shutil.rmtree(home, ignore_errors=True)
    for sentence in wrong:
        print(f"\nNot as it should be: {sentence}", file=sys.stderr)
    if not wrong:
        took_s = time.monotonic() - began_s
        print(f"\nAll as it should be, in {took_s:.1f} s. The executed notebooks:")
        for path in sorted(OUT.glob("*.ipynb")):
            print(f"  {path.relative_to(HERE.parent)}  {path.stat().st_size / 1000:.0f} kB")
    return 1 if wrong else 0


def _demonstrate() -> list[str]:
    wrong = []
    title("Plots and tables, with a parameter set from outside")
    status = run("rainfall", "-p", "years", "30")
    outputs = outputs_of("rainfall")
    wrong += check(status == ALL_RAN, f"rainfall ended with status {status}")
    pictures = sum("image/png" in output.get("data", {}) for output in flat(outputs))
    wrong += check(pictures == 3, f"rainfall left {pictures} pictures, not 3")
    tables = sum("text/html" in output.get("data", {}) for output in flat(outputs))
    wrong += check(tables == 6, f"rainfall left {tables} tables, not 6")

    title("Markdown, emoji, long output, a progress bar")
    status = run("field-notes")
    text = "".join(part for output in flat(outputs_of("field-notes")) for part in texts(output))
    wrong += check(status == ALL_RAN, f"field-notes ended with status {status}")
    wrong += check("👩‍👩‍👧‍👦" in text and "𝄞" in text, "letters of field-notes were lost")
    wrong += check("\r" not in text, "the progress bar of field-notes was not resolved")

    title("An honest error: the run fails, what ran before and the error are kept")
    status = run("broken")
    outputs = outputs_of("broken")
    kinds = [[output["output_type"] for output in cell] for cell in outputs]
    wrong += check(status == CELL_FAILED, f"broken ended with status {status}, not 1")
    expected = [["stream"], ["execute_result"], ["stream", "error"], []]
    wrong += check(kinds == expected, f"broken left {kinds}")

    title("What is open")
    headway("ps")
    headway("status")
    return wrong


def title(text: str) -> None:
    """Say what comes."""
    print(f"\n── {text} " + "─" * max(0, 76 - len(text)), flush=True)


def run(name: str, *options: str) -> int:
    """Run a copy of an example; gives the exit status."""
    source, target = HERE / f"{name}.ipynb", OUT / f"{name}.ipynb"
    return headway("run", os.path.relpath(source), "-o", os.path.relpath(target), *options)


def headway(*arguments: str) -> int:
    """Run a command as a person would, and show it; gives the exit status."""
    print(f"$ headway {shlex.join(arguments)}", flush=True)
    return subprocess.run([*HEADWAY, *arguments], check=False).returncode  # noqa: S603 - our own


def outputs_of(name: str) -> list[list[dict[str, Any]]]:
    """The outputs of each code cell of an executed notebook, as its file has them."""
    notebook = json.loads((OUT / f"{name}.ipynb").read_text(encoding="utf-8"))
    return [cell["outputs"] for cell in notebook["cells"] if cell["cell_type"] == "code"]


def flat(outputs: Sequence[Sequence[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Every output of every cell."""
    return [output for cell in outputs for output in cell]


def texts(output: dict[str, Any]) -> list[str]:
    """A stream's text, in parts; nothing for other outputs."""
    text = output.get("text", [])
    return [text] if isinstance(text, str) else list(text)


def check(ok: bool, sentence: str) -> list[str]:
    """The sentence, if it is true that something is wrong."""
    return [] if ok else [sentence]


if __name__ == "__main__":
    sys.exit(main())
