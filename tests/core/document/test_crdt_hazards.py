"""The engine's hazards: each shown with the bare engine, and shown closed through the gate.

The only tests that import the engine. If one of the first halves fails after an upgrade, the
engine has become safer there: rejoice, and see whether the guard is still needed.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
import threading
from typing import Any

import loro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.core.document.crdt import Replica, Version
from headway.core.document.edits import AddCell, AppendSource, DeleteCell
from headway.core.document.gate import EngineLock, Gate
from headway.core.document.limits import ImportLimits
from headway.core.document.notebook import NotebookDocument
from headway.core.document.presence import PresenceStore
from headway.core.document.schema import check_import
from headway.core.document.undo import Undo
from headway.errors import (
    EngineFailure,
    HeadsTooOld,
    HeadsUnknown,
    InvalidEdit,
    InvalidUpdate,
    MissingChanges,
    UpdateTooLarge,
)
from headway.ids import Heads
from headway.moments import Moment

NOW = Moment(1.0, 1000.0)
PROBE_TIMEOUT_S = 60.0


def bare(peer: int) -> loro.LoroDoc:
    document = loro.LoroDoc()  # type: ignore[no-untyped-call]
    document.peer_id = peer
    return document


def empty_vector() -> loro.VersionVector:
    return loro.VersionVector()  # type: ignore[no-untyped-call]


def probe(code: str, timeout_s: float = PROBE_TIMEOUT_S) -> subprocess.CompletedProcess[str] | None:
    """Run a program that may hang or die; None if it had to be killed."""
    try:
        return subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code)],
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None


# --- errors -------------------------------------------------------------------------------------


def test_the_bare_engine_raises_past_except_exception() -> None:
    with pytest.raises(BaseException) as caught:
        bare(1).import_(b"no update")
    assert not isinstance(caught.value, Exception)


def test_bytes_that_are_no_update_are_an_invalid_update() -> None:
    replica = Replica(1)
    for data in (b"", b"no update", b"loro" + b"\0" * 40):
        with pytest.raises(InvalidUpdate):
            replica.import_update(data)
    with pytest.raises(InvalidUpdate):
        Version.decode(b"\xff" * 9)
    with pytest.raises(InvalidUpdate):
        PresenceStore(30).apply(b"nonsense")


def test_an_update_with_one_flipped_bit_is_refused_and_leaves_the_replica_as_it_was() -> None:
    writer, reader = Replica(1), Replica(2)
    writer.map("cells").new_text("t", "hello")
    writer.commit(1, "")
    update = bytearray(writer.export(until=writer.version()))
    update[-3] ^= 0x10
    with pytest.raises(InvalidUpdate):
        reader.import_update(bytes(update))
    assert reader.version().is_empty


def test_an_index_out_of_range_is_an_invalid_edit_and_changes_nothing() -> None:
    replica = Replica(1)
    text = replica.map("m").new_text("t", "a😀")
    replica.commit(1, "")
    with pytest.raises(InvalidEdit):
        text.insert(3, "x")
    with pytest.raises(InvalidEdit):
        text.delete(1, 2)
    with pytest.raises(InvalidEdit):
        text.insert(-1, "x")
    assert replica.pending_operations() == 0
    assert str(text) == "a😀"


def test_a_lone_surrogate_is_an_invalid_edit() -> None:
    replica = Replica(1)
    text = replica.map("m").new_text("t")
    replica.commit(1, "")
    with pytest.raises(InvalidEdit):
        text.insert(0, "\ud83d")
    assert replica.pending_operations() == 0


def test_a_commit_does_not_fail_for_its_message() -> None:
    replica = Replica(1)
    replica.map("m").set("k", 1)
    assert replica.commit(1, "half \ud83d a character")
    assert replica.history()[0].message == "half ? a character"


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), SystemExit(3), GeneratorExit(), asyncio.CancelledError()]
)
def test_interruptions_pass_the_gate_unchanged(error: BaseException) -> None:
    engine = EngineLock()
    with pytest.raises(type(error)) as caught, Gate(engine, InvalidEdit):
        raise error
    assert caught.value is error
    with Gate(engine, InvalidEdit):
        pass  # the lock was released and the document is sound


def test_the_bare_engine_panics_on_heads_it_does_not_have() -> None:
    document = bare(1)
    foreign = loro.Frontiers.from_id(loro.ID(7, 3))
    with pytest.raises(BaseException) as caught:
        document.find_id_spans_between(foreign, document.oplog_frontiers)
    assert type(caught.value).__name__ == "PanicException"


def test_heads_that_are_not_here_are_a_typed_error_in_every_call() -> None:
    replica = Replica(1)
    text = replica.map("m").new_text("t")
    owner = replica.map("m").new_map("n")
    replica.commit(1, "")
    heads = replica.heads()
    foreign = Heads(loro.Frontiers.from_id(loro.ID(7, 3)).encode())
    future = Heads(loro.Frontiers.from_id(loro.ID(1, 9999)).encode())
    for unknown in (foreign, future):
        assert not replica.contains(unknown)
        with pytest.raises(HeadsUnknown):
            replica.version_at(unknown)
        with pytest.raises(HeadsUnknown):
            replica.touched(unknown, heads)
        with pytest.raises(HeadsUnknown):
            replica.differences(heads, unknown)
        with pytest.raises(HeadsUnknown):
            replica.text_at(text, owner, unknown)
    for malformed in (b"", b"\xff" * 12, b"heads"):
        with pytest.raises(InvalidUpdate):
            replica.contains(Heads(malformed))


def encoded(*heads: tuple[int, int]) -> Heads:
    """Frontiers as the engine writes them, with counters that it would never write."""

    def variable(number: int) -> bytes:
        parts = bytearray()
        while number > 0x7F:
            parts.append(number & 0x7F | 0x80)
            number >>= 7
        return bytes([*parts, number])

    def signed(number: int) -> int:
        return 2 * number if number >= 0 else -2 * number - 1

    numbers = [len(heads), *(each for peer, counter in heads for each in (peer, signed(counter)))]
    return Heads(b"".join(map(variable, numbers)))


def test_the_bare_engine_panics_on_a_negative_counter() -> None:
    document = loro.LoroDoc()  # type: ignore[no-untyped-call]
    foreign = loro.Frontiers.decode(encoded((7, -1)))
    with pytest.raises(BaseException, match="Id:-1@7") as caught:
        document.frontiers_to_vv(foreign)
    assert not isinstance(caught.value, Exception)


@given(
    st.lists(
        st.tuples(st.sampled_from((1, 7, 2**64 - 1)), st.integers(-(2**31), 2**31 - 1)), max_size=4
    )
)
def test_heads_with_whatever_counters_cost_no_replica(heads: list[tuple[int, int]]) -> None:
    replica = Replica(1)
    replica.map("meta").set("a", 1)
    replica.commit(1, "")
    asked = encoded(*heads)
    if any(counter < 0 for _, counter in heads):
        for call in (replica.contains, replica.version_at):
            with pytest.raises(InvalidUpdate):
                call(asked)
    else:
        assert replica.contains(asked) == all(head == (1, 0) for head in heads)
    assert replica.contains(replica.heads())


def test_after_a_panic_every_call_is_refused() -> None:
    replica = Replica(1)
    foreign = loro.Frontiers.from_id(loro.ID(7, 3))
    with pytest.raises(EngineFailure), replica.gate:
        replica._doc.find_id_spans_between(foreign, replica._doc.oplog_frontiers)
    for call in (replica.heads, replica.version, replica.export, lambda: replica.commit(1, "")):
        with pytest.raises(EngineFailure):
            call()


# --- threads ------------------------------------------------------------------------------------

SUBSCRIBER_DEADLOCK = """
    import faulthandler, os, sys, threading, time
    import loro
    sys.setswitchinterval(1e-5)
    document = loro.LoroDoc(); other = loro.LoroDoc()
    subscription = document.subscribe_root(lambda event: sum(range(2000)))
    stop = time.monotonic() + 2
    def imports():
        while time.monotonic() < stop:
            version = other.oplog_vv
            other.get_text("t").insert(0, "x")
            document.import_(other.export(loro.ExportMode.Updates(version)))
    def exports():
        while time.monotonic() < stop:
            document.export(loro.ExportMode.Updates(document.oplog_vv))
    for work in (imports, exports):
        threading.Thread(target=work, daemon=True).start()
    time.sleep(2.5)
    print("alive", flush=True)
    os._exit(0)
