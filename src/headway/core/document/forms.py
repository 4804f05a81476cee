"""The two forms of an output: as nbformat writes it, and as the runtime document holds it.

Floor 1, pure. In the document's form nothing is large: a value above the threshold is a reference
`{"blob": sha256, "size": bytes}` (with `"form"` when the bytes need one, see `mime`), and a stream
has its earlier text in `sealed`, a list of such references that come before `text`.

    stream                        {"output_type", "name", "text", "sealed"}
    display_data, execute_result  {"output_type", "data", "metadata"} and, where there is one,
                                  "execution_count" and "transient": {"display_id"}
    error                         {"output_type", "ename", "evalue", "traceback"}

`metadata`, and a traceback that came from a file, may be a reference too when they are large.
What nbformat does not know (other output types, other keys) is kept in `rest`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from headway.core.document.mime import (
    BLOB_THRESHOLD_BYTES,
    STREAM_MEDIA_TYPE,
    BlobPart,
    JoinedText,
    clean_text,
    clean_value,
    encode_blob,
    fits_inline,
    text_size,
)

__all__ = [
    "BUNDLE_TYPES",
    "METADATA_THRESHOLD_BYTES",
    "SEALED_BLOB_CHARACTERS",
    "SEAL_THRESHOLD_CHARACTERS",
    "BlobSet",
    "SealedOutputs",
    "blobs_of",
    "bundle_form",
    "file_form",
    "form_size",
    "is_reference",
    "seal_output",
    "seal_outputs",
    "seal_text",
    "stream_form",
    "value_form",
    "value_size",
]

SEAL_THRESHOLD_CHARACTERS = 65_536
"""Finished stream text longer than this leaves the document."""

SEALED_BLOB_CHARACTERS = 262_144
"""The longest piece of stream text in one blob (at most 1 MiB of UTF-8)."""

METADATA_THRESHOLD_BYTES = 16_384
"""An output's metadata larger than this, and a file's traceback, are stored as blobs."""

BUNDLE_TYPES = ("display_data", "execute_result")

_JSON = "application/json"
_KNOWN_KEYS = {
    "stream": {"output_type", "name", "text"},
    "display_data": {"output_type", "data", "metadata"},
    "execute_result": {"output_type", "data", "metadata", "execution_count"},
    "error": {"output_type", "ename", "evalue", "traceback"},
}


class BlobSet:
    """Blobs to be stored, each once, in the order they came."""

    __slots__ = ("_blobs",)

    def __init__(self) -> None:
        self._blobs: dict[str, bytes] = {}

    def add(self, data: bytes) -> dict[str, Any]:
        """Keep `data`; gives the reference to it."""
        sha256 = hashlib.sha256(data).hexdigest()
        self._blobs[sha256] = data
        return {"blob": sha256, "size": len(data)}

    def add_all(self, others: BlobSet) -> None:
        """Keep those of another set too."""
        self._blobs |= others._blobs

    def taken(self) -> tuple[tuple[str, bytes], ...]:
        """Pairs of SHA-256 and bytes."""
        return tuple(self._blobs.items())


@dataclass(frozen=True, slots=True)
class SealedOutputs:
    """Outputs in the document's form, and the blobs they refer to."""

    outputs: tuple[dict[str, Any], ...]
    blobs: tuple[tuple[str, bytes], ...]


def is_reference(value: Any) -> bool:
    """Whether a value in the document's form stands for a blob."""
    return isinstance(value, dict) and isinstance(value.get("blob"), str) and "size" in value


