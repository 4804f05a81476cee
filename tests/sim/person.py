"""The one who uses a client: edits, confirms, runs, and tries again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headway.core.document.edits import (
    DELETE,
    AddCell,
    AppendSource,
    DeleteCell,
    Edit,
    MoveCell,
    SetCellMetadata,
    SetNotebookMetadata,
    SpliceSource,
    UpdateSource,
)
from headway.core.document.notebook import NotebookDocument
from headway.core.document.prompts import Prompt
from headway.core.document.schema import CELLS
from headway.core.document.undo import Undo
from headway.core.session import inputs
from headway.core.wire import rpc
from headway.errors import ConnectionLost, DeadlineExceeded, HeadsTimeout, HeadwayError, StoreFailed
from headway.ids import execution_id, heads_to_text
from sim.books import Asked

if TYPE_CHECKING:
    from sim.client import Client

__all__ = ["Person"]

_PLAIN = ("x = 1", "\n", "print(x)", "a b c", "#", "0")
_ODD = ("\U0001f600", "e\u0301", "\U0001f468\u200d\U0001f469", "\u00df\u6f22", "\t\u200b")


class Person:
    """Does one thing at a time, by the dice of its client."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.dice = client.dice
        self._undo: tuple[NotebookDocument, Undo] | None = None
        self._runs: list[str] = []
        self._tries: dict[str, int] = {}
        options = client.world.options
        self._asks = client.world.split(f"{client.name} asks")
        self._prompts: dict[str, None] = {}
        self._answers = 0
        self._names = list(options.actions)
        self._weights = list(options.actions.values())

    @property
    def document(self) -> NotebookDocument:
        return self.client.session.document

    def act(self) -> None:
        """Do something."""
        (name,) = self.dice.choices(self._names, self._weights)
        self.client.world.timeline.note(f"{self.client.name}: {name}")
        if name == "undo":
            self._undo_step(forward=False)
        else:
            getattr(self, f"_{name}")()

    def go_on(self) -> None:
        """What is done while the others wait for their confirmations."""
        if self.dice.random() < 0.2:
            self._run_now()
        else:
            self._append()

    # Editing

    def write(self, *edits: Edit) -> None:
        """Edit at once, as a program does, and let the session know."""
        document = self.document
        self._undo_of(document)
        with document.replica.lock:
            document.apply(edits, self.client.world.timeline.now(), self.client.name)
            self.client.session.note_commit()
        self._edited()

    def _edited(self) -> None:
        client = self.client
        if client.world.options.late_edited and self.dice.random() < 0.7:
            # The loop hears of it a little later.
            client.world.timeline.after(self.dice.uniform(0, 0.05), self._say_edited)
        else:
            self._say_edited()

    def _say_edited(self) -> None:
        if not self.client.is_gone:
            self.client.feed(inputs.Edited())

    def _undo_of(self, document: NotebookDocument) -> Undo:
        if self._undo is None or self._undo[0] is not document:
            self._undo = (document, Undo(document.replica))
        return self._undo[1]

    def _text(self) -> str:
        pieces = _PLAIN + _ODD if self.client.world.options.emoji else _PLAIN
        if self.client.world.options.fragment_bytes and self.dice.random() < 0.2:
            return "".join(self.dice.choices(pieces, k=300))
        return "".join(self.dice.choices(pieces, k=self.dice.randint(1, 4)))

    def _cell(self) -> str | None:
        order = self.document.order()
        return self.dice.choice(order) if order else None

    def _code_cell(self) -> str | None:
        order = [each for each in self.document.order() if not each.endswith("n")]
        return self.dice.choice(order) if order else None

    def _add(self) -> str:
        kind = "code" if self.dice.random() < 0.85 else "markdown"
        # The last letter tells the oracle the type, whatever the document says.
        cell_id = f"{self.dice.getrandbits(40):010x}{kind[-1]}"
        after = self._cell() if self.dice.random() < 0.5 else None
        cell_type: Any = kind
        self.write(AddCell(cell_id, cell_type=cell_type, source=self._text(), after=after))
        return cell_id

    def _update(self) -> None:
        if cell_id := self._cell():
            source = self.document.source(cell_id)
            cut = self.dice.randint(0, len(source))
            self.write(UpdateSource(cell_id, source[:cut] + self._text()))

    def _append(self) -> None:
        if cell_id := self._cell():
            self.write(AppendSource(cell_id, self._text()))

    def _splice(self) -> None:
        if cell_id := self._cell():
            length = len(self.document.source(cell_id))
            index = self.dice.randint(0, length)
            delete = self.dice.randint(0, min(3, length - index))
            self.write(SpliceSource(cell_id, index, delete, self._text()))

    def _move(self) -> None:
        order = self.document.order()
        if order:
            self.write(MoveCell(self.dice.choice(order), index=self.dice.randrange(len(order))))

    def _delete(self) -> None:
        if cell_id := self._cell():
            self.client.world.oracle.ever_deleted[cell_id] = None
            self.write(DeleteCell(cell_id))

    def _metadata(self) -> None:
        if cell_id := self._cell():
            value = self.dice.choice(({"tags": ["a"]}, 1, "x", None, DELETE))
            self.write(SetCellMetadata(cell_id, self.dice.choice("abc"), value))

    def _notebook_metadata(self) -> None:
        self.write(SetNotebookMetadata(self.dice.choice("abc"), self._text()))

    def _undo_step(self, *, forward: bool) -> None:
        document = self.document
        undo = self._undo_of(document)
        before = document.order()
        step = undo.redo if forward else undo.undo
        now = self.client.world.timeline.now()
        with document.replica.lock:
            step(now.wall_s, f"{self.client.name}: undo")
            self.client.session.note_commit()
        after = document.order()
        for cell_id in before:
            if cell_id not in after:
                self.client.world.oracle.ever_deleted[cell_id] = None
        self._edited()

    def _redo(self) -> None:
        self._undo_step(forward=True)

    # Confirming and running

    def _confirm(self) -> None:
        self.client.confirm(60.0)

    def _hasty_confirm(self) -> None:
        self.client.confirm(self.dice.uniform(0.001, 0.1))

    def _run_now(self) -> None:
        """S1: a new cell, run at once."""
        self._run(self._add_code())

    def _add_code(self) -> str:
        cell_id = f"{self.dice.getrandbits(40):010x}e"
        self.write(AddCell(cell_id, source=self._text()))
        return cell_id

    def _execute(self) -> None:
        self._run(self._code_cell())

    def _execute_latest(self) -> None:
        self._run(self._code_cell(), source="latest")

    def _execute_twice(self) -> None:
        self._run(self._code_cell(), times=2)

    def _execute_markdown(self) -> None:
        cells = [each for each in self.document.order() if each.endswith("n")]
        if cells:
            self._run(self.dice.choice(cells))

    def _execute_for_another(self) -> None:
        """Ask for a cell as another peer has it, by heads that were handed over out of band."""
        others = [each for each in self.client.world.clients if each is not self.client]
        if not others:
            return
        other = self.dice.choice(others).person
        cells = [each for each in other.document.order() if not each.endswith("n")]
        if cells:
            self._run(self.dice.choice(cells), seen_by=other)

    def _heads(self) -> str:
        return heads_to_text(self.document.replica.heads())

    def _run(
        self,
        cell_id: str | None,
        *,
        source: Any = "confirmed",
        times: int = 1,
        seen_by: Person | None = None,
    ) -> None:
        client = self.client
        document_id = client.session.document_id
        if cell_id is None or document_id is None:
            return
        wall_s = client.world.timeline.now().wall_s
        identity = execution_id(wall_s, self.dice.randbytes)
        seen = self if seen_by is None else seen_by
        text = seen.document.source(cell_id)
        asked = Asked(
            client.name, cell_id, text, pinned=source == "confirmed", in_turn=seen_by is None
        )
        client.world.oracle.asks(identity, asked)
        if seen_by is None:
            self._runs.append(identity)
        params = rpc.Execute(
            document=document_id,
            cell_id=cell_id,
            execution_id=identity,
            required_heads=seen._heads(),
            source=source,
            allow_stdin=self._lets_ask(),
        )
        # What another has may never arrive, if that one leaves first.
        timeout_s = self.dice.choice((60.0, 60.0, 0.3)) if seen_by is None else 5.0
        for _ in range(times):
            client.request(params, timeout_s)

    def _execute_all(self) -> None:
        client = self.client
        document_id = client.session.document_id
        if document_id is None:
            return
        identity = execution_id(client.world.timeline.now().wall_s, self.dice.randbytes)
        cells = [(each.id, each.source) for each in self.document.cells()]
        # Somebody may show a deleted cell again before the daemon looks; it runs as it was here.
        hidden = [(each, self.document._source_of(each)) for each in self.document.deleted()]
        cells += [(each, text) for each, text in hidden if not each.endswith("n")]
        client.world.oracle.asks_all(identity, cells, client.name)
        allow = self.dice.random() < 0.5
        params = rpc.ExecuteAll(
            document=document_id,
            batch_id=identity,
            required_heads=self._heads(),
            allow_errors=allow,
            allow_stdin=self._lets_ask(),
        )
        client.request(params, 60.0)

    def _result(self) -> None:
        document_id = self.client.session.document_id
        if self._runs and document_id is not None:
            identity = self.dice.choice(self._runs)
            params = rpc.GetExecution(document=document_id, execution_id=identity, wait=True)
            self.client.request(params, 60.0)

    def _interrupt(self) -> None:
        if document_id := self.client.session.document_id:
            self.client.request(rpc.Interrupt(document=document_id), 60.0)

    def _cancel(self) -> None:
        document_id = self.client.session.document_id
        if self._runs and document_id is not None:
            params = rpc.Cancel(document=document_id, execution_id=self.dice.choice(self._runs))
            self.client.request(params, 60.0)

    def _restart_kernel(self) -> None:
        if document_id := self.client.session.document_id:
            params = rpc.RestartKernel(document=document_id, required_heads=self._heads())
            self.client.request(params, 60.0)

    def _shutdown_kernel(self) -> None:
        if document_id := self.client.session.document_id:
            self.client.request(rpc.ShutdownKernel(document=document_id), 60.0)

    def _save(self) -> None:
        document_id = self.client.session.document_id
        if document_id is not None and self.client.world.disk.path is not None:
            params = rpc.Save(document=document_id, required_heads=self._heads())
            self.client.request(params, 60.0)

    def _complete(self) -> None:
        if document_id := self.client.session.document_id:
            params = rpc.Complete(document=document_id, code="pri", cursor=3)
            self.client.request(params, 1.0)

    def _present(self) -> None:
        value = {"cell": self._cell()} if self.dice.random() < 0.8 else None
        self.client.feed(inputs.PresenceSet(value))

    def _spoil(self) -> None:
        """Write what no notebook can hold, as a foreign client may."""
        client, document = self.client, self.document
        with document.replica.lock:
            document.replica.map(CELLS).set(f"{self.dice.getrandbits(40):010x}x", 5)
            document.replica.commit(client.world.timeline.now().wall_s, client.name)
            client.session.note_commit()
        client.spoils = True
        self._edited()

    def _leave(self) -> None:
        self.client.world.replace(self.client)

    # Answering

    def _lets_ask(self) -> bool:
        return self.client.world.options.asking and self._asks.random() < 0.6

    def is_asked(self, execution_id: str, prompt: Prompt) -> None:
        """A cell asks: answer soon, as everybody else does."""
        if prompt.id not in self._prompts:
            self._prompts[prompt.id] = None
            self._answer_soon(execution_id, prompt)

    def _answer_soon(self, execution_id: str, prompt: Prompt) -> None:
        # Often two at the very same time.
        delay_s = self._asks.choice((0.0, 0.01, 0.01, self._asks.uniform(0, 0.1)))
        after = self.client.world.timeline.after
        after(delay_s, lambda: self._answer(execution_id, prompt))

    def _answer(self, execution_id: str, prompt: Prompt) -> None:
        client = self.client
        reader, document_id = client.session.runtime, client.session.document_id
        if client.is_gone or reader is None or document_id is None:
            self._prompts.pop(prompt.id, None)  # who is shown it again answers then
            return
        record = reader.execution(execution_id, outputs=False)
        is_asked = record is not None and record.prompt == prompt
        if is_asked and self._asks.random() < 0.08:
            self._interrupt()  # while the others answer
        elif is_asked or (not client.rests and self._asks.random() < 0.2):
            self._answers += 1
            params = rpc.AnswerInput(
                document=document_id,
                execution_id=execution_id,
                prompt_id=prompt.id,
                value=f"{prompt.text}|{client.name}|{self._answers}",
            )
            client.request(params, 60.0)

    def _hears_of_answer(self, params: rpc.AnswerInput, outcome: Any) -> None:
        """What is still asked after a loss is answered again."""
        reader = self.client.session.runtime
        if not isinstance(outcome, HeadwayError) or reader is None or self.client.is_gone:
            return
        record = reader.execution(params.execution_id, outputs=False)
        if record is not None and record.prompt is not None:
            if record.prompt.id == params.prompt_id:
                self._prompts.pop(record.prompt.id, None)
            after = self.client.world.timeline.after
            prompt = record.prompt
            after(0.1, lambda: self.is_asked(params.execution_id, prompt))

    def _hears_of_interrupt(self, outcome: Any) -> None:
        """What is still asked after an interrupt that was lost is answered."""
        if isinstance(outcome, HeadwayError):
            self._prompts.clear()
            self.client.world.timeline.after(0.1, self._look_again)

    def _look_again(self) -> None:
        if not self.client.is_gone and self.client.session.runtime is not None:
            self.client.look_at_executions()

    def hears(self, params: rpc.Params, outcome: Any) -> None:
        """An answer came: after a loss or a time-out, ask again under the same id."""
        if isinstance(params, rpc.AnswerInput):
            self._hears_of_answer(params, outcome)
        if isinstance(params, rpc.Interrupt):
            self._hears_of_interrupt(outcome)
        if not isinstance(params, rpc.Execute) or self.client.is_gone:
            return
        lost = ConnectionLost | DeadlineExceeded | HeadsTimeout | StoreFailed
        if params.execution_id not in self._runs:
            return
        tries = self._tries.get(params.execution_id, 0)
        if isinstance(outcome, lost) and tries < 3 and self.dice.random() < 0.8:
            self._tries[params.execution_id] = tries + 1
            self.client.world.oracle.repeated[params.execution_id] = None
            self.client.world.hit("execute asked again under the same id")
            again = self.client.world.timeline.after
            again(self.dice.uniform(0, 0.2), lambda: self._again(params))

    def _again(self, params: rpc.Execute) -> None:
        if not (self.client.is_gone or self.client.rests):
            self.client.request(params, 60.0)
