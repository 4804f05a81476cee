"""What a workload does, as values: operations on a store, blobs and files, and their contents.

Every content follows from its name and number, so that what is found on a disk can be compared
with what should be there by somebody who was not there when it was written.
"""

from __future__ import annotations

import hashlib
import random
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["DOCUMENTS", "FILES", "Operation", "blob", "content", "number_of", "steps"]

DOCUMENTS = ("nb-" + "0" * 32, "nb-" + "1" * 32)
"""The notebooks of the script."""

FILES = ("one.ipynb", "two.ipynb")
"""The notebook files of the script."""

_LONGEST = 9000
_KINDS = ("append", "append", "append", "append", "blob", "file", "file", "compact", "together")


@dataclass(frozen=True)
class Operation:
    """One thing asked for. `first` and `last` number the updates of an append, both included."""

    kind: str
    document: str = ""
    first: int = 0
    last: int = 0
    accepted: tuple[str, ...] = ()
    finished: tuple[str, ...] = ()
    name: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, given: dict[str, Any]) -> Operation:
        lists = {"accepted": tuple(given["accepted"]), "finished": tuple(given["finished"])}
        return cls(**{**given, **lists})


@dataclass
class Progress:
    """Where the script stands: what was written last under each name."""

    numbers: dict[str, int] = field(default_factory=dict)
    executions: int = 0
    blobs: int = 0


def content(name: str, number: int) -> bytes:
    """The content number `number` of the thing `name`: 20 bytes to nine kilobytes."""
    head = f"<{name}:{number}>".encode()
    dice = random.Random(f"{name}:{number}")
    size = dice.choice((20, 60, 300, 1500, 4096, _LONGEST))
    return head + dice.randbytes(size) + head


def number_of(name: str, found: bytes) -> int | None:
    """Which content of `name` these bytes are; None if they are none, or not whole."""
    head = f"<{name}:".encode()
    if not found.startswith(head):
        return None
    digits = found[len(head) :].split(b">", 1)[0]
    if not digits.isdigit():
        return None
    number = int(digits)
    return number if found == content(name, number) else None


def blob(number: int) -> tuple[str, bytes]:
    """The blob number `number`, and its name."""
    data = content("blob", number)
    return hashlib.sha256(data).hexdigest(), data


def steps(seed: int, count: int) -> list[tuple[str, str]]:
    """What to do, in order: kinds, and which document or file each is about."""
    dice = random.Random(seed)
    chosen: list[tuple[str, str]] = [("create", document) for document in DOCUMENTS]
    for _ in range(count):
        kind = dice.choice(_KINDS)
        chosen.append((kind, dice.choice(FILES if kind == "file" else DOCUMENTS)))
    return chosen
