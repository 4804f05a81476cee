"""What a kernel's folder says to the next daemon: whose it is, and what it was given last.

Both files outlive the process that wrote them, which is all they need to: a kernel does not
outlive the machine, so nothing is synced to the disk.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any, Final

import msgspec

from headway.core.kernel.events import KernelInfo
from headway.core.wire.rpc import KernelEnvironment
from headway.errors import KernelStartFailed
from headway.ids import DocumentId, ExecutionId

__all__ = [
    "Asked",
    "AskedNote",
    "KernelRecord",
    "leave_record",
    "read_asked",
    "read_record",
    "write_record",
]

_RECORD: Final = "record.json"
_ASKED: Final = "asked.json"
_ASKED_BYTES: Final = 256


class KernelRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A kernel that may outlive its daemon. It is written once the kernel answers."""

    document: DocumentId
    incarnation: int
    name: str
    language: str
    interrupt_mode: str
    is_ipykernel: bool
    is_prepared: bool = False
    language_info: dict[str, Any]
    protocol_version: str
    banner: str
    answers_while_busy: bool = False
    environment: KernelEnvironment | None = None

    @classmethod
    def of(
        cls,
        document: DocumentId,
        incarnation: int,
        name: str,
        info: KernelInfo,
        *,
        interrupt_mode: str,
        is_ipykernel: bool,
        is_prepared: bool,
        environment: KernelEnvironment | None = None,
    ) -> KernelRecord:
        """The record of a kernel that answers."""
        return cls(
            document=document,
            incarnation=incarnation,
            name=name,
            language=info.language,
            interrupt_mode=interrupt_mode,
            is_ipykernel=is_ipykernel,
            is_prepared=is_prepared,
            language_info=info.language_info,
            protocol_version=info.protocol_version,
            banner=info.banner,
            answers_while_busy=info.answers_while_busy,
            environment=environment,
        )

    @property
    def info(self) -> KernelInfo:
        """What the kernel said of itself."""
        return KernelInfo(
            self.language,
            self.language_info,
            self.protocol_version,
            self.banner,
            self.answers_while_busy,
        )


class Asked(msgspec.Struct, frozen=True):
    """The execution that a kernel was given last."""

    execution_id: ExecutionId
    sha256: str
    """Of its source."""
    after_count: int
    """The kernel's execution count before it."""

    @classmethod
    def of(cls, execution_id: ExecutionId, code: str, after_count: int) -> Asked:
        """The note of a request."""
        return cls(execution_id, hashlib.sha256(code.encode()).hexdigest(), after_count)


class AskedNote:
    """Where a kernel's last execution is noted, before the kernel is asked.

    Its place on the disk is taken when it is opened, so that a disk that fills up later does not
    cost a kernel that runs. What is noted already stays. Raises OSError.
    """

    def __init__(self, private: Path) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
        self._descriptor = os.open(private / _ASKED, flags, 0o600)
        try:
            if os.fstat(self._descriptor).st_size < _ASKED_BYTES:
                os.pwrite(self._descriptor, b" " * _ASKED_BYTES, 0)
        except BaseException:
            self.close()
            raise

    def write(self, asked: Asked) -> None:
        """Note it. One write of one size within a page: a kill does not cut it."""
        if self._descriptor >= 0:
            os.pwrite(self._descriptor, msgspec.json.encode(asked).ljust(_ASKED_BYTES), 0)

    def close(self) -> None:
        """Let go of the file. Idempotent."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def leave_record(private: Path, record: KernelRecord) -> AskedNote:
    """Write the record of a kernel that is about to be used; gives where its executions are noted.

    Raises KernelStartFailed when its folder cannot be written.
    """
    try:
        note = AskedNote(private)
        try:
            write_record(private, record)
        except BaseException:
            note.close()
            raise
    except OSError as why:
        raise KernelStartFailed(
            f'The kernel "{record.name}" cannot be used: its folder {private} cannot be written: '
            f"{why.strerror or why}. Free some space there and start it again.",
            name=record.name,
            reason=str(why),
            stderr="",
        ) from why
    return note


def write_record(private: Path, record: KernelRecord) -> None:
    """Write it, whole or not at all. Raises OSError."""
    written = private / f"{_RECORD}.new"
    written.write_bytes(msgspec.json.encode(record))
    written.rename(private / _RECORD)


def read_record(private: Path) -> KernelRecord | None:
    """The record in a kernel's folder; None if there is none that can be read."""
    try:
        return msgspec.json.decode((private / _RECORD).read_bytes(), type=KernelRecord)
    except (OSError, msgspec.DecodeError):
        return None


def read_asked(private: Path) -> Asked | None:
    """The note in a kernel's folder; None if it was given nothing."""
    try:
        return msgspec.json.decode((private / _ASKED).read_bytes().strip(), type=Asked)
    except (OSError, msgspec.DecodeError):
        return None
