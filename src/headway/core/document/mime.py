"""Media types: which values are text, JSON or binary, and how a value becomes a blob and returns.

Floor 1, pure. It knows nbformat's rules for MIME bundles and nothing of documents or files.

A large value is stored as the bytes a browser would want (a PNG as a PNG, not as base64), and yet
comes back exactly as it was: where the plain rule would lose something (base64 with line breaks, a
string that is no base64, a number where text belongs), the reference carries a `form` that says
how the bytes were made.

Source: "The Notebook file format", nbformat 4.5, "display_data"; nbformat's own `rwbase`.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, assert_never

import msgspec

__all__ = [
    "BLOB_THRESHOLD_BYTES",
    "INLINE_DEPTH",
    "MAX_DEPTH",
    "STREAM_MEDIA_TYPE",
    "BlobPart",
    "EncodedBlob",
    "Form",
    "JoinedText",
    "Kind",
    "clean_text",
    "clean_value",
    "decode_blob",
    "encode_blob",
    "fits_inline",
    "is_json",
    "is_text",
    "kind_of",
    "parts_of",
    "resolve",
    "text_size",
]

BLOB_THRESHOLD_BYTES = 1024
"""A MIME value larger than this is stored as a blob."""

INLINE_DEPTH = 16
"""A JSON value nested deeper than this is stored as a blob, however small."""

STREAM_MEDIA_TYPE = "text/plain"
"""What a blob of sealed stream text is."""

MAX_DEPTH = 200
"""No JSON value here is nested deeper: what a kernel sends deeper is cut off."""

_LARGEST_SAFE_INTEGER = 2**53 - 1
"""Beyond it a browser would read another number."""

Kind = Literal["text", "json", "base64"]

Form = Literal["", "newline", "lines", "text", "json"]
"""How a blob's bytes were made from the value.

