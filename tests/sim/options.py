"""What one seed switches on: a random subset of faults and sizes (swarm testing)."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

__all__ = ["ACTIONS", "Options"]

ACTIONS = (
    "add", "update", "append", "splice", "move", "delete", "metadata", "notebook_metadata", "undo",
    "redo", "confirm", "hasty_confirm", "run_now", "execute", "execute_latest", "execute_twice",
    "execute_markdown", "execute_for_another", "execute_all", "result", "interrupt",
    "cancel", "restart_kernel", "save", "present", "leave", "complete",
)  # fmt: skip
"""What a client may do by itself, next to `shutdown_kernel` and `spoil`."""

_ALWAYS = ("add", "append", "confirm", "run_now")


@dataclass(frozen=True)
class Options:
    """The world of one seed."""

    seed: int
    clients: int
    chaos_s: float
    pace_s: float
    latency_s: float
    disk_s: float
    kernel_s: float
    fragment_bytes: int | None
    has_file: bool
    file_exists: bool
    emoji: bool
    cuts: bool
    stalls: bool
    crashes: bool
    kernel_deaths: bool
    kernel_noise: bool
    kernel_start_failures: bool
    disk_failures: bool
    file_failures: bool
    late_edited: bool
    late_client: bool
    short_tails: bool
    asking: bool
    kernels_survive: bool
    spoiling: bool
    """Whether somebody writes what no notebook can hold, and is refused with all behind it."""
    actions: dict[str, float] = field(default_factory=dict)

    @property
    def is_healthy(self) -> bool:
        """Whether connections, daemon and disk never fail, and nobody is put out."""
        fails = self.cuts or self.stalls or self.crashes or self.disk_failures
        return not (fails or self.spoiling)

    @classmethod
    def of(cls, seed: int) -> Options:
        dice = random.Random(f"options {seed}")

        def sometimes(chance: float) -> bool:
            return dice.random() < chance

        calm = sometimes(0.2)
        has_file = sometimes(0.5)
        actions = {name: dice.uniform(0.2, 1.0) for name in ACTIONS if sometimes(0.45)}
        actions |= {name: dice.uniform(0.6, 2.0) for name in _ALWAYS}
        for rare in ("leave", "restart_kernel", "interrupt"):
            if rare in actions:
                actions[rare] *= 0.3
        # By dice of its own, so that worlds without it are as they were before anybody did it.
        if random.Random(f"shutting down {seed}").random() < 0.3:
            actions["shutdown_kernel"] = 0.2
        if spoiling := random.Random(f"spoiling {seed}").random() < 0.15:
            actions["spoil"] = 0.15
        return cls(
            seed=seed,
            clients=dice.choice((1, 2, 2, 3, 3, 4)),
            chaos_s=dice.uniform(0.4, 1.6),
            pace_s=dice.choice((0.03, 0.08, 0.15)),
            latency_s=dice.choice((0.0002, 0.002, 0.02, 0.08)),
            disk_s=dice.choice((0.0005, 0.004, 0.04, 0.15)),
            kernel_s=dice.choice((0.002, 0.01, 0.05)),
            fragment_bytes=dice.choice((None, None, 300, 700)),
            has_file=has_file,
            file_exists=has_file and sometimes(0.5),
            emoji=sometimes(0.5),
            cuts=not calm and sometimes(0.5),
            stalls=not calm and sometimes(0.3),
            crashes=not calm and sometimes(0.4),
            kernel_deaths=sometimes(0.3),
            kernel_noise=sometimes(0.4),
            kernel_start_failures=sometimes(0.1),
            disk_failures=not calm and sometimes(0.1),
            file_failures=sometimes(0.2),
            late_edited=sometimes(0.3),
            late_client=sometimes(0.3),
            short_tails=sometimes(0.3),
            # By dice of its own, so that worlds without it are as they were before cells asked.
            asking=random.Random(f"asking {seed}").random() < 0.4,
            kernels_survive=random.Random(f"surviving {seed}").random() < 0.5,
            spoiling=spoiling,
            actions=actions,
        )
