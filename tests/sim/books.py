"""Small things that the oracle and the others agree on: what failed, what was asked, what shows."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import loro

from headway.core.document.crdt import Version
from headway.core.document.notices import gap_text
from headway.core.kernel.events import (
    DisplayData,
    ErrorOutput,
    ExecuteResult,
    KernelEvent,
    Stream,
)
from headway.core.wire import codec, commands
from headway.core.wire.messages import Ack
from sim.links import Frame

__all__ = [
    "Asked",
    "Violation",
    "describe",
    "end_of",
    "image",
    "is_gap",
    "is_part",
    "is_prefix",
    "lines",
    "question_of",
]

_GAP = gap_text(0, 0).partition(":")[0]


class Violation(AssertionError):
    """A property does not hold. `name` says which."""

    def __init__(self, name: str, detail: str) -> None:
        super().__init__(f"{name}: {detail}")
        self.name = name


@dataclass(frozen=True)
class Asked:
    """An execution as its caller saw it."""

    client: str
    cell_id: str
    text: str
    pinned: bool
    in_turn: bool = True
    """Whether its caller's earlier executions must begin before it."""

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


def end_of(update: bytes) -> Version:
    """Where an update ends, read from its bytes by the engine alone."""
    return Version(loro.LoroDoc.decode_import_blob_meta(update, False).partial_end_vv)


def image(said: Sequence[KernelEvent]) -> list[tuple[str, ...]]:
    """What outputs must look like after these events."""
    shown: list[tuple[str, ...]] = []
    for event in said:
        match event:
            case Stream(name=name, text=text):
                if shown and shown[-1][:2] == ("stream", name):
                    shown[-1] = ("stream", name, shown[-1][2] + text)
                else:
                    shown.append(("stream", name, text))
            case DisplayData(data=data):
                shown.append(("display_data", data["text/plain"]))
            case ExecuteResult(data=data):
                shown.append(("execute_result", data["text/plain"]))
            case ErrorOutput(name=name):
                shown.append(("error", name))
    return shown


def question_of(answer: str) -> str:
    """What the person answered with it, as `Person.is_asked` writes answers."""
    return answer.partition("|")[0]


def lines(shown: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Outputs with each line of text by itself; without what tells that some may be missing."""
    found: list[tuple[str, ...]] = []
    for output in shown:
        if output[0] != "stream":
            found.append(output)
            continue
        kind, name, text = output
        found.extend((kind, name, line) for line in text.splitlines(keepends=True))
    return [output for output in found if not is_gap(output)]


def is_gap(output: tuple[str, ...]) -> bool:
    """Whether it tells that outputs may be missing."""
    return output[:2] == ("stream", "stderr") and output[2].startswith(_GAP)


def is_part(shown: Sequence[tuple[str, ...]], expected: Sequence[tuple[str, ...]]) -> bool:
    """Whether `shown` is `expected` with some taken out."""
    rest = iter(expected)
    return all(output in rest for output in shown)


def is_prefix(shown: list[tuple[str, ...]], expected: list[tuple[str, ...]]) -> bool:
    """Whether `shown` is how `expected` looked at some earlier time."""
    if not shown:
        return True
    last = len(shown) - 1
    if last >= len(expected) or shown[:last] != expected[:last]:
        return False
    mine, whole = shown[last], expected[last]
    if mine[0] == "stream":
        return mine[:2] == whole[:2] and whole[2].startswith(mine[2])
    return mine == whole


def describe(frame: Frame) -> str:
    """A frame in a word or two; never its bytes, whose order the engine does not promise."""
    if isinstance(frame, str):
        return frame
    if frame.startswith(commands.RPC_MAGIC):
        return "command"
    message = codec.decode(frame)
    if isinstance(message, codec.Unknown):
        return "Unknown"
    if isinstance(message, Ack):
        return f"Ack {message.status.name} {message.batch_id.hex()}"
    return f"{type(message).__name__} {message.room[:2]} {message.kind.name}"
