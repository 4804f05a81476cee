"""A whole world from one seed: clients, links, a daemon, a kernel, a disk, and virtual time.

Three acts. Chaos: everybody does what the dice say while the faults of this seed happen. Calm:
the faults stop, everybody goes on writing, and each confirmation must come. Rest: nobody writes
any more, and in the end all replicas are equal and nothing is left to say.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from headway.core.document.crdt import Replica
from headway.core.document.notebook import NotebookDocument
from headway.core.document.runtime import TERMINAL, RuntimeReader
from headway.core.room import compaction
from headway.core.session import inputs
from headway.core.sync.confirm import Confirmation
from headway.core.wire import fragments
from headway.errors import UpdateRejected
from sim.client import Client
from sim.daemon import Daemon
from sim.disk import Disk
from sim.links import Link
from sim.options import Options
from sim.oracle import Oracle
from sim.timeline import Timeline

__all__ = ["World"]

DOCUMENT = "nb-" + "5" * 32
PATH = "/sim/notebook.ipynb"

CALM_S = 20.0
"""In the calm, each confirmation comes within this time, however busy the others are."""

REST_S = 70.0
"""Everything under way ends within this time once nobody asks for more."""

SILENCE_S = 3.0
"""At rest, nobody says anything for this long."""


class World:
    """The world of one seed. `run` raises Violation when a property does not hold."""

    PATIENCE_S = 20.0
    """A healthy world answers everybody who waits for so long."""

    def __init__(self, seed: int) -> None:
        self.options = options = Options.of(seed)
        self.seed = seed
        self.timeline = Timeline()
        self.hits: Counter[str] = Counter()
        self.frames = 0
        self.is_chaos = True
        self.clients: list[Client] = []
        self._names = 0
        self._numbers = 0
        self.oracle = Oracle(self)
        path = PATH if options.has_file else None
        self.disk = Disk(
            self.timeline,
            self.split("disk"),
            options.disk_s,
            DOCUMENT,
            path,
            self.oracle.finished_twice,
            lambda: self.hit("snapshot in the place of updates"),
        )
        self.daemon = Daemon(self, self.disk)
        if options.file_exists:
            self.daemon.files[PATH] = _first_file()
        self._faults = self.split("faults")
        self._links = self.split("links")

    def split(self, name: str) -> random.Random:
        """A generator of its own for each part, so that one part's dice move no other's."""
        return random.Random(f"{self.seed} {name}")

    def hit(self, what: str) -> None:
        """Something worth having happened at least once."""
        self.hits[what] += 1

    # The three acts

    def run(self) -> None:
        with self._small_sizes():
            self._chaos()
            self._calm()
            self._rest()

    @contextmanager
    def _small_sizes(self) -> Iterator[None]:
        """Sizes, not faults: with 240 KiB to a message no seed would ever see a fragment."""
        before = fragments.split.__defaults__
        tail = compaction.COMPACT_UPDATES
        if self.options.fragment_bytes is not None:
            fragments.split.__defaults__ = (self.options.fragment_bytes,)
        if self.options.short_tails:
            vars(compaction)["COMPACT_UPDATES"] = 12
        try:
            yield
        finally:
            fragments.split.__defaults__ = before
            vars(compaction)["COMPACT_UPDATES"] = tail

    def _chaos(self) -> None:
        options, timeline = self.options, self.timeline
        self.daemon.start()
        for _ in range(options.clients):
            self._add_client()
        if options.late_client:
            timeline.after(options.chaos_s * 0.7, self._add_client)
        if options.cuts or options.stalls or options.crashes:
            self._next_fault()
        timeline.run_until(timeline.now_s + options.chaos_s)

    def _calm(self) -> None:
        timeline = self.timeline
        timeline.note("calm")
        self.is_chaos = False
        if not self.daemon.is_up:
            self.daemon.start()
        asked = [(client, client.confirm(3 * CALM_S)) for client in self.clients]
        end_s = timeline.now_s + CALM_S
        while timeline.now_s < end_s and not all(
            isinstance(c.settled.get(t), Confirmation) for c, t in asked
        ):
            timeline.run_until(timeline.now_s + 0.25)
            # Told that edits were refused, a person asks again for what is left.
            asked = [
                (c, c.confirm(3 * CALM_S) if isinstance(c.settled.get(t), UpdateRejected) else t)
                for c, t in asked
            ]
        for client, token in asked:
            outcome = client.settled.get(token)
            self.oracle.require(
                isinstance(outcome, Confirmation),
                "a confirmation comes while others write",
                f"{client.name}: {outcome!r}",
            )

    def _rest(self) -> None:
        timeline = self.timeline
        timeline.note("rest")
        for client in self.clients:
            client.rest()
        end_s = timeline.now_s + REST_S
        while (restless := self._restless()) and timeline.now_s < end_s:
            timeline.run_until(timeline.now_s + 0.5)
        self.oracle.require(not restless, "the world comes to rest", restless)
        frames = self.frames
        timeline.run_until(timeline.now_s + SILENCE_S)
        said = self.frames - frames
        self.oracle.require(said == 0, "at rest nobody says anything", said)
        self._compare()

    def _restless(self) -> str:
        """What is still going on, or nothing."""
        room = self.daemon.room
        if room is None:
            return "no room"
        if not room.is_idle or self.disk.volatile or self.daemon.kernels.is_doomed:
            return f"the room is not idle, or its kernel is about to die: {room.summary()}"
        if any(link.carries and link.up.in_flight for link in self.daemon.links.values()):
            return "words of somebody who is gone are on their way"
        for client in self.clients:
            if client.session.status != "live":
                return f"{client.name} is {client.session.status}"
            if client.requests or client.confirms:
                return f"{client.name} waits for {client.requests} {client.confirms}"
            link = client.link
            if link is None or not link.carries or link.up.in_flight or link.down.in_flight:
                return f"frames of {client.name} are on their way"
            if not self.disk.durable(DOCUMENT).includes(client.session.document.replica.version()):
                return f"{client.name} has what the disk has not"
        return ""

    def _compare(self) -> None:
        """P1: everybody has the same, and so has the disk."""
        room, require = self.daemon.room, self.oracle.require
        assert room is not None
        cells, metadata = room.notebook.cells(), room.notebook.metadata()
        version = room.notebook.replica.version()
        reloaded = NotebookDocument(Replica.load(9, self.disk.snapshot, self.disk.updates))
        require(reloaded.replica.version() == version, "the disk has the version of the room")
        require(reloaded.cells() == cells, "the disk has the cells of the room")
        require(reloaded.metadata() == metadata, "the disk has the metadata of the room")
        ids = [cell.id for cell in cells]
        require(len(set(ids)) == len(ids), "no cell is there twice", ids)
        shadow = RuntimeReader(self.disk.shadows[room.runtime])
        self.oracle.compare_runtime("disk", shadow, room.runtime_reader)
        for client in self.clients:
            mine = client.session.document
            require(mine.replica.version() == version, "versions converge", client.name)
            require(mine.cells() == cells, "cells converge", f"{mine.cells()} {cells}")
            require(mine.metadata() == metadata, "metadata converges", client.name)
            reader = client.session.runtime
            assert reader is not None, "a live session has a runtime document"
            self.oracle.compare_runtime(client.name, reader, room.runtime_reader)
        self._compare_executions(room.runtime_reader)
        self._compare_file([(cell.id, cell.source) for cell in cells])

    def _compare_executions(self, reader: RuntimeReader) -> None:
        for execution_id, accepted in self.disk.accepted.items():
            ended = self.disk.finished.get(accepted.runs_as)
            self.oracle.require(ended is not None, "what was accepted ends", execution_id)
        for execution_id in reader.executions():
            record = reader.execution(execution_id)
            assert record is not None
            self.oracle.require(record.status in TERMINAL, "every record ends", record)
            self.oracle.check_record(record)

    def _compare_file(self, cells: list[tuple[str, str]]) -> None:
        path = self.disk.path
        if path is None or path not in self.daemon.files:
            return
        notebook = json.loads(self.daemon.files[path])
        found = [(cell["id"], "".join(cell["source"])) for cell in notebook["cells"]]
        self.oracle.require(found == cells, "the file holds the notebook", (found, cells))

    # Clients

    def _add_client(self) -> None:
        self._names += 1
        client = Client(self, f"client{self._names}")
        self.clients.append(client)
        client.feed(inputs.Started())
        self._next_act(client)

    def replace(self, client: Client) -> None:
        """This one leaves, and another comes."""
        self.hit("client leaves")
        self.clients.remove(client)
        client.leave()
        self._add_client()

    def _next_act(self, client: Client) -> None:
        pace_s = self.options.pace_s if self.is_chaos else 0.3
        delay_s = client.dice.expovariate(1 / pace_s)
        self.timeline.after(delay_s, lambda: self._act(client))

    def _act(self, client: Client) -> None:
        if client.is_gone or client.rests:
            return
        if self.is_chaos:
            client.person.act()
        else:
            client.person.go_on()
        self._next_act(client)

    def link(self, client: Client) -> Link:
        """A connection from a client to the daemon."""
        self._numbers += 1
        number = self._numbers
        link = Link(
            self.timeline,
            self._links,
            number,
            self.options.latency_s,
            to_daemon=lambda frame: self.daemon.receive(number, frame),
            to_client=lambda frame: client.receive(link, frame),
            daemon_ended=lambda: self.daemon.gone(number),
            client_ended=lambda reason: client.lost(link, reason),
        )
        self.daemon.accept(link)
        return link

    # Faults

    def _next_fault(self) -> None:
        self.timeline.after(self._faults.expovariate(3.0), self._fault)

    def _fault(self) -> None:
        if not self.is_chaos:
            return
        options, dice = self.options, self._faults
        kinds = [name for name in ("cuts", "stalls", "crashes") if getattr(options, name)]
        links = [client.link for client in self.clients if client.link is not None]
        match dice.choice(kinds):
            case "cuts" if links:
                self.timeline.note("a link is cut")
                self.hit("cut")
                dice.choice(links).cut()
            case "stalls" if links:
                self.timeline.note("a link stalls")
                self.hit("stall")
                dice.choice(links).stall(dice.choice((0.2, 2.0)), up=dice.random() < 0.5)
            case "crashes":
                self.crash()
        self._next_fault()

    def crash(self) -> None:
        """The daemon dies, and is started again a little later."""
        self.daemon.crash()
        self.timeline.after(self._faults.uniform(0.01, 0.4), self._restart)

    def _restart(self) -> None:
        if not self.daemon.is_up:
            self.daemon.start()


def _first_file() -> bytes:
    cells: list[dict[str, Any]] = [
        {"cell_type": "code", "id": f"file{number}e", "metadata": {}, "source": [f"y = {number}"],
         "execution_count": None, "outputs": []}
        for number in range(2)
    ]  # fmt: skip
    notebook = {"cells": cells, "metadata": {"kept": True}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(notebook, indent=1).encode() + b"\n"