def value_size(value: Any) -> int:
    """The size of a clean value: a string's in UTF-8, anything else's as JSON, in bytes."""
    if isinstance(value, str):
        return text_size(value)
    return text_size(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def form_size(form: Mapping[str, Any]) -> int:
    """The size of what an output in the document's form shows, in bytes; of blobs, theirs."""
    values = [*form.values(), *(form.get("sealed") or ())]
    data = form.get("data")
    values.extend(data.values() if isinstance(data, Mapping) else ())
    stored = sum(int(value["size"]) for value in values if is_reference(value))
    return value_size(dict(form)) + stored


def value_form(
    media_type: str, value: Any, blobs: BlobSet, threshold: int = BLOB_THRESHOLD_BYTES
) -> Any:
    """A clean value as the document holds it: itself if small, else a reference."""
    small = value_size(value) <= threshold
    if small and fits_inline(value) and not (isinstance(value, dict) and "blob" in value):
        return value
    encoded = encode_blob(media_type, value)
    reference = blobs.add(encoded.data)
    if encoded.form:
        reference["form"] = encoded.form
    return reference


def bundle_form(
    output_type: str,
    data: Mapping[str, Any],
    metadata: Any,
    blobs: BlobSet,
) -> dict[str, Any]:
    """A MIME bundle with its metadata, both clean, as the document holds them."""
    return {
        "output_type": output_type,
        "data": {
            media_type: value_form(media_type, value, blobs) for media_type, value in data.items()
        },
        "metadata": value_form(_JSON, metadata, blobs, METADATA_THRESHOLD_BYTES),
    }


def stream_form(name: str, text: str, sealed: Iterable[dict[str, Any]] = ()) -> dict[str, Any]:
    """A stream as the document holds it."""
    return {"output_type": "stream", "name": name, "text": text, "sealed": list(sealed)}


def seal_text(text: str, blobs: BlobSet) -> list[dict[str, Any]]:
    """References to blobs that together hold `text`."""
    return [
        blobs.add(text[start : start + SEALED_BLOB_CHARACTERS].encode())
        for start in range(0, len(text), SEALED_BLOB_CHARACTERS)
    ]


def seal_outputs(outputs: Iterable[Mapping[str, Any]]) -> SealedOutputs:
    """Outputs from a file (multi-line strings joined) in the document's form."""
    blobs = BlobSet()
    return SealedOutputs(tuple(seal_output(each, blobs) for each in outputs), blobs.taken())


def seal_output(output: Mapping[str, Any], blobs: BlobSet) -> dict[str, Any]:
    """One of them."""
    return _sealed(clean_value(dict(output)), blobs)


def _sealed(output: dict[str, Any], blobs: BlobSet) -> dict[str, Any]:
    output_type = output.get("output_type")
    if not _is_well_formed(output):
        rest = {key: value for key, value in output.items() if key != "output_type"}
        return {"output_type": str(output_type), "rest": value_form(_JSON, rest, blobs)}
    assert isinstance(output_type, str)
    if output_type == "stream":
        text = output["text"]
        sealed = []
        if len(text) > SEAL_THRESHOLD_CHARACTERS:
            sealed, text = seal_text(text, blobs), ""
        form = stream_form(output["name"], text, sealed)
    elif output_type in BUNDLE_TYPES:
        form = bundle_form(output_type, output["data"], output["metadata"], blobs)
        if "execution_count" in output:
            form["execution_count"] = output["execution_count"]
    else:
        form = {key: output[key] for key in ("output_type", "ename", "evalue")}
        form["traceback"] = value_form(_JSON, output["traceback"], blobs, METADATA_THRESHOLD_BYTES)
    rest = {key: value for key, value in output.items() if key not in _KNOWN_KEYS[output_type]}
    if rest:
        form["rest"] = value_form(_JSON, rest, blobs)
    return form


def _is_well_formed(output: dict[str, Any]) -> bool:
    match output:
        case {"output_type": "stream", "name": str(), "text": str()}:
            return True
        case {"output_type": "display_data", "data": dict(), "metadata": dict()}:
            return True
        case {"output_type": "execute_result", "data": dict(), "metadata": dict()}:
            count = output.get("execution_count")
            return count is None or (isinstance(count, int) and fits_inline(count))
        case {"output_type": "error", "ename": str(), "evalue": str(), "traceback": list()}:
            return all(isinstance(line, str) for line in output["traceback"])
        case _:
            return False


def file_form(form: Mapping[str, Any]) -> dict[str, Any]:
    """An output as nbformat writes it, with `BlobPart` and `JoinedText` where blobs belong.

    Takes the document's form. What only a live display has (`transient`) is left out.
    `mime.resolve` puts the blobs in; a `rest` that is a blob stands under the key `""` until then.
    """
    output: dict[str, Any] = {}
    for key, value in form.items():
        match key:
            case "sealed" | "transient":
                continue
            case "text":
                output["text"] = _joined(value, form.get("sealed") or ())
            case "data":
                output["data"] = {
                    media_type: _placed(media_type, inner) for media_type, inner in value.items()
                }
            case "metadata" | "traceback":
                output[key] = _placed(_JSON, value)
            case "rest" if is_reference(value):
                output[""] = _placed(_JSON, value)
            case "rest":
                output.update(value)
            case _:
                output[key] = value
    return output


def _placed(media_type: str, value: Any) -> Any:
    if not is_reference(value):
        return value
    return BlobPart(value["blob"], media_type, value.get("form", ""))


def _joined(text: str, sealed: Iterable[dict[str, Any]]) -> str | JoinedText:
    parts = tuple(BlobPart(reference["blob"], STREAM_MEDIA_TYPE) for reference in sealed)
    return JoinedText((*parts, clean_text(text))) if parts else text


def blobs_of(outputs: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """The SHA-256 of every blob that outputs in the document's form refer to."""
    for output in outputs:
        values = [*(output.get("sealed") or ()), output.get("metadata"), output.get("rest")]
        values.append(output.get("traceback"))
        data = output.get("data")
        values.extend(data.values() if isinstance(data, Mapping) else ())
        for value in values:
            if is_reference(value):
                yield value["blob"]
