"""Worlds of many seeds: every property at every step, and each fault and recovery at least once.

More seeds: `HEADWAY_SIM_SEEDS=20000 python -m pytest tests/sim/test_world.py`. One seed, with its
trace: `python tests/sim/run.py SEED`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from sim.world import World

SEEDS = int(os.environ.get("HEADWAY_SIM_SEEDS", "2000"))
"""How many worlds."""

SLICES = 20
RUN = Path(__file__).with_name("run.py")

SOMETIMES = (
    "answer given",
    "answer_input refused: INPUT_NOT_AWAITED",
    "blob",
    "client leaves",
    "confirmed",
    "connection refused",
    "crash",
    "crash that lost transactions",
    "cut",
    "execute asked again under the same id",
    "execute refused: CELL_NOT_FOUND",
    "execute refused: NOT_EXECUTABLE",
    "execution cancelled",
    "execution error",
    "execution lost",
    "execution lost with the daemon",
    "execution ok",
    "file that cannot be written",
    "file written",
    "fragments",
    "interrupt of a cell that asks",
    "interrupt of what waited",
    "join of a runtime document that was replaced",
    "kernel death",
    "kernel that does not start",
    "not confirmed: ConfirmTimeout",
    "not confirmed: ConnectionLost",
    "result from the store",
    "room opened again",
    "snapshot in the place of updates",
    "replica refused",
    "stall",
    "status reconnecting",
    "store failure",
    "told of a refusal",
    "words of a kernel that was stopped",
    "kernel that outlived its daemon",
    "kernel that died while there was no daemon",
    "execution that outlived the daemon",
    "execution that waits again",
)
"""What must have happened somewhere, or the worlds are too tame to prove anything."""

HITS: Counter[str] = Counter()


@pytest.mark.parametrize("part", range(SLICES))
def test_every_property_holds_in_every_world(part: int) -> None:
    failures: list[str] = []
    for seed in range(part, SEEDS, SLICES):
        world = World(seed)
        try:
            world.run()
        except Exception as error:  # noqa: BLE001 - one line for each failing world
            line = f"python tests/sim/run.py {seed}    # {type(error).__name__}: {error}"
            failures.append(line[:300])
        HITS.update(world.hits)
    assert not failures, "\n" + "\n".join(failures)


def test_each_fault_and_each_recovery_happened() -> None:
    # Another process may have run the worlds where something happened that is rare.
    for seed in range(SEEDS):
        if all(HITS[what] for what in SOMETIMES):
            break
        world = World(seed)
        world.run()
        HITS.update(world.hits)
    assert [what for what in SOMETIMES if not HITS[what]] == []


def test_a_seed_gives_the_same_trace_byte_by_byte() -> None:
    def trace(hash_seed: str) -> bytes:
        return subprocess.run(
            [sys.executable, str(RUN), "24"],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            check=True,
            timeout=60,
        ).stdout

    first = trace("1")
    assert len(first.splitlines()) > 100
    assert trace("2") == first


def test_two_runs_in_one_process_give_the_same_trace() -> None:
    for seed in range(5):
        traces = []
        for _ in range(2):
            world = World(seed)
            world.run()
            traces.append(world.timeline.text())
        assert traces[0] == traces[1]
