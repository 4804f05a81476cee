"""The daemon: a real room, and the few lines of a shell that a room needs around it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, assert_never

import msgspec

from file_content import written
from headway.core.kernel.events import KernelInfo
from headway.core.room.effects import (
    Answer,
    AskKernel,
    Close,
    Compact,
    Effect,
    InterruptKernel,
    LookAtEnvironment,
    Persist,
    ReadFile,
    Refuse,
    Send,
    StartKernel,
    StopKernel,
    StoreBlob,
    WriteFile,
)
from headway.core.room.inputs import (
    FileSeen,
    FileWriteFailed,
    FileWritten,
    Input,
    PeerArrived,
    PeerGone,
    Persisted,
    PersistFailed,
    Received,
    RequestAbandoned,
    Requested,
    Tick,
)
from headway.core.room.opening import LivingKernel
from headway.core.room.room import CLOSE_TRY_AGAIN, Room
from headway.core.wire import codec, commands, rpc
from headway.core.wire.messages import Join, JoinError, JoinErrorCode
from headway.errors import (
    FileChanged,
    FileNotWritable,
    HeadwayError,
    StoreFailed,
)
from sim.disk import Disk
from sim.kernel import FakeKernel
from sim.kernels import Kernels
from sim.links import Frame, Link
from sim.timeline import Timer

if TYPE_CHECKING:
    from sim.world import World

__all__ = ["Daemon"]


class Daemon:
    """One process that serves one notebook; a crash ends it, and a new life begins later."""

    def __init__(self, world: World, disk: Disk) -> None:
        self.world = world
        self.disk = disk
        self.dice = world.split("daemon")
        self.entropy = world.split("daemon entropy").randbytes
        self.files: dict[str, bytes] = {}
        self.life = 0
        self.is_up = False
        self.room: Room | None = None
        self.links: dict[int, Link] = {}
        self.kernels = Kernels(world, self.feed, self._lives)
        self._arrived: dict[int, None] = {}
        self._asked: dict[int, tuple[int, commands.RequestId]] = {}
        self._opens: list[tuple[int, commands.RequestId]] = []
        self._tokens = 0
        self._timer = Timer(world.timeline, lambda: None)
        self._survivor: tuple[LivingKernel, FakeKernel] | None = None

    # Life

    def start(self) -> None:
        """A new life: the socket is there at once, the notebook when it is asked for."""
        self.life += 1
        self.is_up = True
        self.world.timeline.note("daemon starts")
        self._load_for_the_survivor()

    def crash(self) -> None:
        """Kill -9, or the power."""
        if not self.is_up:
            return
        lost = self.disk.crash()
        self.world.hit("crash")
        if lost:
            self.world.hit("crash that lost transactions")
        self.world.timeline.note(f"daemon crashes, {lost} transactions lost")
        self.is_up = False
        self._forget_room()
        for link in list(self.links.values()):
            link.cut()
        self.links.clear()

    def _forget_room(self) -> None:
        self.life += 1
        self.room = None
        self.world.oracle.room_gone()
        self._timer.set(None)
        left = self.kernels.leave()
        if left is not None:
            incarnation, kernel = left
            since_s = self.world.timeline.now().wall_s
            info = KernelInfo("python")
            living = LivingKernel(incarnation, "python3", info, kernel.asked, since_s)
            self._survivor = living, kernel
        self._arrived.clear()
        self._asked.clear()
        self._opens.clear()

    def _load(self) -> None:
        """Open the room from the durable plane."""
        if self.room is not None:
            return
        self.world.timeline.note("room is loaded")
        path = self.disk.path
        opening = self.disk.opening(self.files.get(path) if path is not None else None)
        survivor, self._survivor = self._survivor, None
        if survivor is not None and survivor[1].is_dead:
            self.world.hit("kernel that died while there was no daemon")
            survivor = None
        if survivor is not None:
            opening = replace(opening, kernel=survivor[0])
        self.room, effects = Room.open(opening, self.entropy, self.world.timeline.now())
        life = self.life
        self._timer = Timer(self.world.timeline, lambda: self._tick(life))
        self.world.oracle.opened(self.room, opening)
        if survivor is not None:
            self.kernels.take_up(survivor[0].incarnation, survivor[1])
        self._perform_all(effects)

    def _load_for_the_survivor(self) -> None:
        """What runs in a kernel that lives on must end, whether or not anybody asks for it."""
        if self._survivor is not None:
            load = self._lives(self._load)
            self.world.timeline.after(self.world.options.disk_s * self.dice.uniform(1, 4), load)

    def _fail_room(self) -> None:
        """The store failed: everybody comes back, and the room is loaded again."""
        self.world.hit("store failure")
        for link in list(self.links.values()):
            link.hang_up(by_daemon=True, reason=str(CLOSE_TRY_AGAIN))
        self.links.clear()
        self._forget_room()
        self._load_for_the_survivor()

    # Connections

    def accept(self, link: Link) -> None:
        self.links[link.number] = link

    def gone(self, number: int) -> None:
        """The connection has ended."""
        self.links.pop(number, None)
        for token, (asker, _) in list(self._asked.items()):
            if asker == number:
                del self._asked[token]
                self.feed(RequestAbandoned(token))
        if number in self._arrived:
            del self._arrived[number]
            self.feed(PeerGone(number))

    def receive(self, number: int, frame: Frame) -> None:
        """A frame of a connection."""
        link = self.links.get(number)
        if link is None or isinstance(frame, str):
            return
        if frame.startswith(commands.RPC_MAGIC):
            command = commands.decode(frame)
            assert isinstance(command, commands.Request), command
            self._command(number, command)
            return
        message = codec.decode(frame)
        assert not isinstance(message, codec.Unknown)
        assert self.room is not None, "a session opens before it joins"
        if number not in self._arrived:
            self._arrived[number] = None
            self.feed(PeerArrived(number, f"peer {number}", "sim"))
        if message.room in (self.room.document, self.room.runtime):
            self.feed(Received(number, message))
        elif isinstance(message, Join):
            # As the daemon's pump does, which finds no notebook under an old runtime's id.
            self.world.hit("join of a runtime document that was replaced")
            refusal = JoinError(
                message.kind,
                message.room,
                JoinErrorCode.APP_ERROR,
                "There is no such notebook.",
                app_code="notebook_not_found",
            )
            self._send(number, (codec.encode(refusal),))

    def _command(self, number: int, command: commands.Request) -> None:
        params = command.params
        if isinstance(params, rpc.Open):
            self._opens.append((number, command.id))
            life = self.life
            self.world.timeline.after(self.world.options.disk_s, lambda: self._answer_opens(life))
            return
        assert isinstance(params, rpc.RoomParams), params
        if isinstance(params, rpc.GetExecution) and self._answer_from_store(number, command):
            return
        self._tokens += 1
        self._asked[self._tokens] = (number, command.id)
        deadline_s = self.world.timeline.now_s + params.timeout_s
        request = Requested(self._tokens, number, params, deadline_s, f"peer {number}")
        if isinstance(params, rpc.Interrupt) and self.room is not None:
            if self.room._look.is_under_way:
                # It waits in its turn: behind what was asked before it, and before all the rest.
                self.world.oracle.interrupt_waits()
                self.feed(request)
                return
            self.world.oracle.interrupt_begins(self.room)
            self.feed(request)
            self.world.oracle.interrupt_served(self.room)
            return
        self.feed(request)

    def _answer_opens(self, life: int) -> None:
        if life != self.life or not self.is_up:
            return
        self._load()
        opens, self._opens = self._opens, []
        for number, identity in opens:
            room = self.room
            assert room is not None, "just loaded"
            opened = rpc.Opened(
                document=room.document,
                runtime=room.runtime,
                path=room.path,
                created=False,
                kernel=room.kernel_state,
            )
            self._send(number, (commands.encode_result(identity, opened),))

    def _answer_from_store(self, number: int, command: commands.Request) -> bool:
        assert isinstance(command.params, rpc.GetExecution)
        execution_id = command.params.execution_id
        accepted = self.disk.accepted.get(execution_id)
        if accepted is None or accepted.runs_as not in self.disk.finished:
            return False
        record = self.disk.finished[accepted.runs_as]
        outcome = rpc.ExecutionOutcome(
            execution_id=accepted.runs_as,
            document=self.disk.document,
            record=msgspec.json.decode(record),
        )
        self.world.hit("result from the store")
        self._send(number, (commands.encode_result(command.id, outcome),))
        return True

    def _send(self, number: int, frames: tuple[bytes, ...]) -> None:
        link = self.links.get(number)
        if link is not None:
            for frame in frames:
                link.send_down(frame)

    # The room

    def feed(self, event: Input) -> None:
        """One input, its effects in order, and the timer anew."""
        room = self.room
        if room is None:
            return
        effects = room.handle(event, self.world.timeline.now())
        self._perform_all(effects)
        if isinstance(event, PersistFailed):
            self._fail_room()

    def _tick(self, life: int) -> None:
        if life == self.life:
            self.feed(Tick())

    def _perform_all(self, effects: list[Effect]) -> None:
        for effect in effects:
            self._perform(effect)
        if self.room is not None:
            self._timer.set(self.room.next_deadline())

    def _perform(self, effect: Effect) -> None:
        world = self.world
        match effect:
            case Send(peer, frames):
                world.oracle.daemon_sends(peer, frames)
                self._send(peer, frames)
            case Persist():
                fails = world.is_chaos and world.options.disk_failures
                fails = fails and self.dice.random() < 0.02
                self.disk.persist(effect, self._lives(self._stored), fails=fails)
            case StoreBlob():
                self.disk.store_blob(effect)
            case Compact(document, snapshot):
                self.disk.compact(document, snapshot)
            case Answer(token, result):
                self._answer(token, result)
            case Refuse(token, error):
                self._answer(token, error)
            case LookAtEnvironment(environment):
                self.kernels.look(environment)
            case StartKernel(incarnation=incarnation):
                self.kernels.start(incarnation)
            case AskKernel():
                self.kernels.ask(effect)
            case InterruptKernel(incarnation):
                self.kernels.interrupt(incarnation)
            case StopKernel(incarnation):
                self.kernels.stop(incarnation)
            case WriteFile():
                work = self._lives(self._write)
                delay_s = world.options.disk_s * self.dice.uniform(1, 4)
                world.timeline.after(delay_s, lambda: work(effect))
            case ReadFile():
                look = self._lives(self._read)
                delay_s = world.options.disk_s * self.dice.uniform(1, 4)
                world.timeline.after(delay_s, lambda: look(effect))
            case Close(peer):
                link = self.links.pop(peer, None)
                world.hit("close by the daemon")
                if link is not None:
                    link.hang_up(by_daemon=True, reason="closed by the daemon")
                    self.gone(peer)
            case _:
                assert_never(effect)

    def _lives(self, action: Callable[..., None]) -> Callable[..., None]:
        """`action`, as long as this life lasts."""
        life = self.life

        def guarded(*arguments: Any) -> None:
            if life == self.life:
                action(*arguments)

        return guarded

    def _stored(self, token: int, succeeded: bool) -> None:
        if succeeded:
            self.feed(Persisted(token))
        else:
            self.feed(PersistFailed(token, StoreFailed("The simulated disk refused.")))

    def _answer(self, token: int, outcome: Any) -> None:
        asked = self._asked.pop(token, None)
        if asked is None:
            return
        number, identity = asked
        if isinstance(outcome, HeadwayError):
            frame = commands.encode_error(identity, outcome)
        else:
            self.world.oracle.answered(outcome)
            frame = commands.encode_result(identity, outcome)
        self._send(number, (frame,))

    # The file

    def _read(self, effect: ReadFile) -> None:
        content = self.files.get(effect.path)
        sha256 = None if content is None else hashlib.sha256(content).hexdigest()
        self.world.hit("file looked at")
        self.feed(FileSeen(effect.token, content, sha256))

    def _write(self, effect: WriteFile) -> None:
        current = self.files.get(effect.path)
        actual = None if current is None else hashlib.sha256(current).hexdigest()
        if self.world.is_chaos and self.world.options.file_failures and self.dice.random() < 0.3:
            self.world.hit("file that cannot be written")
            error: HeadwayError = FileNotWritable("The simulated folder refused.")
            self.feed(FileWriteFailed(effect.token, error))
            return
        blobs = self.disk.blobs
        content, image = written(effect.notebook, effect.like, blobs.__getitem__, current)
        changed = content != current
        if changed and actual != effect.expected_sha256:
            error = FileChanged("Another program wrote the simulated file.")
            self.feed(FileWriteFailed(effect.token, error))
            return
        # The intention is durable before the file is touched; a crash may come between.
        self.disk.intended = image
        replace = self._lives(self._replace)
        delay_s = self.world.options.disk_s * self.dice.uniform(0, 1)
        self.world.timeline.after(delay_s, lambda: replace(effect, content, image, changed))

    def _replace(self, effect: WriteFile, content: bytes, image: bytes, changed: bool) -> None:
        self.files[effect.path] = content
        self.world.hit("file written")
        sha256 = hashlib.sha256(content).hexdigest()
        self.feed(FileWritten(effect.token, effect.path, sha256, changed, image))
