"""Create, edit, execute at once: what runs is what the caller saw. Nothing here ever waits first.

S1, S2, S4, S9.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path

import pytest

import headway
from headway.edges.paths import Paths
from headway.errors import KernelNotFound
from headway_daemon import HeadwayDaemon, bounded, typing_peers
from stalling_relay import relayed

TIMES = 1_000
"""How often S1 is run in each colour and under each load."""

TYPING_PEERS = 2
S1_LIMIT_S = 300.0
"""For a thousand runs; one that hangs has failed after RUN_S."""

RUN_S = 20.0

LOADS = pytest.mark.parametrize("peers", [0, TYPING_PEERS], ids=["idle", "loaded"])


def expression(number: int) -> tuple[str, str]:
    """A source that nobody else has, and what it must give."""
    return f"{number} * {number} + 7", str(number * number + 7)


def check(result: headway.ExecutionResult, source: str, text: str) -> None:
    assert result.status == "ok", result
    assert result.text == text, (source, result)
    assert result.source_sha256 == hashlib.sha256(source.encode()).hexdigest()


@LOADS
def test_a_new_cell_runs_its_own_source_a_thousand_times_with_the_sync_client(
    daemon: HeadwayDaemon, name: str, peers: int
) -> None:
    """S1."""
    with daemon.open(name) as notebook, typing_peers(daemon, name, peers):
        for number in range(TIMES):
            source, text = expression(number)
            cell = notebook.add_cell(source)
            check(notebook.execute_cell(cell, timeout=RUN_S), source, text)


@LOADS
def test_a_new_cell_runs_its_own_source_a_thousand_times_with_the_async_client(
    daemon: HeadwayDaemon, name: str, peers: int
) -> None:
    """S1."""

    async def scenario() -> None:
        async with daemon.open_async(name) as notebook:
            for number in range(TIMES):
                source, text = expression(number)
                cell = notebook.add_cell(source)
                check(await notebook.execute_cell(cell, timeout=RUN_S), source, text)

    with typing_peers(daemon, name, peers):
        bounded(scenario(), S1_LIMIT_S)


def test_a_cell_changed_just_before_it_is_executed_runs_as_changed(
    daemon: HeadwayDaemon, name: str
) -> None:
    """S2."""
    with daemon.open(name) as notebook:
        cell = notebook.add_cell("x = 1; x")
        notebook.update_source(cell, "x = 2; x")
        assert notebook.execute_cell(cell, timeout=RUN_S).text == "2"
        for number in range(3, 60):
            notebook.update_source(cell, f"x = {number}; x")
            assert notebook.execute_cell(cell, timeout=RUN_S).text == str(number)


def test_a_change_that_the_caller_has_not_seen_does_not_change_what_it_runs(
    daemon: HeadwayDaemon, name: str
) -> None:
    """S2, the other way round: the daemon has a newer text, and runs the one that was confirmed."""

    async def scenario() -> None:
        front = daemon.front()
        async with (
            relayed(daemon.socket, Paths.of(front).socket) as relay,
            daemon.open_async(name, home=front) as notebook,
            daemon.open_async(name) as other,
        ):
            cell = notebook.add_cell("'mine'")
            await notebook.confirm_sync(timeout=RUN_S)
            await other.wait_until(lambda: len(other.cells) == 1, timeout=RUN_S)
            relay.to_client.hold()
            other.update_source(cell, "'theirs'")
            await other.confirm_sync(timeout=RUN_S)
            running = asyncio.create_task(notebook.execute_cell(cell, timeout=RUN_S))
            await other.wait_until(lambda: other.cell(cell).status == "ok", timeout=RUN_S)
            assert notebook.source(cell) == "'mine'"
            relay.to_client.release()
            check(await running, "'mine'", "'mine'")
            latest = await notebook.execute_cell(cell, timeout=RUN_S, source="latest")
            check(latest, "'theirs'", "'theirs'")

    bounded(scenario())


@LOADS
def test_a_cell_appended_to_token_by_token_runs_whole(
    daemon: HeadwayDaemon, name: str, peers: int
) -> None:
    """S4."""
    text = "total = sum(range(10))\nprint(total)\nfor word in 'a b c'.split():\n    print(word)"
    tokens = [text[start : start + 3] for start in range(0, len(text), 3)]
    with daemon.open(name) as notebook, typing_peers(daemon, name, peers):
        for _ in range(20):
            cell = notebook.add_cell("")
            for token in tokens:
                notebook.append_source(cell, token)
            result = notebook.execute_cell(cell, timeout=RUN_S)
            check(result, text, "45\na\nb\nc\n")


def test_run_all_straight_after_edits_runs_every_cell_as_edited(
    daemon: HeadwayDaemon, name: str
) -> None:
    """S9."""
    with daemon.open(name) as notebook:
        for round_ in range(5):
            cells = [notebook.add_cell("stale") for _ in range(3)]
            for number, cell in enumerate(cells):
                notebook.update_source(cell, f"print({round_}, {number})")
            results = notebook.run_all(timeout=RUN_S)
            assert len(results) == 3 * (round_ + 1)
            assert [result.text for result in results[-3:]] == [
                f"{round_} {number}\n" for number in range(3)
            ]


def test_save_straight_after_edits_writes_them(daemon: HeadwayDaemon, name: str) -> None:
    """S9."""
    with daemon.open(name) as notebook:
        cell = notebook.add_cell("")
        for number in range(30):
            notebook.update_source(cell, f"edit {number}")
            notebook.set_metadata("edits", number)
            saved = notebook.save(timeout=RUN_S)
            written = json.loads(Path(saved.path).read_text())
            assert ["".join(each["source"]) for each in written["cells"]] == [f"edit {number}"]
            assert written["metadata"]["edits"] == number


def test_start_and_restart_kernel_straight_after_edits_see_them(
    daemon: HeadwayDaemon, name: str
) -> None:
    """S9: the kernel that is started is the one that the metadata names now."""
    with daemon.open(name) as notebook:
        notebook.set_metadata("kernelspec", {"name": "no-such-kernel", "display_name": "?"})
        with pytest.raises(KernelNotFound, match="no-such-kernel"):
            notebook.start_kernel(timeout=RUN_S)
        notebook.set_metadata("kernelspec", {"name": "python3", "display_name": "Python"})
        started = notebook.start_kernel(timeout=RUN_S)
        assert started.name == "python3"
        notebook.set_metadata("asked", "before the restart")
        assert notebook.restart_kernel(timeout=RUN_S).incarnation > started.incarnation
        assert notebook.run("'alive'", timeout=RUN_S).text == "'alive'"
