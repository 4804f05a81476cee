"""Properties of the notebook document over random scripts and random deliveries."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from headway.core.document.crdt import Replica, Version
from headway.core.document.differences import spliced_back
from headway.core.document.edits import (
    AddCell,
    AppendSource,
    DeleteCell,
    Edit,
    MoveCell,
    SetCellMetadata,
    SpliceSource,
    UndeleteCell,
    UpdateSource,
)
from headway.core.document.notebook import NotebookDocument
from headway.core.document.schema import check_import
from headway.core.document.undo import Undo
from headway.errors import EditError
from headway.ids import Heads
from headway.moments import Moment

NOW = Moment(1.0, 1000.0)
TEXTS = st.text(alphabet="ab\né😀🎉", max_size=12)
NUMBERS = st.integers(0, 30)
ACTIONS = st.sampled_from(
    ["add", "delete", "undelete", "move", "update", "append", "splice", "metadata", "undo", "redo"]
)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["edit", "edit", "edit", "send"]),
        NUMBERS,
        ACTIONS,
        NUMBERS,
        NUMBERS,
        TEXTS,
    ),
    min_size=1,
    max_size=40,
)


class Peer:
    """A replica, its undo steps, and for each other peer what was sent to it."""

    def __init__(self, number: int, start: bytes) -> None:
        self.notebook = NotebookDocument(Replica.load(number, start, ()))
        self.undo = Undo(self.notebook.replica)
        self.number = number
        self.minted = 0
        self.known: list[str] = ["0", "1", "2"]

    def act(self, action: str, first: int, second: int, text: str) -> None:
        replica = self.notebook.replica
        if action == "undo":
            self.undo.undo(1, "undo")
        elif action == "redo":
            self.undo.redo(1, "redo")
        else:
            before = self.notebook.heads()
            try:
                self.notebook.apply([self.edit(action, first, second, text)], NOW, "p")
            except EditError:
                assert self.notebook.heads() == before
        assert replica.pending_operations() == 0

    def edit(self, action: str, first: int, second: int, text: str) -> Edit:
        cell_id = self.known[first % len(self.known)]
        visible = max(1, len(self.notebook))
        match action:
            case "add":
                self.minted += 1
                fresh = f"{self.number}-{self.minted}"
                self.known.append(fresh)
                return AddCell(fresh, source=text, index=second % visible)
            case "delete":
                return DeleteCell(cell_id)
            case "undelete":
                return UndeleteCell(cell_id)
            case "move":
                return MoveCell(cell_id, index=second % visible)
            case "update":
                return UpdateSource(cell_id, text)
            case "append":
                return AppendSource(cell_id, text)
            case "splice":
                return SpliceSource(cell_id, second % 4, first % 3, text)
            case _:
                return SetCellMetadata(cell_id, text, {"n": second, text: [first]})

    def receive(self, data: bytes) -> None:
        imported = self.notebook.replica.import_update(data)
        check_import(self.notebook.replica, imported)


def assert_sound(notebook: NotebookDocument) -> None:
    """The index that lives through everything agrees with one made afresh."""
    order = notebook.order()
    assert len(order) == len(set(order)) == len(notebook)
    cells = notebook.cells()
    assert [cell.id for cell in cells] == order
    fresh = NotebookDocument(notebook.replica)
    assert fresh.order() == order
    for cell_id in order:
        assert cell_id in notebook


def peers_of(count: int) -> list[Peer]:
    start = NotebookDocument(Replica(100))
    start.apply([AddCell(str(each), source=f"cell {each} 😀") for each in range(3)], NOW, "start")
    snapshot = start.replica.export()
    return [Peer(number + 1, snapshot) for number in range(count)]


@settings(max_examples=120, deadline=None)
@given(count=st.integers(2, 3), steps=STEPS)
def test_random_edits_exchanged_in_random_order_converge(
    count: int, steps: list[tuple[str, int, str, int, int, str]]
) -> None:
    peers = peers_of(count)
    for kind, who, action, first, second, text in steps:
        peer = peers[who % count]
        if kind == "edit":
            peer.act(action, first, second, text)
        else:
            other = peers[(who + 1 + first % (count - 1)) % count]
            other.receive(peer.notebook.replica.export(other.notebook.replica.version()))
            assert_sound(other.notebook)
        assert_sound(peer.notebook)
    for _ in range(2):
        for peer in peers:
            for other in peers:
                if other is not peer:
                    missing = other.notebook.replica.version()
                    other.receive(peer.notebook.replica.export(missing))
    cells = peers[0].notebook.cells()
    for peer in peers:
        assert_sound(peer.notebook)
        assert peer.notebook.cells() == cells
        assert peer.notebook.replica.version() == peers[0].notebook.replica.version()
        assert peer.notebook.heads() == peers[0].notebook.heads()


@settings(max_examples=60, deadline=None)
@given(steps=STEPS)
def test_every_past_source_is_read_back_as_it_was_seen(
    steps: list[tuple[str, int, str, int, int, str]],
) -> None:
    peers = peers_of(2)
    seen: list[tuple[Heads, dict[str, str]]] = []
    for _, who, action, first, second, text in steps:
        peer = peers[who % 2]
        if action not in {"undo", "redo"}:
            peer.act(action, first, second, text)
        notebook = peer.notebook
        seen.append((notebook.heads(), {cell.id: cell.source for cell in notebook.cells()}))
    reader = peers[0].notebook
    peers[0].receive(peers[1].notebook.replica.export(reader.replica.version()))
    for heads, sources in seen:
        for cell_id in reader.order():
            if cell_id in sources:
                assert reader.source_at(cell_id, heads) == sources[cell_id]


@settings(max_examples=60, deadline=None)
@given(old=TEXTS, new=TEXTS, meanwhile=TEXTS)
def test_differences_tell_the_splices_between_two_sources(
    old: str, new: str, meanwhile: str
) -> None:
    notebook = NotebookDocument(Replica(1))
    before = notebook.apply([AddCell("a", source=old)], NOW, "p")
    notebook.apply([UpdateSource("a", meanwhile)], NOW, "p")
    after = notebook.apply([UpdateSource("a", new)], NOW, "p")
    text = old
    for difference in notebook.replica.differences(before, after):
        text = spliced_back(text, difference.splices)
    assert text == new


@settings(max_examples=60, deadline=None)
@given(steps=STEPS, cut=st.integers(0, 40))
def test_an_export_up_to_a_version_is_that_version_exactly(
    steps: list[tuple[str, int, str, int, int, str]], cut: int
) -> None:
    (peer,) = peers_of(1)
    replica = peer.notebook.replica
    versions = [(replica.version(), peer.notebook.cells())]
    for _, _, action, first, second, text in steps:
        peer.act(action, first, second, text)
        versions.append((replica.version(), peer.notebook.cells()))
    version, cells = versions[cut % len(versions)]
    copy = NotebookDocument(replica.rebuilt(50, version))
    assert copy.replica.version() == version
    assert copy.cells() == cells
    rest = replica.export(version, replica.version())
    assert copy.replica.import_update(rest).after == replica.version()
    assert copy.cells() == peer.notebook.cells()
    assert Version.EMPTY.includes(version) == version.is_empty
