"""Make a cell and have it run at once: does what was asked for run, once, and nothing else?

By the same client; by another one that was told the cell (and, with ours, the heads); and by
another one after an edit of a cell that is there. At rest, and while four others type.

    python bench/race.py [--quick] [--alone] [--json FILE]
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from contender import Absent, Contender
from measure import Options, publish
from results import Table

OURS = "headway"
PEERS = ["jupyter-collaboration, TCP_NODELAY", "jupyter-server-documents, TCP_NODELAY"]
KINDS = {
    "edit, other": "one edits, another runs it",
    "create, same": "the creator runs it",
    "create, other": "another client runs it",
}
WRITERS = 4
KEYS_PER_S = 10.0
TRIES = 2_000
PEER_LIMIT_S = 8.0
GRACE_S = 20.0
COUNTS = ["tries", "refused", "missed", "wrong", "never", "twice"]


def main() -> None:
    options = Options(__doc__)
    tries = options.of(TRIES, 20)
    lines: dict[str, list[str]] = {}
    absent: dict[str, str] = {}
    for name in [OURS, *options.peers(*PEERS)]:
        limit_s = options.of(60.0 if name == OURS else PEER_LIMIT_S, 5.0)
        for writers in (0, WRITERS):
            when = f"{writers} others type" if writers else "at rest"
            try:
                for kind, counts in measured(name, writers, tries, limit_s):
                    lines[f"{name}: {KINDS[kind]}, {when}"] = [
                        f"{counts[each]:,}" for each in COUNTS
                    ]
            except Absent as error:
                absent[f"{name}, {when}"] = str(error)
    table = Table(
        name="Make a cell, and have it run at once",
        columns=[*COUNTS[:2], "no output", "wrong output", "never ran", "ran twice"],
        lines=lines,
        absent=absent,
        ours=[OURS],
        must_be_zero=["refused", "no output", "wrong output", "never ran", "ran twice"],
        note=f"Up to {TRIES:,} tries; peers are given {PEER_LIMIT_S:.0f} s for each line. Refused "
        "is a try that the server, or the other client, did not know the cell for. What ran is "
        "counted by the kernel itself.",
    )
    publish([table], options)


def measured(
    name: str, writers: int, tries: int, limit_s: float
) -> Iterator[tuple[str, dict[str, int]]]:
    """The counts of each kind, in one notebook. Raises Absent."""
    with contextlib.ExitStack() as stack:
        contender = stack.enter_context(contextlib.closing(Contender(name)))
        contender.ask("start")
        if writers:
            crowd = stack.enter_context(contextlib.closing(Contender(name)))
            place = contender.ask("place")
            crowd.ask("join", place=place, clients=writers, writing_per_s=KEYS_PER_S)
        for kind in KINDS:
            given = {"kind": kind, "tries": tries, "limit_s": limit_s}
            yield kind, contender.ask("race", limit_s + GRACE_S, **given)


if __name__ == "__main__":
    main()
