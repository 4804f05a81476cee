"""`headway logs`: the daemon's log, for people.

Floor 6. The file holds one JSON object a line (and, when a daemon could not start, what Python
said); `--json` shows every line as one.
"""

from __future__ import annotations

import json
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from headway.cli.terminal import plain, say

__all__ = ["follow", "human_line", "json_line", "last_lines", "logs"]

_LINES = 50
_LOOK_EVERY_S = 0.2
_FIRST_FIELDS = ("time", "level", "logger", "event", "error")


def logs(
    follow_it: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on showing what is added; Ctrl-C ends it.")
    ] = False,
    lines: Annotated[
        int, typer.Option("--lines", "-n", min=0, metavar="N", help="How many lines to show.")
    ] = _LINES,
    as_json: Annotated[bool, typer.Option("--json", help="Show the lines as JSON.")] = False,
) -> None:
    """Show the end of the daemon's log."""
    from headway.edges import paths

    log = paths.Paths.of(paths.home()).log
    shown = json_line if as_json else human_line
    if not log.exists() and not follow_it:
        if not as_json:
            say(f"There is no log yet: no daemon has run in {log.parent}.")
        return
    end, text = last_lines(log, min(lines, sys.maxsize))
    for line in text:
        say(shown(line))
    if follow_it:
        for line in follow(log, end):
            say(shown(line))


def last_lines(log: Path, count: int) -> tuple[int, list[str]]:
    """The last `count` lines of the file, and where in it they end (bytes)."""
    try:
        with log.open("rb") as file:
            kept = deque(file, maxlen=count)
            end = file.tell()
    except FileNotFoundError:
        return 0, []
    if kept and not kept[-1].endswith(b"\n"):
        end -= len(kept.pop())  # its end is still being written
    return end, [_text(line) for line in kept]


def follow(log: Path, start: int) -> Iterator[str]:
    """Lines as they are added after `start`, for ever; a new file in its place is begun again."""
    identity: int | None = None
    position = start
    while True:
        try:
            with log.open("rb") as file:
                size = file.seek(0, 2)
                inode = log.stat().st_ino
                if (identity is not None and inode != identity) or size < position:
                    position = 0
                identity = inode
                file.seek(position)
                for line in file:
                    if not line.endswith(b"\n"):
                        break
                    position += len(line)
                    yield _text(line)
        except FileNotFoundError:
            position = 0
        time.sleep(_LOOK_EVERY_S)


def json_line(line: str) -> str:
    """A line of the log as JSON, as it is in the file; what is none is the value of `said`."""
    try:
        is_entry = isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        is_entry = False
    return line if is_entry else json.dumps({"said": line})


def human_line(line: str) -> str:
    """A line of the log for people; what is not ours is shown as it is."""
    try:
        entry = json.loads(line)
        moment, level = str(entry["time"]), str(entry["level"])
    except (ValueError, KeyError, TypeError):
        return plain(line)
    fields = " ".join(f"{name}={entry[name]}" for name in entry if name not in _FIRST_FIELDS)
    shown = f"{moment} {level.upper()} {entry.get('logger', '')}: {entry.get('event', '')}"
    parts = [plain(part) for part in (shown, fields) if part]
    error = entry.get("error")
    if error:
        parts.append("".join(f"\n    {plain(row)}" for row in str(error).split("\n")))
    return " ".join(parts)


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace").rstrip("\n")
