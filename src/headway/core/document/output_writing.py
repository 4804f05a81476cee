"""One output as nbformat writes it, piece by piece, its blobs put in as it goes.

Floor 1, pure, part of `file_writing`. Multi-line strings become lists of lines.
"""

from __future__ import annotations

import base64
import codecs
import json
from collections.abc import Iterable, Iterator
from typing import Any

from headway.core.document.file_image import text_digest, value_digest
from headway.core.document.forms import BUNDLE_TYPES
from headway.core.document.json_writing import JsonWriting, Load
from headway.core.document.mime import BlobPart, JoinedText, kind_of

__all__ = ["OutputWriting", "split_cell"]

_SPLIT_APPLICATION_TYPES = frozenset({"application/javascript", "image/svg+xml"})

_BYTES_AT_ONCE = 57 * 4096
"""Of a blob; whole lines of base64, which have 57 bytes each."""


class OutputWriting:
    """Writes outputs, one after the other. `load` gives the bytes of blobs."""

    def __init__(self, indent: str, load: Load) -> None:
        self._json = JsonWriting(indent)
        self._load = load
        self.summary: dict[str, Any] = {}
        """Of the last output, for its digest; see `file_image`."""

    def output(self, output: dict[str, Any], level: int) -> Iterator[str]:
        """An output in the form that `forms.file_form` gives."""
        output = self._with_rest(output)
        self.summary = dict(output)
        for key, opening in self._json.members(output, level):
            yield opening
            value = output[key]
            if key == "text" and output["output_type"] == "stream" and _is_text(value):
                yield from self._json.lines(self._texts(value), level + 1)
                self.summary[key] = text_digest(self._json.text_sha256)
            elif (
                key == "data" and output["output_type"] in BUNDLE_TYPES and isinstance(value, dict)
            ):
                yield from self._bundle(value, level + 1)
            else:
                value = self._loaded(value)
                self.summary[key] = value
                yield from self._json.value(value, level + 1)
        yield self._json.end(output, level)

    def _with_rest(self, output: dict[str, Any]) -> dict[str, Any]:
        """A blob under the key "" is an object whose keys belong beside it."""
        if not isinstance(output.get(""), BlobPart):
            return output
        output = dict(output)
        output.update(self._loaded(output.pop("")))
        return output

    def _loaded(self, value: Any) -> Any:
        if isinstance(value, BlobPart):
            return json.loads(self._load(value.sha256))
        return value

    def _bundle(self, bundle: dict[str, Any], level: int) -> Iterator[str]:
        digests = self.summary["data"] = {}
        for media_type, opening in self._json.members(bundle, level):
            yield opening
            value = bundle[media_type]
            is_json = isinstance(value, BlobPart) and (
                value.form == "json" or (kind_of(media_type) == "json" and not value.form)
            )
            value = self._loaded(value) if is_json else value
            if _is_text(value):
                texts = self._texts(value)
                if _is_split(media_type):
                    yield from self._json.lines(texts, level + 1)
                else:
                    yield from self._json.text(texts)
                digests[media_type] = text_digest(self._json.text_sha256)
            else:
                yield from self._json.value(value, level + 1)
                digests[media_type] = value_digest(media_type, value)
        yield self._json.end(bundle, level)

    def _texts(self, value: str | BlobPart | JoinedText) -> Iterator[str]:
        match value:
            case str():
                yield value
            case BlobPart(sha256, media_type, form):
                data = self._load(sha256)
                if form == "text" or kind_of(media_type) == "text":
                    yield from _decoded(data)
                else:
                    yield from _base64(data, form)
            case JoinedText(parts):
                for part in parts:
                    yield from self._texts(part)


def split_cell(cell: dict[str, Any]) -> dict[str, Any]:
    """A cell with its source and attachments as lists of lines."""
    split = {**cell, "source": _lines(cell["source"])}
    if "attachments" in cell:
        split["attachments"] = {
            name: _split_bundle(bundle) for name, bundle in cell["attachments"].items()
        }
    return split


def _is_text(value: Any) -> bool:
    return isinstance(value, str | BlobPart | JoinedText)


def _decoded(data: bytes) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")()
    for piece in _pieces(data):
        yield decoder.decode(piece)
    yield decoder.decode(b"", final=True)


def _base64(data: bytes, form: str) -> Iterator[str]:
    encode = base64.encodebytes if form == "lines" else base64.b64encode
    for piece in _pieces(data):
        yield encode(piece).decode("ascii")
    if form == "newline":
        yield "\n"


def _pieces(data: bytes) -> Iterable[bytes]:
    return (data[start : start + _BYTES_AT_ONCE] for start in range(0, len(data), _BYTES_AT_ONCE))


def _split_bundle(bundle: Any) -> Any:
    if not isinstance(bundle, dict):
        return bundle
    return {
        media_type: _lines(value) if _is_split(media_type) else value
        for media_type, value in bundle.items()
    }


def _is_split(media_type: str) -> bool:
    return media_type.startswith("text/") or media_type in _SPLIT_APPLICATION_TYPES


def _lines(value: Any) -> Any:
    return value.splitlines(keepends=True) if isinstance(value, str) else value
