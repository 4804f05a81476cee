"""Output floods: their time, what the server holds at most meanwhile, and what is kept of them.

10,000 prints, the same with a flush after each, 50 MB printed, and an image of 5 MB. And what a
flood in one notebook does to a keystroke in another: confirmed at rest, and meanwhile.

    python bench/floods.py [--quick] [--alone] [--json FILE]
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from contextlib import closing

from contender import Absent, Contender, Field, field
from measure import Options, publish
from results import Aim, Figure, Result, Rounds, Table

OURS = "headway"
FLOOR = "jupyter_client"
PEERS = ["jupyter-collaboration", "jupyter-server-documents", "marimo"]
LIMIT_S = 60.0
TYPING_S = 5.0

IMAGE = """
import os
from IPython.display import Image, display
display(Image(data=b"\\x89PNG\\r\\n\\x1a\\n" + os.urandom(5_000_000), format="png"))
"""
FIFTY_MB = """
import sys
line = "x" * 999_999 + "\\n"
for _ in range(50): sys.stdout.write(line)
"""
STORED_BYTES = {FIFTY_MB: 50_000_000, IMAGE: 5_000_000}
"""What of a flood is certainly stored before it is shown: outputs that leave the document."""

DISK = "a file of as many bytes, written and synced"
FLUSHED = "for i in range({count}): print('line', i, flush=True)"


def main() -> None:
    options = Options(__doc__)
    prints = options.of(10_000, 500)
    floods = {
        f"{prints:,} prints": f"for i in range({prints}): print('line', i)",
        f"{prints:,} prints, each flushed": FLUSHED.format(count=prints),
        "50 MB printed": FIFTY_MB,
        "An image of 5 MB": IMAGE,
    }
    results: list[Result] = []
    with field([OURS, FLOOR, *options.peers(*PEERS)]) as among:
        for name, code in floods.items():
            if code == IMAGE and "marimo" in among.present:
                among.drop("marimo", "it shows no such object")
            results += _flood(among, name, code, options.of(9 if code in STORED_BYTES else 3, 1))
            for dropped in set(among.absent) - {"marimo"}:
                among.start(dropped)  # who did not end one flood may end the next
    results.append(_meanwhile(options))
    publish(results, options)


def _flood(among: Field, name: str, code: str, rounds: int) -> list[Result]:
    taken: Rounds = {}
    lines: dict[str, list[str]] = {}
    for turn in range(rounds):
        names = list(among.present)
        shift = turn % len(names)
        for each in names[shift:] + names[:shift]:
            found = among.ask(each, "flood", LIMIT_S, code=code)
            if found is None:
                continue
            taken.setdefault(each, []).append([found["s"]])
            if "bytes" in found:
                characters = found.get("characters")
                kept = "" if characters is None else f"{characters:,}"
                lines[each] = [f"{found['bytes'] / 1e6:.0f}", kept]
        if code in STORED_BYTES:
            taken.setdefault(DISK, []).append([_written(STORED_BYTES[code])])
    aims = [Aim(1.5, FLOOR)] if code == IMAGE else []
    absent = dict(among.absent)
    return [
        Figure(
            name=name,
            unit="s",
            ours=[OURS],
            rounds=taken,
            absent=absent,
            aims=aims,
            note="jupyter_client has no document. Peers show an output before it is on the disk.",
        ),
        Table(
            name=f"{name}: what the server holds",
            columns=["MB at most above its rest", "characters in the client's result"],
            lines=lines,
            ours=[OURS],
        ),
    ]


def _written(size: int) -> float:
    """Seconds of a plain write and fsync, where the contenders have their files."""
    data = os.urandom(size)
    begun = time.perf_counter()
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
        return time.perf_counter() - begun


def _meanwhile(options: Options) -> Result:
    """A keystroke confirmed in one notebook, at rest and while another one is flooded."""
    code = FLUSHED.format(count=options.of(10_000, 2_000))
    taken: Rounds = {"at rest": [], "during a flood": []}
    absent: dict[str, str] = {}
    try:
        with closing(Contender(OURS)) as flooded, closing(Contender(OURS)) as typist:
            flooded.ask("start")
            typist.ask("join", place=flooded.ask("place"), clients=1)
            lasting_s = options.of(TYPING_S, 1.0)
            for _ in range(options.of(3, 1)):
                taken["at rest"].append(typist.ask("confirm", lasting_s=lasting_s))
                over = threading.Event()
                flooding = threading.Thread(target=_floods, args=(flooded, code, over))
                flooding.start()
                try:
                    taken["during a flood"].append(typist.ask("confirm", lasting_s=lasting_s))
                finally:
                    over.set()
                    flooding.join()
    except Absent as error:
        absent["during a flood"] = str(error)
    return Figure(
        name="A keystroke confirmed in one notebook, while another one is flooded",
        unit="ms",
        ours=["during a flood"],
        rounds={name: values for name, values in taken.items() if values},
        absent=absent,
        note="The flood is flushed prints, one after the other: four processes work on the same "
        "processors (both clients, the daemon, the kernel).",
    )


def _floods(flooded: Contender, code: str, over: threading.Event) -> None:
    while not over.is_set():
        flooded.ask("flood", LIMIT_S, code=code)


if __name__ == "__main__":
    main()
