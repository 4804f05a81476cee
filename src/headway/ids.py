"""Identities, made from random bytes that the caller brings.

Below everything. Nothing here reads a clock or a random source: `entropy` is any callable that
gives `n` random bytes, `os.urandom` in production and a seeded generator in a simulated world.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from typing import NewType

__all__ = [
    "CellId",
    "DocumentId",
    "Entropy",
    "ExecutionId",
    "Heads",
    "batch_id",
    "cell_id",
    "derived_execution_id",
    "document_id",
    "execution_id",
    "heads_from_text",
    "heads_to_text",
    "is_execution_id",
    "minted_ms",
    "peer_id",
    "prompt_id",
]

_NO_TIME = (1 << 48) - 1
"""In place of a time, in an id derived from one that has none."""

Entropy = Callable[[int], bytes]
"""`entropy(n)` gives `n` random bytes."""

CellId = str
"""1 to 64 letters, digits, `-` or `_`: nbformat 4.5's rule. Unique in its notebook, for ever."""

DocumentId = str
"""`nb-` or `rt-` and 32 hexadecimal digits: the notebook document, or a runtime document."""

ExecutionId = str
"""A UUID version 7 in its usual text form, minted by the client that asks."""

Heads = NewType("Heads", bytes)
"""Opaque: the encoded frontiers of a document. The ticket of ARCHITECTURE.md."""


def cell_id(entropy: Entropy) -> CellId:
    """A fresh cell id: 12 hexadecimal digits (48 bits)."""
    return entropy(6).hex()


def document_id(kind: str, entropy: Entropy) -> DocumentId:
    """A fresh document id; `kind` is `nb` (notebook) or `rt` (runtime)."""
    assert kind in {"nb", "rt"}, kind
    return f"{kind}-{entropy(16).hex()}"


def peer_id(entropy: Entropy) -> int:
    """A fresh engine peer id: 63 random bits, never zero, never given to a second replica.

    63 and not 64: the engine reserves the largest unsigned value.
    """
    return (int.from_bytes(entropy(8), "big") >> 1) or 1


def prompt_id(entropy: Entropy) -> str:
    """A fresh id of a prompt: 16 hexadecimal digits (64 bits)."""
    return entropy(8).hex()


def batch_id(entropy: Entropy) -> bytes:
    """Eight bytes that name one update batch on one connection."""
    return entropy(8)


def execution_id(wall_s: float, entropy: Entropy) -> ExecutionId:
    """A UUID version 7 (RFC 9562, section 5.7): milliseconds since 1970, then 74 random bits."""
    milliseconds = int(wall_s * 1000) & (1 << 48) - 1
    random_bits = int.from_bytes(entropy(10), "big")
    value = milliseconds << 80
    value |= 0x7 << 76
    value |= (random_bits >> 62 & 0xFFF) << 64
    value |= 0b10 << 62
    value |= random_bits & (1 << 62) - 1
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def derived_execution_id(batch_id: ExecutionId, cell_id: CellId) -> ExecutionId:
    """The execution id of one cell of an `execute_all`: the same wherever it is computed.

    A UUID version 8 (RFC 9562, section 5.8): the time of the batch's id, then SHA-256 over that
    and the cell's, so a repeated admission names the same executions.
    """
    digest = hashlib.sha256(f"{batch_id}\n{cell_id}".encode()).digest()
    minted = minted_ms(batch_id)
    value = int.from_bytes(digest[:16], "big") & (1 << 80) - 1
    value |= (_NO_TIME if minted is None else minted) << 80
    value = value & ~(0xF << 76) | 0x8 << 76
    value = value & ~(0b11 << 62) | 0b10 << 62
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def minted_ms(execution_id: ExecutionId) -> int | None:
    """When an id of version 7 or 8 says it was minted, in milliseconds since 1970; else None."""
    if not is_execution_id(execution_id) or execution_id[14] not in "78":
        return None
    milliseconds = int(execution_id[:8] + execution_id[9:13], 16)
    return None if milliseconds == _NO_TIME else milliseconds


def is_execution_id(text: str) -> bool:
    """Whether `text` has the form of a UUID (any version) in lower case."""
    groups = text.split("-")
    if [len(group) for group in groups] != [8, 4, 4, 4, 12]:
        return False
    return all(character in "0123456789abcdef" for group in groups for character in group)


def heads_to_text(heads: Heads) -> str:
    """Heads as JSON carries them: standard base64."""
    return base64.b64encode(heads).decode("ascii")


def heads_from_text(text: str) -> Heads:
    """The inverse of `heads_to_text`; raises ValueError for anything else."""
    return Heads(base64.b64decode(text.encode("ascii"), validate=True))
