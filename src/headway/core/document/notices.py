"""What the outputs say when something was left out, and where that begins.

Floor 1, pure. The counting is done elsewhere (`execution`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from headway.core.document.mime import clean_text, text_size

__all__ = [
    "MAX_ERROR_BYTES",
    "MAX_FILE_OUTPUT_BYTES",
    "MAX_OUTPUTS",
    "OUTPUT_QUOTA_BYTES",
    "error_form",
    "file_marker",
    "gap_text",
    "lost_marker",
    "marker_text",
    "unanswered_text",
]

OUTPUT_QUOTA_BYTES = 64 * 1024 * 1024
"""What one execution may keep: stream text as UTF-8, MIME values as UTF-8 or JSON.

As much as a client puts into one result. The document, the file and the daemon's memory could take
more, for bulk is in blobs.
"""

MAX_FILE_OUTPUT_BYTES = 1024 * 1024 * 1024
"""What the outputs in one `.ipynb` may have, counted as the quota is. The daemon keeps them all."""

MAX_OUTPUTS = 2_000
"""How many outputs one execution may keep."""

MAX_ERROR_BYTES = 65_536
"""The longest traceback, and the longest message; errors stand in the document itself."""


def marker_text(left_out: int, quota_bytes: int) -> str:
    """What the marker says: the exact count of bytes left out, and why."""
    return (
        f"[Headway left out {left_out:,} bytes of output: an execution keeps at most "
        f"{quota_bytes:,} bytes in {MAX_OUTPUTS:,} outputs.]\n"
    )


def file_marker(left_out: int, number: int, limit: int) -> dict[str, Any]:
    """An output that says what a file has no room for, as the document holds it."""
    text = (
        f"[Headway left {number:,} outputs of this cell, {left_out:,} bytes, out of this file: a "
        f"file holds at most {limit:,} bytes of outputs. The daemon keeps them.]\n"
    )
    return {"output_type": "stream", "name": "stderr", "text": text, "sealed": []}


def lost_marker() -> dict[str, Any]:
    """An output that says that one is lost, as the document holds it."""
    text = (
        "[Headway cannot write the output that was here: its content is missing from the store, or "
        "damaged there, and was not in this file. Run the cell again.]\n"
    )
    return {"output_type": "stream", "name": "stderr", "text": text, "sealed": []}


def gap_text(since_s: float, until_s: float) -> str:
    """What stands where outputs may be missing, because nobody listened to the kernel.

    Seconds since 1970; shown in UTC.
    """
    return (
        "[Output may be missing here: the Headway daemon was away from "
        f"{_utc(since_s)} to {_utc(until_s)} UTC.]\n"
    )


def unanswered_text() -> str:
    """What stands where a kernel asked for input although it was told that nobody answers."""
    return "[The kernel asked for input, and nobody is there to answer: it was interrupted.]\n"


def _utc(seconds: float) -> str:
    """Date and time of day, by arithmetic: clocks and calendars are not for the core.

    Years are counted from March, so that the leap day is a year's last; 400 of them, an era, have
    146,097 days.
    """
    days, second = divmod(int(seconds), 86_400)
    era, day = divmod(days + 719_468, 146_097)
    year = (day - day // 1_460 + day // 36_524 - day // 146_096) // 365
    day -= 365 * year + year // 4 - year // 100
    month = (5 * day + 2) // 153
    day -= (153 * month + 2) // 5
    year += era * 400 + (month >= 10)
    month += 3 if month < 10 else -9
    minute, second = divmod(second, 60)
    hour, minute = divmod(minute, 60)
    return f"{year}-{month:02}-{day + 1:02} {hour:02}:{minute:02}:{second:02}"


def error_form(name: str, value: str, traceback: Sequence[str]) -> dict[str, Any]:
    """An exception as the document holds it; of a longer traceback the last lines are kept."""
    lines = [clean_text(line) for line in traceback]
    total = sum(map(text_size, lines))
    kept: list[str] = []
    room = MAX_ERROR_BYTES
    for line in reversed(lines):
        room -= text_size(line)
        if room < 0:
            break
        kept.append(line)
    kept.reverse()
    left_out = total - sum(map(text_size, kept))
    if left_out:
        kept.insert(0, f"[Headway left out {left_out:,} bytes of this traceback.]")
    return {
        "output_type": "error",
        "ename": _cut(name),
        "evalue": _cut(value),
        "traceback": kept,
    }


def _cut(text: str) -> str:
    data = clean_text(text).encode()
    if len(data) <= MAX_ERROR_BYTES:
        return data.decode()
    kept = data[:MAX_ERROR_BYTES].decode(errors="ignore")
    left_out = len(data) - text_size(kept)
    return f"{kept} [Headway left out {left_out:,} bytes.]"
