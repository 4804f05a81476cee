"""Streams that a cell leaves, and what becomes of them. In a kernel: test_jupyter_kernels."""

from __future__ import annotations

import io
import sys

import pytest

from headway.in_kernel.restoring import Nowhere, restore


class NoText(Exception):
    def __str__(self) -> str:
        raise ValueError("no text either")


class Unflushable(io.StringIO):
    def flush(self) -> None:
        raise NoText


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> tuple[io.StringIO, io.StringIO]:
    streams = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    return streams


def test_a_stream_that_works_is_left_alone(
    own: tuple[io.StringIO, io.StringIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    others = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", others[0])
    monkeypatch.setattr(sys, "stderr", others[1])
    restore(own)
    assert (sys.stdout, sys.stderr) == others
    assert own[1].getvalue() == ""


def test_none_becomes_a_stream_that_can_be_flushed_and_shows_nothing(
    own: tuple[io.StringIO, io.StringIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    restore(own)
    assert isinstance(sys.stdout, Nowhere)
    assert isinstance(sys.stderr, Nowhere)
    print("hidden", flush=True)
    print("hidden", file=sys.stderr, flush=True)
    assert [stream.getvalue() for stream in own] == ["", ""]


def test_whatever_is_broken_is_restored_and_it_is_said(
    own: tuple[io.StringIO, io.StringIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", Unflushable())
    monkeypatch.delattr(sys, "stderr")
    restore(own)
    assert (sys.stdout, sys.stderr) == own
    assert own[0].getvalue() == ""
    assert own[1].getvalue() == (
        f"sys.stdout is the notebook's again: it could not be flushed ({NoText.__module__}.NoText: "
        "<exception str() failed>).\n"
        "sys.stderr is the notebook's again: it could not be flushed "
        "(AttributeError: module 'sys' has no attribute 'stderr').\n"
    )
