"""Floods of output: nothing lost, nothing in another order, up to the quota that is stated.

S62, S63 under load. The long ones run when HEADWAY_TORTURE is set.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from headway.core.document.notices import OUTPUT_QUOTA_BYTES
from headway_daemon import HeadwayDaemon, bounded, headway_daemon

FLOOD_S = 300.0
MEBIBYTE = 2**20
torture = pytest.mark.skipif(
    "HEADWAY_TORTURE" not in os.environ, reason="long; set HEADWAY_TORTURE=1"
)

BURST = """
import sys
for block in range(50):
    head = f"{turn} {block}\\n"
    sys.stdout.write(head + "x" * (999_999 - len(head)) + "\\n")
turn += 1
"""


def text_of(outputs: tuple[dict[str, Any], ...]) -> str:
    assert [output["output_type"] for output in outputs] == ["stream"]
    return str(outputs[0]["text"])


def burst(turn: int) -> str:
    """What BURST prints in that turn."""
    heads = (f"{turn} {block}\n" for block in range(50))
    return "".join(head + "x" * (999_999 - len(head)) + "\n" for head in heads)


def peak_bytes(daemon: HeadwayDaemon) -> int:
    """The most memory that the daemon had so far."""
    status = Path(f"/proc/{daemon.post('status').body['pid']}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) * 1024


def print_lines(daemon: HeadwayDaemon, name: str, count: int) -> None:
    with daemon.open(name) as notebook:
        source = f"for number in range({count}): print(number, flush=True)"
        result = notebook.run(source, timeout=FLOOD_S)
        assert text_of(result.outputs) == "".join(f"{number}\n" for number in range(count))


def test_every_one_of_many_flushed_lines_is_there_in_order(
    daemon: HeadwayDaemon, name: str
) -> None:
    """S62."""
    print_lines(daemon, name, 5_000)


@torture
def test_every_one_of_100_000_flushed_lines_is_there_in_order(
    daemon: HeadwayDaemon, name: str
) -> None:
    """S62."""
    print_lines(daemon, name, 100_000)


def test_fifty_megabytes_at_once_are_all_there(daemon: HeadwayDaemon, name: str) -> None:
    """S63."""
    with daemon.open(name) as notebook:
        notebook.run("turn = 0", timeout=FLOOD_S)
        result = notebook.run(BURST, timeout=FLOOD_S)
        assert text_of(result.outputs) == burst(0)


@torture
def test_fifty_megabytes_ten_times_are_all_there_and_memory_is_bounded(
    daemon: HeadwayDaemon, name: str
) -> None:
    """S63: one cell run again and again, while its file is saved."""
    with daemon.open(name) as notebook:
        notebook.run("turn = 0", timeout=FLOOD_S)
        cell = notebook.add_cell(BURST)
        for turn in range(10):
            result = notebook.execute_cell(cell, timeout=FLOOD_S)
            assert text_of(result.outputs) == burst(turn)
        peak_is_bounded(daemon)


def peak_is_bounded(daemon: HeadwayDaemon) -> None:
    """A bound and not a measure: what passed through is many times as much."""
    assert peak_bytes(daemon) < 512 * MEBIBYTE


@torture
def test_ten_cells_of_fifty_megabytes_are_in_the_file_to_the_byte_and_memory_is_bounded(
    name: str,
) -> None:
    """S63: 500 MB in one notebook, saved, read in again by a daemon that never saw it."""
    cells = [f"turn = {turn}{BURST}" for turn in range(10)]
    with headway_daemon() as daemon:
        with daemon.open(name) as notebook:
            notebook.run("0", timeout=FLOOD_S)
            for source in cells:
                job = notebook.queue_cell(notebook.add_cell(source))
                assert job.wait(timeout=FLOOD_S) == "ok"
            notebook.save(timeout=FLOOD_S)
        peak_is_bounded(daemon)
        saved = json.loads(daemon.path(name).read_bytes())
        assert ["".join(cell["source"]) for cell in saved["cells"][-10:]] == cells
        for turn, cell in enumerate(saved["cells"][-10:]):
            (output,) = cell["outputs"]
            assert "".join(output["text"]) == burst(turn)
        del saved
        with headway_daemon() as another:
            shutil.copy(daemon.path(name), another.path(name))
            with another.open(name, timeout=FLOOD_S) as notebook:
                read = notebook.cells[-10:]
                assert [cell.source for cell in read] == cells
                notebook.set_metadata("changed", True)
                notebook.save(timeout=FLOOD_S)
            peak_is_bounded(another)
            written = json.loads(another.path(name).read_bytes())
            former = json.loads(daemon.path(name).read_bytes())
            assert written["metadata"].pop("changed")
            assert written == former


@torture
def test_what_is_over_the_quota_is_counted_to_the_byte(daemon: HeadwayDaemon, name: str) -> None:
    """S63."""
    over = 123_457
    with daemon.open(name) as notebook:
        source = f"import sys\n_ = sys.stdout.write('x' * {OUTPUT_QUOTA_BYTES + over})\n1 / 0"
        result = notebook.run(source, timeout=FLOOD_S)
        kept, marker, error = result.outputs
        left_out = re.search(r"left out ([\d,]+) bytes", marker["text"])
        assert left_out is not None
        assert len(kept["text"]) + int(left_out[1].replace(",", "")) == OUTPUT_QUOTA_BYTES + over
        assert len(kept["text"]) <= OUTPUT_QUOTA_BYTES
        assert error["ename"] == "ZeroDivisionError"


def test_an_interrupt_ends_a_flood_at_once(daemon: HeadwayDaemon, name: str) -> None:
    """S62: the interrupt does not wait behind what was printed."""

    async def scenario() -> None:
        async with daemon.open_async(name) as notebook:
            source = "number = 0\nwhile True:\n    print(number, flush=True)\n    number += 1"
            job = await notebook.queue_cell(notebook.add_cell(source))
            await notebook.wait_until(lambda: bool(job.outputs), timeout=FLOOD_S)
            async with asyncio.timeout(10.0):
                answer = await notebook.interrupt()
                assert answer.interrupted
                result = await job.result()
            assert result.error is not None
            assert result.error.ename == "KeyboardInterrupt"
            lines = str(result.outputs[0]["text"]).splitlines()
            assert lines == [str(number) for number in range(len(lines))]

    bounded(scenario())
