r"""Whatever an ipykernel has to say can be sent, and takes less time to be packed.

A text may hold half a character: a lone surrogate, of an emoji that was cut or a file's name that
is no UTF-8. jupyter_client raises then, in ipykernel's own code behind the cell, and neither the
reply nor the end of the cell was sent. JSON has a way to say it (`\ud800`), and who reads it puts
U+FFFD in its place (`core.kernel.clean`).

And jupyter_client makes a new encoder for each of the four parts of each message, and packs the
header of the request anew for each of the five messages of a small cell.
"""

from __future__ import annotations

from json import JSONEncoder
from typing import Any, Final

from jupyter_client.jsonutil import json_clean, json_default

__all__ = ["NEEDS", "Packer", "prepare"]

NEEDS: Final = ("session.pack",)


class Packer:
    """Packs one part of a message.

    Args:
        pack: What the session packs with as it comes. It cleans up what is no JSON.
    """

    def __init__(self, pack: Any) -> None:
        self._pack = pack
        self._encode = JSONEncoder(default=json_default, ensure_ascii=False, allow_nan=False).encode
        self._escape = JSONEncoder(default=json_default, allow_nan=False).encode
        self._is_plain = getattr(pack, "__name__", "") == "json_packer"
        self._request: tuple[Any, bytes] = None, b""

    def __call__(self, part: Any) -> bytes:
        """The part as JSON."""
        __tracebackhide__ = True
        request, packed = self._request
        if part is request and part is not None:
            return packed
        try:
            packed = self._encode(part).encode() if self._is_plain else self._pack(part)
        except (TypeError, ValueError):
            packed = self._clean(part)
        if isinstance(part, dict) and str(part.get("msg_type")).endswith("_request"):
            # Until the next one it is the parent of each message, and nobody changes it.
            self._request = part, packed
        return packed

    def _clean(self, part: Any) -> bytes:
        __tracebackhide__ = True
        try:
            return bytes(self._pack(part))
        except UnicodeEncodeError:
            return self._escape(json_clean(part)).encode()


def prepare(kernel: Any) -> None:
    """Have what this kernel sends packed by us."""
    kernel.session.pack = Packer(kernel.session.pack)