"""


def test_the_bare_engine_deadlocks_with_a_subscriber_in_another_thread() -> None:
    assert probe(SUBSCRIBER_DEADLOCK, timeout_s=6) is None


def test_imports_exports_and_edits_in_many_threads_finish() -> None:
    """The same load through replicas, which give the engine no callback."""
    replica, other = Replica(1), Replica(2)
    rounds = 300
    text = replica.map("cells").new_text("mine")
    replica.commit(1, "")

    def imports() -> None:
        foreign = other.map("m").new_text("theirs")
        other.commit(1, "")
        before = Version.EMPTY
        for _ in range(rounds):
            foreign.append("x")
            other.commit(1, "")
            update = other.export(before, other.version())
            before = other.version()
            with replica.lock:
                replica.import_update(update)

    def exports() -> None:
        for _ in range(rounds):
            with replica.lock:
                replica.export(replica.version())
                replica.history(5)

    def edits() -> None:
        for _ in range(rounds):
            with replica.lock:
                text.append("y")
                replica.commit(1, "")

    threads = [threading.Thread(target=work, daemon=True) for work in (imports, exports, edits)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
    assert len(str(text)) == rounds
    assert replica.version().includes(other.version())


def test_an_export_in_another_thread_cannot_split_an_apply() -> None:
    notebook = NotebookDocument(Replica(1))
    stop = threading.Event()
    failures: list[BaseException] = []

    def exports() -> None:
        try:
            while not stop.is_set():
                notebook.replica.export()
        except BaseException as error:  # noqa: BLE001
            failures.append(error)

    thread = threading.Thread(target=exports, daemon=True)
    thread.start()
    for number in range(100):
        edits = [AddCell(f"{number}-{each}") for each in range(3)]
        notebook.apply([*edits, AppendSource(f"{number}-0", "x")], Moment(1.0, number), "ann")
    stop.set()
    thread.join(30)
    assert not thread.is_alive()
    assert failures == []
    assert {entry.message for entry in notebook.replica.history(1000)} == {
        "ann: add cell, edit source"
    }


# --- versions -----------------------------------------------------------------------------------


def test_the_bare_engine_counts_uncommitted_operations_and_commits_them_on_export() -> None:
    document = bare(1)
    document.get_map("m").insert("k", 1)
    assert document.oplog_vv.get_last(1) == 0
    document.export(loro.ExportMode.Snapshot())
    assert document.get_pending_txn_len() == 0
    change = document.get_change(loro.ID(1, 0))
    assert change is not None
    assert change.message is None


def test_versions_and_exchanges_are_refused_while_anything_is_uncommitted() -> None:
    replica, other = Replica(1), Replica(2)
    other.map("m").set("k", 1)
    other.commit(1, "")
    update = other.export()
    heads = replica.heads()
    undo = Undo(replica)
    replica.map("m").set("k", 1)
    calls: list[Any] = [
        replica.heads,
        replica.version,
        replica.export,
        lambda: replica.import_update(update),
        lambda: replica.touched(heads, heads),
        lambda: replica.differences(heads, heads),
        lambda: undo.undo(1, ""),
        replica.history,
    ]
    for call in calls:
        with pytest.raises(AssertionError, match="commit before"):
            call()
    replica.commit(5, "mine")
    assert [(entry.wall_s, entry.message) for entry in replica.history()] == [(5, "mine")]


def test_equal_bare_frontiers_are_not_equal_and_cannot_be_listed() -> None:
    frontiers = loro.Frontiers.from_id(loro.ID(1, 2))
    assert frontiers != loro.Frontiers.from_id(loro.ID(1, 2))
    assert not hasattr(frontiers, "__iter__")


def test_versions_are_equal_by_content_and_hash_alike() -> None:
    one, two = Replica(1), Replica(2)
    for replica in (one, two):
        replica.map("m").set(str(replica.peer), 1)
        replica.commit(1, "")
    one.import_update(two.export())
    two.import_update(one.export())
    assert one.version() == two.version()
    assert len({one.version(), two.version(), Version.decode(one.version().encode())}) == 1
    assert one.heads() == two.heads()


def test_the_end_of_a_version_is_beyond_its_last_operation() -> None:
    replica = Replica(1)
    replica.map("m").set("a", 1)
    replica.commit(1, "")
    heads, version = replica.heads(), replica.version()
    assert replica.version_at(heads) == version
    assert version.operations_since(Version.EMPTY) == 1
    replica.map("m").set("a", 2)
    replica.commit(1, "")
    assert version.includes(replica.version_at(heads))
    assert not version.includes(replica.version())


# --- peer ids -----------------------------------------------------------------------------------


def test_two_bare_documents_with_one_peer_id_diverge_in_silence() -> None:
    one, two = bare(1), bare(1)
    one.get_text("t").insert(0, "one")
    two.get_text("t").insert(0, "two")
    status = one.import_(two.export(loro.ExportMode.Updates(empty_vector())))
    two.import_(one.export(loro.ExportMode.Updates(empty_vector())))
    assert status.pending is None
    assert one.oplog_vv == two.oplog_vv
    assert one.get_text("t").to_string() != two.get_text("t").to_string()


def test_changes_of_another_replica_under_our_peer_id_are_refused() -> None:
    one, two = Replica(1), Replica(1)
    two.map("m").set("k", 1)
    two.commit(1, "")
    with pytest.raises(InvalidUpdate, match="peer id"):
        one.import_update(two.export())


def test_a_peer_id_that_wrote_before_cannot_load_the_document_again() -> None:
    replica = Replica(1)
    replica.map("m").set("k", 1)
    replica.commit(1, "")
    with pytest.raises(InvalidUpdate, match="peer id"):
        Replica.load(1, replica.export(), ())
    with pytest.raises(InvalidUpdate, match="peer id"):
        replica.rebuilt(1)


# --- imports ------------------------------------------------------------------------------------


def three_updates() -> tuple[Replica, list[bytes]]:
    writer = Replica(1)
    updates, before = [], Version.EMPTY
    for letter in "abc":
        writer.map("m").set(letter, letter)
        writer.commit(1, letter)
        updates.append(writer.export(before, writer.version()))
        before = writer.version()
    return writer, updates


def test_the_bare_engine_takes_an_update_with_a_gap_without_an_error() -> None:
    _, updates = three_updates()
    document = bare(2)
    status = document.import_(updates[2])
    assert status.pending is not None
    assert document.oplog_vv == empty_vector()


def test_an_update_with_a_gap_is_missing_changes_and_leaves_nothing_behind() -> None:
    writer, updates = three_updates()
    reader = Replica(2)
    reader.import_update(updates[0])
    with pytest.raises(MissingChanges):
        reader.import_update(updates[2])
    assert reader.import_update(updates[1]).changed
    assert not reader.version().includes(writer.version())
    assert reader.import_update(updates[2]).after == writer.version()


def test_a_gap_across_peers_is_missing_changes() -> None:
    first, second, third = Replica(1), Replica(2), Replica(3)
    first.map("m").set("a", 1)
    first.commit(1, "")
    second.import_update(first.export())
    second.map("m").set("b", 2)
    second.commit(1, "")
    with pytest.raises(MissingChanges):
        third.import_update(second.export(first.version()))


def test_stored_updates_load_in_any_order_and_a_missing_one_is_noticed() -> None:
    writer, updates = three_updates()
    assert Replica.load(2, None, reversed(updates)).version() == writer.version()
    with pytest.raises(MissingChanges):
        Replica.load(3, None, [updates[0], updates[2]])
    with pytest.raises(InvalidUpdate):
        Replica.load(4, None, [updates[0], b"garbage"])


def test_a_duplicate_import_changes_nothing() -> None:
    writer, updates = three_updates()
    reader = Replica.load(2, None, updates)
    for update in [*updates, writer.export()]:
        imported = reader.import_update(update)
        assert not imported.changed
        assert imported.before == imported.after
        assert imported.heads_before == imported.heads_after


def test_imports_over_a_limit_are_refused_before_anything_is_merged() -> None:
    writer = Replica(1)
    writer.map("m").new_text("t", "x" * 500)
    writer.commit(1, "")
    reader = Replica(2)
    with pytest.raises(UpdateTooLarge) as caught:
        reader.import_update(writer.export(), ImportLimits(max_operations=400))
    assert caught.value.data == {"limit": 400, "actual": 501}
    with pytest.raises(UpdateTooLarge):
        reader.import_update(writer.export(), ImportLimits(max_bytes=100))
    assert reader.version().is_empty
    assert reader.import_update(writer.export(), ImportLimits(max_operations=501)).changed


def test_operations_that_are_here_already_do_not_count_against_the_limit() -> None:
    writer = Replica(1)
    text = writer.map("m").new_text("t", "x" * 500)
    writer.commit(1, "")
    reader = Replica.load(2, writer.export(), ())
    text.append("y")
    writer.commit(1, "")
    assert reader.import_update(writer.export(), ImportLimits(max_operations=1)).changed


def test_a_shallow_snapshot_is_refused() -> None:
    document = bare(1)
    document.get_text("t").insert(0, "hello")
    document.commit()
    shallow = document.export(loro.ExportMode.ShallowSnapshot(document.oplog_frontiers))
    with pytest.raises(InvalidUpdate, match="shallow"):
        Replica(2).import_update(shallow)


NESTED_MAPS = """
    import resource
    import loro
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    document = loro.LoroDoc()
    inside = document.get_map("metadata")
    for _ in range({depth}):
        inside = inside.insert_container("a", loro.LoroMap())
    document.commit()
    update = document.export(loro.ExportMode.Snapshot())
