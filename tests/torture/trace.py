"""What a process did to its disk, read from the output of strace.

Only what matters to a disk: writes with their place, truncations, names made and taken away, and
which of these were synced. A write counts from when it returned, a sync reaches what was written
before it was called. A line that cannot be read is an error: a trace with holes proves nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["TRACED", "Event", "read_trace"]

TRACED = (
    "openat,close,dup,dup2,dup3,write,writev,pwrite64,pwritev,fsync,fdatasync,ftruncate,"
    "rename,renameat,renameat2,unlink,unlinkat,link,linkat,mkdir,mkdirat,rmdir,fallocate,"
    "truncate,creat,open,copy_file_range,sendfile,sync_file_range"
)
"""The system calls that `read_trace` wants to see; those it does not know must not come."""

_LINE = re.compile(r"^(\d+) +(.*)$")
_CALL = re.compile(r"^(\w+)\((.*)\)\s+= (-?\d+)(.*)$")
_RESUMED = re.compile(r"^<\.\.\. (\w+) resumed>(.*)$")
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?')
_IGNORED = ("---", "+++")
_UNFINISHED = " <unfinished ...>"


@dataclass(frozen=True)
class Event:
    """One thing done.

    `kind` is open or create (the file or folder at `path` gets the number `file`), write,
    truncate or sync (of that number), folder, unlink, link, rename or exchange (of names), or say.
    """

    kind: str
    path: str = ""
    other: str = ""
    file: int = -1
    offset: int = 0
    content: bytes = b""
    size: int = 0
    began: int = 0
    """The number of events there were when a sync was called."""


def read_trace(path: Path, within: Path) -> list[Event]:
    """The events of one process, in order, on what is `within` a folder; and what it said."""
    reader = _Reader(str(within))
    for name, arguments, result, began in _calls(path.read_text("ascii").splitlines(), reader):
        reader.take(name, arguments, result, began)
    return reader.events


def _calls(lines: Iterable[str], reader: _Reader) -> Iterator[tuple[str, str, int, int]]:
    pending: dict[str, tuple[str, int]] = {}
    for line in lines:
        matched = _LINE.match(line)
        assert matched is not None, line[:200]
        thread, rest = matched.groups()
        if rest.startswith(_IGNORED):
            continue
        began = len(reader.events)
        if rest.startswith("close(") and rest.endswith(_UNFINISHED):
            # Its number may be another file's before this thread is heard of again.
            yield "close", rest.removeprefix("close(").removesuffix(_UNFINISHED), 0, began
            continue
        if rest.endswith(_UNFINISHED):
            pending[thread] = (rest.removesuffix(_UNFINISHED), began)
            continue
        resumed = _RESUMED.match(rest)
        if resumed is not None and resumed[1] == "close":
            continue
        if resumed is not None:
            start, began = pending.pop(thread)
            rest = start + resumed[2]
        call = _CALL.match(rest)
        if call is None:
            assert rest.endswith("= ?"), rest[:200]  # It was killed in that call.
            continue
        yield call[1], call[2], int(call[3]), began


class _Reader:
    def __init__(self, within: str) -> None:
        self.events: list[Event] = []
        self._within = within
        self._open: dict[int, tuple[int, str]] = {}
        self._places: dict[int, int] = {}
        self._opened = 0

    def take(self, name: str, arguments: str, result: int, began: int) -> None:
        if result < 0:
            return
        match name:
            case "openat":
                self._openat(arguments, result)
            case "close":
                self._open.pop(int(arguments), None)
            case "write" | "pwrite64" | "writev":
                self._write(name, arguments, result)
            case "fsync" | "fdatasync":
                file = self._file(arguments)
                if file is not None:
                    self.events.append(Event("sync", file=file, began=began))
            case "ftruncate":
                descriptor, size = arguments.split(", ")
                file = self._file(descriptor)
                if file is not None:
                    self.events.append(Event("truncate", file=file, size=int(size)))
            case "rename" | "link":
                self._two_names(name, arguments)
            case "renameat2" if arguments.endswith("RENAME_EXCHANGE"):
                assert arguments.count("AT_FDCWD") == 2, arguments[:200]
                self._two_names("exchange", arguments)
            case "unlink" | "rmdir" | "mkdir":
                path = self._ours(_texts(arguments)[0])
                if path is not None:
                    kind = "folder" if name == "mkdir" else "unlink"
                    self.events.append(Event(kind, path=path))
            case "dup" | "dup2" | "dup3" | "unlinkat":
                touched = self._ours(_texts(arguments)[0]) if '"' in arguments else None
                assert touched is None, f"{name}({arguments}) is not understood"
            case _:
                raise AssertionError(f"{name}({arguments[:200]}) is not understood")

    def _openat(self, arguments: str, result: int) -> None:
        path = self._ours(_texts(arguments)[0].decode())
        self._open.pop(result, None)
        if path is None:
            return
        assert arguments.startswith("AT_FDCWD"), arguments[:200]
        flags = arguments.rsplit('"', 1)[1]
        assert "O_APPEND" not in flags, arguments[:200]
        self._opened += 1
        self._open[result] = (self._opened, path)
        self._places[self._opened] = 0
        kind = "create" if "O_CREAT" in flags else "open"
        self.events.append(Event(kind, path=path, file=self._opened))
        if "O_TRUNC" in flags:
            self.events.append(Event("truncate", file=self._opened, size=0))

    def _write(self, name: str, arguments: str, result: int) -> None:
        descriptor = int(arguments.split(",", 1)[0])
        content = b"".join(_texts(arguments))
        if descriptor == 1 and name == "writev":
            self.events.append(Event("say", content=content))
            return
        found = self._open.get(descriptor)
        if found is None:
            return
        assert name != "writev", arguments[:200]
        assert len(content) >= result, "strace did not show all of it"
        file = found[0]
        if name == "pwrite64":
            place = int(arguments.rsplit(", ", 1)[1])
        else:
            place = self._places[file]
            self._places[file] += result
        self.events.append(Event("write", file=file, offset=place, content=content[:result]))

    def _two_names(self, name: str, arguments: str) -> None:
        first, second = (self._ours(each) for each in _texts(arguments))
        if first is not None and second is not None:
            self.events.append(Event(name, path=first, other=second))

    def _file(self, descriptor: str) -> int | None:
        found = self._open.get(int(descriptor))
        return None if found is None else found[0]

    def _ours(self, path: bytes | str) -> str | None:
        """The path relative to the folder; None if it is elsewhere. Shared memory is no disk."""
        text = path.decode() if isinstance(path, bytes) else path
        if text == self._within:
            return ""
        if not text.startswith(self._within + "/") or text.endswith("-shm"):
            return None
        return text[len(self._within) + 1 :]


def _texts(arguments: str) -> list[bytes]:
    found = []
    for matched in _TEXT.finditer(arguments):
        assert not matched[2], "strace cut a string short"
        found.append(bytes.fromhex(matched[1].replace("\\x", "")))
    return found
