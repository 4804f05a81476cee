"""A keystroke until a second client has it, and an output until a second client has it.

With 2, 10, 50 and 200 clients of one notebook, and with 10 of them typing. First client, second
client and the others are processes of their own, on the same processors.

    python bench/keystrokes.py [--quick] [--alone] [--json FILE]
"""

from __future__ import annotations

from contender import Absent, Audience, audience
from measure import Options, publish
from results import Aim, Curve, Figure, Point, Result, Rounds

OURS = "headway"
PEERS = ["jupyter-collaboration, TCP_NODELAY", "jupyter-server-documents, TCP_NODELAY"]
CLIENTS = [2, 10, 50, 200]
MOST_OF_PEERS = 50
LEAST_PAUSE_S = 0.03
PAUSE_S_PER_CLIENT = 0.001
"""Between two keystrokes everybody has time to take the last one: what is measured is a latency,
not how long a queue becomes."""

WRITERS = 10
KEYS_PER_S = 10.0
KEYSTROKE_AIMS_S = {2: 0.0015, 10: 0.004}
OUTPUT_AIM_S = 0.012


def main() -> None:
    options = Options(__doc__)
    rounds = options.of(3, 1)
    results: list[Result] = []
    series: dict[str, list[Point]] = {}
    for clients in options.of(CLIENTS, [2, 10]):
        names = [OURS]
        if clients <= MOST_OF_PEERS:
            names += options.peers(*PEERS)
        keys: Rounds = {}
        outputs: Rounds = {}
        absent: dict[str, str] = {}
        for name in names:
            try:
                with audience(name, clients) as among:
                    keys[name] = [_typed(among, clients, options) for _ in range(rounds)]
                    if clients in {2, 50}:
                        outputs[name] = [_ran(among, clients, options) for _ in range(rounds)]
            except Absent as error:
                absent[name] = str(error)
        aim = KEYSTROKE_AIMS_S.get(clients)
        results.append(
            Figure(
                name=f"A keystroke until a second client has it, {clients} clients",
                unit="ms",
                ours=[OURS],
                rounds=keys,
                absent=absent,
                aims=[Aim(aim)] if aim else [],
            )
        )
        if outputs:
            results.append(
                Figure(
                    name=f"A cell added and run until a second client has its output, {clients} clients",  # noqa: E501
                    unit="ms",
                    ours=[OURS],
                    rounds=outputs,
                    aims=[Aim(OUTPUT_AIM_S)] if clients == 50 else [],
                )
            )
        for name, found in keys.items():
            values = [value for block in found for value in block]
            series.setdefault(name, []).append(Point(clients, values))
    results.append(_writers(options, rounds))
    results.append(
        Curve(
            name="A keystroke until a second client has it, against the number of clients",
            size="clients",
            unit="ms",
            kind="whole",
            series=series,
            ours=[OURS],
            plot="keystrokes",
        )
    )
    publish(results, options)


def _typed(among: Audience, clients: int, options: Options) -> list[float]:
    return among.typed(options.of(60, 20), _pause_s(clients))


def _ran(among: Audience, clients: int, options: Options) -> list[float]:
    return among.ran(options.of(20, 5), _pause_s(clients))


def _pause_s(clients: int) -> float:
    return max(LEAST_PAUSE_S, clients * PAUSE_S_PER_CLIENT)


def _writers(options: Options, rounds: int) -> Figure:
    """One measured, and nine others who type at a pace."""
    taken: Rounds = {}
    absent: dict[str, str] = {}
    for name in [OURS, *options.peers(*PEERS)]:
        try:
            with audience(name, WRITERS + 1, KEYS_PER_S) as among:
                taken[name] = [_typed(among, WRITERS + 1, options) for _ in range(rounds)]
        except Absent as error:
            absent[name] = str(error)
    return Figure(
        name=f"A keystroke until a reader has it, {WRITERS} clients typing in one notebook",
        unit="ms",
        ours=[OURS],
        rounds=taken,
        absent=absent,
        note=f"Each of the others types {KEYS_PER_S:g} keys a second.",
    )


if __name__ == "__main__":
    main()
