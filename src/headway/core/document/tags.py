"""Tags of cells that say how a cell is to be run.

Floor 1, pure. The names are Jupyter's: `raises-exception` and `skip-execution` mean here what
they mean to nbclient.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["RAISES_EXCEPTION", "SKIP_EXECUTION", "tags_of"]

RAISES_EXCEPTION = "raises-exception"
"""An error in the cell is what its author expects: it does not stop the batch it is in."""

SKIP_EXECUTION = "skip-execution"
"""The cell is left out of every batch, and keeps the outputs that it has."""


def tags_of(metadata: Mapping[str, Any]) -> frozenset[str]:
    """The tags in a cell's metadata; what has not the right form is no tag."""
    tags = metadata.get("tags")
    if not isinstance(tags, list):
        return frozenset()
    return frozenset(tag for tag in tags if isinstance(tag, str))
