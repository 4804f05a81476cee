"""What is written past Python, with a stream that stands in for ipykernel's.

What comes of it in a real kernel is in `tests/edges/test_kernel_publishing.py`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest

from headway.in_kernel import descriptors
from headway.in_kernel.descriptors import Descriptor

ENOUGH_S = 30.0


class OutStream:
    """ipykernel's, with descriptors of its own in place of 1 and its copy."""

    def __init__(self) -> None:
        self._fid, self._original_stdstream_fd = os.pipe()
        self.copied, self._original_stdstream_copy = os.pipe()
        self._should_watch = True
        self._exc: object = None
        self.text = ""
        self.may_write = threading.Event()
        self.may_write.set()
        self.watch_fd_thread = threading.Thread(target=lambda: os.read(self._fid, 1))
        self.watch_fd_thread.start()

    def write(self, text: str) -> None:
        assert self.may_write.wait(ENOUGH_S)
        self.text += text

    def say(self, data: bytes) -> None:
        os.write(self._original_stdstream_fd, data)

    def close(self) -> None:
        self._should_watch = False
        self.say(b"\0")
        self.watch_fd_thread.join(ENOUGH_S)
        assert not self.watch_fd_thread.is_alive()
        for each in self._fid, self._original_stdstream_fd, self.copied:
            os.close(each)


@pytest.fixture
def stream() -> Iterator[OutStream]:
    stream = OutStream()
    yield stream
    stream.close()


def test_what_was_written_is_there_when_it_was_waited_for(stream: OutStream) -> None:
    descriptor = Descriptor(stream)
    written = ""
    for number in range(1000):
        stream.say(f"{number}\n".encode())
        written += f"{number}\n"
        descriptor.wait()
        assert stream.text == written
    assert os.read(stream.copied, len(written)).decode() == written


def test_text_that_was_read_and_is_not_written_yet_is_waited_for(stream: OutStream) -> None:
    descriptor = Descriptor(stream)
    stream.may_write.clear()
    stream.say(b"late")
    while not descriptor._is_taking:
        pass
    threading.Timer(0.05, stream.may_write.set).start()
    descriptor.wait()
    assert stream.text == "late"


def test_who_writes_for_ever_is_not_waited_for_for_ever(stream: OutStream) -> None:
    descriptor = Descriptor(stream)
    ends = threading.Event()

    def write() -> None:
        while not ends.is_set():
            stream.say(b"more\n")
            os.read(stream.copied, 1 << 20)

    writing = threading.Thread(target=write)
    writing.start()
    try:
        for _ in range(100):
            descriptor.wait()
    finally:
        ends.set()
        writing.join(ENOUGH_S)


def test_a_listener_that_is_stuck_is_waited_for_no_longer_than_said(
    stream: OutStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(descriptors, "PATIENCE_S", 0.01)
    descriptor = Descriptor(stream)
    stream.may_write.clear()
    stream.say(b"stuck")
    descriptor.wait()
    assert stream.text == ""
    stream.may_write.set()
    descriptor.wait()
    assert stream.text == "stuck"


def test_a_character_that_was_cut_in_two_comes_whole(stream: OutStream) -> None:
    descriptor = Descriptor(stream)
    for byte in "für".encode():
        stream.say(bytes([byte]))
        descriptor.wait()
    assert stream.text == "für"
    stream.say(b"\xff\n")
    descriptor.wait()
    assert stream.text == "für\N{REPLACEMENT CHARACTER}\n"


def test_after_a_failure_nobody_waits(stream: OutStream) -> None:
    descriptor = Descriptor(stream)
    os.close(stream._original_stdstream_copy)
    stream.say(b"x")
    stream.watch_fd_thread.join(ENOUGH_S)
    stream.say(b"y")
    descriptor.wait()
    assert stream._exc is not None
