"""The exit statuses of the command line, as docs/reference/command-line.md has them.

Floor 6. What an error of ours ends with is the error's own (`HeadwayError.exit_status`).
"""

from __future__ import annotations

__all__ = ["EXIT_FAILED", "EXIT_INTERRUPTED", "EXIT_MISTAKE", "EXIT_TIMEOUT"]

EXIT_FAILED = 1
"""A cell failed, or what was asked for could not be done."""

EXIT_MISTAKE = 2
"""The command was none."""

EXIT_TIMEOUT = 124
"""A time limit passed; as timeout(1)."""

EXIT_INTERRUPTED = 130
"""Ctrl-C; as a shell says it of a program that SIGINT ended."""
