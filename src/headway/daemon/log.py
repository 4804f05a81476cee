"""The daemon's log: one JSON object a line, in a file that is rotated by size.

Floor 5. Not a record of work: that is the store. Inputs and effects are logged by `trace`, by
name and size; no source text, no output and no token is ever written here.
"""

from __future__ import annotations

import json
import logging
import logging.handlers
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from headway.edges.private_file import open_to_append
from headway.errors import StoreError

__all__ = [
    "LEVELS",
    "LOG_FILES_KEPT",
    "LOG_FILE_BYTES",
    "LOG_LEVEL_VARIABLE",
    "JsonLines",
    "level_from",
    "open_log",
]

LOG_FILE_BYTES = 8 * 1024 * 1024
"""A log file that would grow past this is put aside and a new one begun."""

LOG_FILES_KEPT = 3
"""How many files put aside are kept."""

LOG_LEVEL_VARIABLE = "HEADWAY_LOG"
"""The environment variable that names the level when the command line does not."""

LEVELS = ("debug", "info", "warning", "error")

_FOLDER_MODE = 0o700

# uvicorn writes request lines, and a request line of a WebSocket holds the token.
_QUIET_LOGGERS = ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi")


class JsonLines(logging.Formatter):
    """A record as one line of JSON; line ends and control characters inside it are escaped.

    Values passed as `extra={"fields": {...}}` become members of the object.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON: time (UTC), level, logger, event, fields, error."""
        moment = datetime.fromtimestamp(record.created, tz=UTC)
        entry: dict[str, Any] = {
            "time": moment.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        entry.update(getattr(record, "fields", {}))
        if record.exc_info:
            entry["error"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)


class _PrivateFile(logging.handlers.RotatingFileHandler):
    """A rotating log file that only its owner can read, from its first byte on."""

    def _open(self) -> Any:
        descriptor = open_to_append(self.baseFilename)
        return os.fdopen(descriptor, self.mode, encoding=self.encoding, errors=self.errors)


def level_from(argument: str | None) -> str:
    """The level to log at: the command line's, else the environment's, else `info`."""
    wanted = (argument or os.environ.get(LOG_LEVEL_VARIABLE, "")).strip().lower()
    return wanted if wanted in LEVELS else "info"


def open_log(path: Path, level: str) -> Callable[[], None]:
    """Send the log of this process to `path`; gives a function that lets go of the file.

    Args:
        path: The file; its folder is made (mode 0700) if absent.
        level: One of `LEVELS`.

    Raises StoreError when the file cannot be written.
    """
    try:
        path.parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        handler = _PrivateFile(
            path,
            maxBytes=LOG_FILE_BYTES,
            backupCount=LOG_FILES_KEPT,
            encoding="utf-8",
            errors="backslashreplace",
        )
    except OSError as error:
        raise StoreError(
            f"The log {path} cannot be written: {error.strerror}. Remove it, or set HEADWAY_HOME "
            "to another folder.",
            path=str(path),
        ) from error
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.addHandler(handler)
    logging.getLogger("headway").setLevel(level.upper())
    for name in _QUIET_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)

    def close() -> None:
        root.removeHandler(handler)
        handler.close()

    return close
