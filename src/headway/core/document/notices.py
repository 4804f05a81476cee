"""What the outputs say when something was left out, and where that begins.

Floor 1, pure. The counting is done elsewhere (`execution`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from headway.core.document.mime import clean_text, text_size

__all__ = [
    "MAX_ERROR_BYTES",
    "MAX_OUTPUTS",
    "OUTPUT_QUOTA_BYTES",
    "error_form",
    "gap_text",
    "marker_text",
]

OUTPUT_QUOTA_BYTES = 32 * 1024 * 1024
"""What one execution may keep: stream text as UTF-8, MIME values as UTF-8 or JSON."""

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


def gap_text(since_s: float, until_s: float) -> str:
    """What stands where outputs may be missing, because nobody listened to the kernel.

    Seconds since 1970; shown in UTC.
    """
    since, until = (datetime.fromtimestamp(each, UTC) for each in (since_s, until_s))
    return (
        "[Output may be missing here: the Headway daemon was away from "
        f"{since:%Y-%m-%d %H:%M:%S} to {until:%Y-%m-%d %H:%M:%S} UTC.]\n"
    )


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