`""`: as the kind of its media type says; `newline`: base64 with a line break at the end; `lines`:
base64 in lines of 76 with a break after each; `text`: a string that is not base64, as UTF-8;
`json`: a value of an unexpected type, as JSON.
"""

_TEXT_TYPES = frozenset(
    {"application/javascript", "application/xml", "application/x-latex", "image/svg+xml"}
)
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class EncodedBlob:
    """A value as bytes, and the form to decode them by."""

    data: bytes
    form: Form


@dataclass(frozen=True, slots=True)
class BlobPart:
    """Stands where the content of a blob belongs. `form` as in its reference."""

    sha256: str
    media_type: str
    form: Form = ""


@dataclass(frozen=True, slots=True)
class JoinedText:
    """Stands where a text belongs that is partly in blobs: the parts, in order."""

    parts: tuple[str | BlobPart, ...]


def is_json(media_type: str) -> bool:
    """Whether a value of this media type is a JSON value and not a string."""
    return media_type == "application/json" or (
        media_type.startswith("application/") and media_type.endswith("+json")
    )


def is_text(media_type: str) -> bool:
    """Whether a value of this media type is a string that is its content."""
    return media_type.startswith("text/") or media_type in _TEXT_TYPES


def kind_of(media_type: str) -> Kind:
    """How nbformat writes a value of this media type; what is neither JSON nor text is base64."""
    if is_json(media_type):
        return "json"
    return "text" if is_text(media_type) else "base64"


def encode_blob(media_type: str, value: Any) -> EncodedBlob:
    """The bytes to store for a value of a MIME bundle.

    The value must be clean (`clean_value`): no lone surrogates, no NaN.
    """
    kind = kind_of(media_type)
    if kind == "json" or not isinstance(value, str):
        return EncodedBlob(_json_bytes(value), "" if kind == "json" else "json")
    if kind == "text":
        return EncodedBlob(value.encode(), "")
    return _encode_base64(value)


def decode_blob(media_type: str, data: bytes, form: Form = "") -> Any:
    """The value that `encode_blob` made these bytes from. Raises ValueError if they are not."""
    match form:
        case "":
            return _decode_plain(kind_of(media_type), data)
        case "json":
            return json.loads(data)
        case "text":
            return data.decode()
        case "lines":
            return base64.encodebytes(data).decode("ascii")
        case "newline":
            return _base64(data) + "\n"
        case _:
            assert_never(form)


def _decode_plain(kind: Kind, data: bytes) -> Any:
    match kind:
        case "json":
            return json.loads(data)
        case "text":
            return data.decode()
        case "base64":
            return _base64(data)
        case _:
            assert_never(kind)


def _encode_base64(value: str) -> EncodedBlob:
    data = _decode_strictly(value)
    if data is not None:
        return EncodedBlob(data, "")
    if value.endswith("\n"):
        data = _decode_strictly(value[:-1])
        if data is not None:
            return EncodedBlob(data, "newline")
    try:
        # Without validation: it skips line breaks, and the comparison is stricter anyway.
        data = base64.b64decode(value)
    except (binascii.Error, ValueError):
        return EncodedBlob(value.encode(), "text")
    is_it = base64.encodebytes(data).decode("ascii") == value
    return EncodedBlob(data, "lines") if is_it else EncodedBlob(value.encode(), "text")


def _decode_strictly(value: str) -> bytes | None:
    """The bytes whose base64, in one line, is exactly `value`; None if there are none.

    Decoded by msgspec, in a sixth of the time that the standard library takes.
    """
    try:
        data = msgspec.convert(value, bytes)
    except msgspec.ValidationError:
        return None
    # Strict but for bits of the last character that decode to nothing.
    return data if value.endswith(_base64(data[-(len(data) % 3 or 3) :])) else None


def _base64(data: bytes) -> str:
    encoded: str = msgspec.to_builtins(data)
    return encoded


def _json_bytes(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def resolve(notebook: Any, load: Callable[[str], bytes]) -> Any:
    """A copy of `notebook` with each `BlobPart` and `JoinedText` replaced by its value.

    A `BlobPart` under the key `""` is a JSON object whose keys belong beside it. `load` gives the
    bytes of a blob by its SHA-256; what it raises for a missing one comes through.
    """
    match notebook:
        case dict():
            resolved = {key: resolve(value, load) for key, value in notebook.items()}
            if isinstance(notebook.get(""), BlobPart):
                resolved.update(resolved.pop(""))
            return resolved
        case list() | tuple():
            return [resolve(value, load) for value in notebook]
        case BlobPart(sha256, media_type, form):
            return decode_blob(media_type, load(sha256), form)
        case JoinedText(parts):
            return "".join(
                part if isinstance(part, str) else str(resolve(part, load)) for part in parts
            )
        case _:
            return notebook


def parts_of(notebook: Any) -> Iterator[BlobPart]:
    """Every `BlobPart` in `notebook`: what `resolve` will load. Some may be the same."""
    waiting = [notebook]
    while waiting:
        match waiting.pop():
            case BlobPart() as part:
                yield part
            case JoinedText(parts):
                waiting.extend(parts)
            case dict() as inside:
                waiting.extend(inside.values())
            case list() | tuple() as inside:
                waiting.extend(inside)
            case _:
                pass


def text_size(text: str) -> int:
    """The length of a clean text in bytes of UTF-8."""
    return len(text) if text.isascii() else len(text.encode())


def clean_text(text: str) -> str:
    """`text` with each lone surrogate as U+FFFD: neither UTF-8 nor the engine can hold one."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return _SURROGATE.sub("\ufffd", text)
    return text


def clean_value(value: Any, depth: int = MAX_DEPTH) -> Any:
    """A copy of a JSON-like value that can be stored: clean texts, None for NaN and infinities.

    Keys become strings, tuples lists, a value that is not JSON at all its `str`, and what is
    nested deeper than `depth` None.
    """
    match value:
        case None | bool() | int():
            return value
        case str():
            return clean_text(value)
        case float():
            return value if math.isfinite(value) else None
        case dict() if depth > 0:
            return {
                clean_text(str(key)): clean_value(inner, depth - 1) for key, inner in value.items()
            }
        case list() | tuple() if depth > 0:
            return [clean_value(inner, depth - 1) for inner in value]
        case _:
            return clean_text(str(value)) if depth > 0 else None


def fits_inline(value: Any, depth: int = INLINE_DEPTH) -> bool:
    """Whether a clean value can stand in a document: not too deep, no integer beyond 2**53."""
    match value:
        case bool():
            return True
        case int():
            return abs(value) <= _LARGEST_SAFE_INTEGER
        case dict():
            return depth > 0 and all(fits_inline(inner, depth - 1) for inner in value.values())
        case list():
            return depth > 0 and all(fits_inline(inner, depth - 1) for inner in value)
        case _:
            return True
