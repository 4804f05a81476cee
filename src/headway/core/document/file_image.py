"""A file's image: what must be known of an `.ipynb` to merge it and to write it, without bulk.

Floor 1, pure. An image stands for the bytes of a file, which it names by their SHA-256. Of each
cell's outputs it has their number and a digest, by which it is seen whether two files show the
same; and, when the file was read to be taken in, the outputs themselves in the document's form.
Everything else of the file is there as it was written. So it stays small however much was printed.

    headway-image 1 SHA256-OF-THE-FILE SHA256-OF-WHAT-FOLLOWS
    {"0": [number, digest, outputs or null], ...}       by the cell's place
    the file's own text, each list of outputs empty

Stores of earlier versions, and files that are passed as they are, have the bytes themselves where
an image could be: what is here takes both.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from headway.core.document.forms import BUNDLE_TYPES
from headway.core.document.mime import is_json

__all__ = [
    "OutputsDigest",
    "OutputsImage",
    "digest_of",
    "image_of",
    "is_blank",
    "is_sound",
    "named_sha256",
    "split_image",
    "summary_of",
    "text_digest",
    "value_digest",
]

_HEAD = re.compile(rb"headway-image 1 ([0-9a-f]{64}) ([0-9a-f]{64})\n")


class OutputsImage(NamedTuple):
    """What is known of the outputs that a cell shows in a file."""

    number: int
    digest: str
    outputs: tuple[dict[str, Any], ...] | None = None
    """In the document's form; None when they only have to be recognised."""


def image_of(sha256: str, skeleton: bytes, shown: Mapping[int, OutputsImage]) -> bytes:
    """The image of the file that `sha256` names.

    Args:
        sha256: Of the file's bytes.
        skeleton: Its text in UTF-8, each list of outputs empty.
        shown: What it shows of its cells, by their place.
    """
    known = json.dumps(shown, ensure_ascii=False, separators=(",", ":")).encode()
    rest = known + b"\n" + skeleton
    check = hashlib.sha256(rest).hexdigest()
    return f"headway-image 1 {sha256} {check}\n".encode() + rest


def split_image(content: bytes) -> tuple[bytes, dict[int, OutputsImage]]:
    """The text of a file, and what it shows of its cells apart from that text."""
    head = _HEAD.match(content)
    if head is None:
        return content, {}
    known, _, skeleton = content[head.end() :].partition(b"\n")
    shown = {
        int(place): OutputsImage(number, digest, None if outputs is None else tuple(outputs))
        for place, (number, digest, outputs) in json.loads(known).items()
    }
    return skeleton, shown


def named_sha256(content: bytes) -> str:
    """The SHA-256 of the file that an image, or bytes as they are, stand for."""
    head = _HEAD.match(content)
    return hashlib.sha256(content).hexdigest() if head is None else head[1].decode()


def is_sound(content: bytes, sha256: object) -> bool:
    """Whether an image, or bytes as they are, are undamaged and of the file that is named."""
    head = _HEAD.match(content)
    rest = content if head is None else content[head.end() :]
    check = hashlib.sha256(rest).hexdigest()
    return named_sha256(content) == sha256 and (head is None or head[2].decode() == check)


def is_blank(content: bytes) -> bool:
    """Whether there is nothing in the file."""
    return not split_image(content)[0].strip()


class OutputsDigest:
    """The digest of a cell's outputs, one after the other."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.number = 0

    def add(self, summary: Mapping[str, Any]) -> None:
        """One output as nbformat has it, digests in the place of its text and its data."""
        self._hash.update(_json(summary) + b"\n")
        self.number += 1

    def hexdigest(self) -> str:
        """Of all that was added."""
        return self._hash.hexdigest()


def digest_of(outputs: Iterable[Mapping[str, Any]]) -> str:
    """The digest of outputs as nbformat has them, lines joined."""
    digest = OutputsDigest()
    for output in outputs:
        digest.add(summary_of(output))
    return digest.hexdigest()


def text_digest(sha256: str) -> str:
    """What stands for a text whose UTF-8 has this SHA-256."""
    return f"text {sha256}"


def value_digest(media_type: str, value: Any) -> str:
    """What stands for a value of a MIME bundle."""
    if isinstance(value, list) and not is_json(media_type):
        # As it will be read: lines are joined.
        value = "".join(value) if all(isinstance(line, str) for line in value) else value
    if isinstance(value, str):
        return text_digest(hashlib.sha256(value.encode()).hexdigest())
    return f"json {hashlib.sha256(_json(value)).hexdigest()}"


def summary_of(output: Mapping[str, Any]) -> dict[str, Any]:
    """An output as nbformat has it, lines joined, as `OutputsDigest` takes it."""
    match output:
        case {"output_type": "stream", "text": str(text)}:
            return {**output, "text": value_digest("text/plain", text)}
        case {"output_type": str(kind), "data": dict(data)} if kind in BUNDLE_TYPES:
            digests = {name: value_digest(name, value) for name, value in data.items()}
            return {**output, "data": digests}
        case _:
            return dict(output)


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
