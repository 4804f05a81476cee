"""What a foreign program sent, made fit for a document and for JSON.

Floor 1, pure. Strings become valid Unicode, numbers finite; nothing else changes.
"""

from __future__ import annotations

import math
from typing import Any

__all__ = ["clean_text", "clean_value"]


def clean_text(value: Any) -> str:
    """A string with each lone surrogate as U+FFFD. Raises TypeError for anything else."""
    if not isinstance(value, str):
        raise TypeError("not a text")
    if value.isascii():
        return value
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        # A pair of surrogates is one character in UTF-16; a lone one is none and is replaced.
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return value


def clean_value(value: Any) -> Any:
    """A copy of a JSON value with clean strings, and None for NaN and the infinities."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, dict):
        return {clean_text(key): clean_value(item) for key, item in value.items()}
    if isinstance(value, list):
        return [clean_value(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