"""


def test_the_bare_engine_dies_of_reading_deeply_nested_maps() -> None:
    code = textwrap.dedent(NESTED_MAPS.format(depth=12_000)) + "document.get_deep_value()\n"
    ended = probe(code)
    assert ended is not None
    assert ended.returncode < 0


def test_deeply_nested_maps_are_a_typed_error_for_a_check_and_for_a_read() -> None:
    document = bare(1)
    inside = document.get_map("metadata")
    for _ in range(2_000):
        container = inside.insert_container("a", loro.LoroMap())  # type: ignore[no-untyped-call]
        assert isinstance(container, loro.LoroMap)
        inside = container
    document.commit()
    notebook = NotebookDocument(Replica(2))
    imported = notebook.replica.import_update(document.export(loro.ExportMode.Snapshot()))
    with pytest.raises(InvalidUpdate, match="levels deep"):
        check_import(notebook.replica, imported)
    with pytest.raises(InvalidUpdate, match="levels deep"):
        notebook.metadata()
    assert notebook.order() == []


# --- the past -----------------------------------------------------------------------------------


def test_a_checkout_detaches_the_bare_document_from_what_comes_in() -> None:
    document, other = bare(1), bare(2)
    document.get_text("t").insert(0, "a")
    document.commit()
    other.import_(document.export(loro.ExportMode.Snapshot()))
    other.get_text("t").insert(1, "b")
    other.commit()
    start = document.oplog_frontiers
    document.get_text("t").insert(0, "c")
    document.commit()
    document.checkout(start)
    document.import_(other.export(loro.ExportMode.Snapshot()))
    assert document.get_text("t").to_string() == "a"


def test_reading_the_past_leaves_the_replica_live() -> None:
    replica, other = Replica(1), Replica(2)
    owner = replica.map("m").new_map("c")
    text = owner.new_text("t", "then")
    replica.commit(1, "")
    heads = replica.heads()
    other.import_update(replica.export())
    text.insert(4, ", now")
    replica.commit(1, "")
    assert replica.text_at(text, owner, heads) == "then"
    other.map("m").set("k", 1)
    other.commit(1, "")
    replica.import_update(other.export(replica.version()))
    assert replica.map("m").get("k") == 1
    text.append("!")
    assert replica.commit(1, "")
    assert str(text) == "then, now!"
    assert replica.text_at(text, owner, heads) == "then"


def test_a_diff_over_too_many_operations_is_refused_at_once() -> None:
    replica = Replica(1)
    owner = replica.map("m").new_map("c")
    text = owner.new_text("t", "then")
    replica.commit(1, "")
    heads = replica.heads()
    text.append("x" * 50)
    replica.commit(1, "")
    with pytest.raises(HeadsTooOld) as caught:
        replica.text_at(text, owner, heads, limit=49)
    assert caught.value.data == {"distance": 50, "limit": 49}
    assert replica.text_at(text, owner, heads, limit=50) == "then"


# --- history ------------------------------------------------------------------------------------


def test_a_bare_walk_of_the_history_panics_when_its_callback_gives_none() -> None:
    document = bare(1)
    document.get_map("m").insert("k", 1)
    document.commit()
    seen: list[object] = []
    with pytest.raises(BaseException) as caught:
        document.travel_change_ancestors([loro.ID(1, 0)], seen.append)  # type: ignore[arg-type]
    assert type(caught.value).__name__ == "PanicException"


def test_the_history_is_read_without_a_callback_newest_first() -> None:
    one, two = Replica(1), Replica(2)
    for number in range(3):
        one.map("m").set("k", number)
        one.commit(100 + number, f"one {number}")
    two.import_update(one.export())
    two.map("m").set("t", 1)
    two.commit(200, "two")
    one.map("m").set("o", 1)
    one.commit(201, "one, at once")
    one.import_update(two.export())
    entries = one.history()
    assert [entry.message for entry in entries][2:] == ["one 2", "one 1", "one 0"]
    assert {entry.message for entry in entries[:2]} == {"two", "one, at once"}
    assert [entry.wall_s for entry in entries][2:] == [102, 101, 100]
    assert one.history(1) == entries[:1]
    assert one.version_at(entries[3].heads).operations_since(Version.EMPTY) == 2


# --- deletion -----------------------------------------------------------------------------------


def test_removing_a_bare_cell_loses_a_concurrent_edit_even_when_undone() -> None:
    one, two = bare(1), bare(2)
    cells = one.get_map("cells")
    cells.insert_container("a", loro.LoroText())  # type: ignore[no-untyped-call]
    one.commit()
    two.import_(one.export(loro.ExportMode.Snapshot()))
    undo = loro.UndoManager(one)
    cells.delete("a")
    one.commit()
    theirs: Any = two.get_map("cells").get("a")
    theirs.container.insert(0, "typed meanwhile")
    two.commit()
    undo.undo()
    one.import_(two.export(loro.ExportMode.Snapshot()))
    found: Any = cells.get("a")
    assert found is None or "typed" not in found.container.to_string()


def test_a_concurrent_edit_survives_the_undo_of_a_deletion() -> None:
    one = NotebookDocument(Replica(1))
    one.apply([AddCell("a")], NOW, "one")
    two = NotebookDocument(one.replica.rebuilt(2))
    undo = Undo(one.replica)
    one.apply([DeleteCell("a")], NOW, "one")
    two.apply([AppendSource("a", "typed meanwhile")], NOW, "two")
    one.replica.import_update(two.replica.export())
    assert one.order() == []
    assert undo.undo(2000, "one: undo")
    assert one.source("a") == "typed meanwhile"
    assert one.order() == ["a"]
