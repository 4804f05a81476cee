"""Comms as the document shows them: newest values, blobs, bounds, and what is said of the rest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.core.document import comms as comms_module
from headway.core.document.comm_records import MAX_SHOWN_MESSAGES, CommReader, CommRecord
from headway.core.document.comm_state import KeyChange, changed_keys
from headway.core.document.comms import LARGE_BYTES_PER_S, Comms
from headway.core.document.crdt import Replica
from headway.core.document.runtime_writing import RuntimeDocument
from headway.core.document.widget_state import WIDGET_STATE_TYPE, widgets_form
from headway.moments import Moment

MODEL = {"_model_name": "M", "_model_module": "m", "_model_module_version": "1"}


class World:
    """The machine, a document, and the blobs it wrote."""

    def __init__(self) -> None:
        self.comms = Comms()
        self.document = RuntimeDocument(Replica(7))
        self.blobs: dict[str, bytes] = {}
        self.now_s = 100.0

    def flush(self) -> int:
        """Take and write; gives how many changes of comms that were."""
        taken = self.comms.take(self.now_s)
        self.blobs.update(taken.blobs)
        self.document.comms.write(taken)
        self.document.commit(Moment(self.now_s, self.now_s))
        return len(taken.changes)

    @property
    def reader(self) -> CommReader:
        return self.document.reader.comms

    def open(self, comm_id: str, state: Mapping[str, Any] = MODEL, **fields: Any) -> bool:
        fields = {"target_name": "jupyter.widget", **fields}
        kept = self.comms.opened(CommRecord(comm_id=comm_id, **fields), {})
        self.set(comm_id, state)
        return kept

    def set(self, comm_id: str, state: Mapping[str, Any], *parts: tuple[list[Any], bytes]) -> None:
        paths, buffers = [path for path, _ in parts], [data for _, data in parts]
        self.comms.update(comm_id, changed_keys(dict(state), paths, buffers))

    def state(self, comm_id: str) -> dict[str, Any]:
        record = self.reader.record(comm_id)
        assert record is not None
        return record.state


@pytest.fixture
def world() -> World:
    return World()


def test_of_many_changes_only_the_newest_values_are_written(world: World) -> None:
    world.open("a", {"value": 0, "min": 0})
    world.flush()
    before = world.document.replica.version()
    for value in range(100):
        world.set("a", {"value": value})
    assert world.flush() == 1
    assert world.state("a") == {"value": 99, "min": 0}
    assert len(world.document.replica.export(before)) < 300
    assert not world.comms.has_news


def test_a_large_value_is_a_blob_and_a_small_one_is_not(world: World) -> None:
    world.open("a", {"small": "x" * 900, "large": ["y" * 2000], "deep": {"blob": "no reference"}})
    world.flush()
    state = world.state("a")
    assert state["small"] == "x" * 900
    assert json.loads(world.blobs[state["large"]["blob"]]) == ["y" * 2000]
    assert json.loads(world.blobs[state["deep"]["blob"]]) == {"blob": "no reference"}


def test_binary_parts_are_blobs_with_their_paths_and_go_with_their_key(world: World) -> None:
    world.open("a", {"nested": {"shape": [2]}})
    world.set("a", {"nested": {"shape": [2]}}, (["nested", "data"], b"12"), (["plain"], b"3"))
    world.flush()
    record = world.reader.record("a")
    assert record is not None
    assert record.state == {"nested": {"shape": [2]}}
    (nested,), (plain,) = record.buffers["nested"], record.buffers["plain"]
    assert (nested["path"], world.blobs[nested["blob"]]) == (["nested", "data"], b"12")
    assert (plain["path"], world.blobs[plain["blob"]]) == (["plain"], b"3")
    assert set(record.blobs()) == set(world.blobs)
    world.set("a", {"nested": 1, "plain": None})
    world.flush()
    record = world.reader.record("a")
    assert record is not None
    assert (record.state, record.buffers) == ({"nested": 1, "plain": None}, {})


def test_a_comm_that_is_closed_before_it_was_shown_is_never_written(world: World) -> None:
    before = world.document.replica.version()
    world.open("a")
    world.comms.closed("a")
    assert world.flush() == 0
    assert world.document.replica.version() == before


def test_a_closed_comm_is_gone_and_its_id_can_be_used_again(world: World) -> None:
    world.open("a", {"value": 1, "old": 1})
    world.flush()
    world.comms.closed("a")
    world.open("a", {"value": 2})
    world.flush()
    assert world.state("a") == {"value": 2}
    world.comms.closed("a")
    world.flush()
    assert world.reader.records() == []


def test_a_comm_too_many_is_counted_and_told_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comms_module, "MAX_COMMS", 2)
    kept = [world.open(each, execution_id="e1") for each in "abcd"]
    assert kept == [True, True, False, False]
    world.flush()
    assert [record.comm_id for record in world.reader.records()] == ["a", "b"]
    assert world.reader.left_out == 2
    world.open("e")
    assert world.comms.has_news
    world.flush()
    assert world.reader.left_out == 3
    assert not world.comms.has_news
    ((about, text),) = world.comms.take_notes()
    assert about == "e1"
    assert "at most 2 widgets" in text
    assert world.comms.take_notes() == []


def test_state_that_finds_no_room_is_left_out_by_key_with_its_size(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comms_module, "MAX_COMM_STATE_BYTES", 1000)
    world.open("a", {"value": "x" * 500})
    world.open("b", {"value": "y" * 100})
    world.flush()
    world.set("b", {"value": "z" * 501})
    world.flush()
    record = world.reader.record("b")
    assert record is not None
    assert (record.state, record.left_out) == ({}, {"value": 501})
    ((_, text),) = world.comms.take_notes()
    assert "501 bytes" in text
    world.set("b", {"value": "z" * 500})
    world.flush()
    record = world.reader.record("b")
    assert record is not None
    assert (record.state, record.left_out) == ({"value": "z" * 500}, {})
    world.comms.closed("a")
    world.set("b", {"value": "z" * 1000})
    world.flush()
    assert len(world.state("b")["value"]) == 1000


def test_messages_are_numbered_and_the_newest_are_shown(world: World) -> None:
    world.open("a")
    for number in range(MAX_SHOWN_MESSAGES + 5):
        world.comms.say("a", {"n": number}, (bytes([number % 256]),))
        if number % 7 == 0:
            world.flush()
    world.comms.say("unknown", {}, ())
    world.flush()
    shown = world.reader.messages()
    last = MAX_SHOWN_MESSAGES + 5
    assert [each.number for each in shown] == list(range(6, last + 1))
    assert shown[-1].data == {"n": last - 1}
    assert world.blobs[shown[-1].buffers[0]["blob"]] == bytes([(last - 1) % 256])
    assert world.reader.messages(after=last - 1) == [shown[-1]]
    assert world.reader.last_message == last


def test_a_flood_of_pictures_waits_for_its_allowance_and_the_newest_is_shown(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comms_module, "LARGE_BURST_BYTES", 10_000)
    world.comms = Comms()
    world.open("a", {"caption": "small"})
    written = 0
    for frame in range(100):
        world.set("a", {"caption": f"frame {frame}"}, (["data"], frame.to_bytes(8_000, "big")))
        written += world.flush()
    assert written == 2
    assert world.comms.waits_until_s is not None
    assert world.state("a")["caption"] == "frame 1"
    assert world.comms.waits_until_s - world.now_s < 8_000 / LARGE_BYTES_PER_S + 0.01
    world.open("b", {"value": 1})
    assert world.flush() == 1, "who has nothing large does not wait"
    world.now_s = world.comms.waits_until_s
    assert world.flush() == 1
    assert world.state("a")["caption"] == "frame 99"
    assert world.comms.waits_until_s is None


def test_what_an_ended_kernel_showed_stays_until_another_one_opens_comms(world: World) -> None:
    world.open("a", {"value": 1})
    world.flush()
    world.comms.ended()
    assert not world.comms.has_open
    world.flush()
    record = world.reader.record("a")
    assert record is not None
    assert (record.is_open, record.state) == (False, {"value": 1})
    world.open("b", {"value": 2})
    world.flush()
    assert [(each.comm_id, each.is_open) for each in world.reader.records()] == [("b", True)]


def test_another_document_takes_all_over_and_the_machine_goes_on_from_it(world: World) -> None:
    world.open("a", {"value": "v" * 5000, "n": 1}, execution_id="e1", metadata={"version": "2.1.0"})
    world.set("a", {}, (["data"], b"12345"))
    world.comms.opened(CommRecord(comm_id="p", target_name="plain"), {"with": 1}, (b"b",))
    world.comms.say("a", {"hello": 1}, ())
    world.flush()
    fresh = RuntimeDocument(Replica(8))
    fresh.carry_over(world.document.reader)
    assert fresh.reader.comms.records() == world.reader.records()
    assert fresh.reader.comms.messages() == world.reader.messages()
    plain = fresh.reader.comms.record("p")
    assert plain is not None
    assert (plain.data, world.blobs[plain.data_buffers[0]["blob"]]) == ({"with": 1}, b"b")
    world.document, world.comms = fresh, Comms()
    world.comms.resume(fresh.reader.comms.records(), fresh.reader.comms.last_message)
    world.set("a", {"n": 2})
    world.comms.say("a", {"again": 1}, ())
    world.flush()
    assert world.state("a")["n"] == 2
    assert [each.number for each in world.reader.messages()] == [1, 2]


def test_the_file_has_widgets_alone_and_what_it_had_before_counts_until_there_are_some(
    world: World,
) -> None:
    assert widgets_form(world.reader) is None
    world.document.comms.set_saved_widgets({"blob": "s" * 64, "size": 3})
    assert widgets_form(world.reader).sha256 == "s" * 64
    world.comms.opened(CommRecord(comm_id="p", target_name="plain"), {})
    world.flush()
    assert widgets_form(world.reader).sha256 == "s" * 64
    world.open("a", {**MODEL, "value": 1})
    world.open("no model", {"value": 1})
    world.flush()
    form = widgets_form(world.reader)[WIDGET_STATE_TYPE]
    assert form["state"] == {
        "a": {
            "model_name": "M",
            "model_module": "m",
            "model_module_version": "1",
            "state": {**MODEL, "value": 1},
        }
    }
    assert world.reader.saved_widgets is None


VALUES = st.one_of(
    st.integers(-5, 5), st.text(max_size=3), st.just("long" * 400), st.lists(st.none(), max_size=2)
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("open"), st.sampled_from("ab"), st.dictionaries(st.just("x"), VALUES)),
        st.tuples(st.just("set"), st.sampled_from("ab"), st.sampled_from("xyz"), VALUES),
        st.tuples(st.just("part"), st.sampled_from("ab"), st.sampled_from("xyz"), st.binary()),
        st.tuples(st.just("close"), st.sampled_from("ab")),
        st.tuples(st.just("flush")),
    ),
    max_size=30,
)


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_however_it_is_cut_into_commits_the_document_shows_what_was_said_last(
    steps: list[Any],
) -> None:
    world = World()
    model: dict[str, dict[str, KeyChange]] = {}
    for step in steps:
        match step:
            case ("open", comm_id, state):
                world.open(comm_id, state)
                model[comm_id] = changed_keys(state)
            case ("set", comm_id, key, value):
                world.set(comm_id, {key: value})
                if comm_id in model:
                    model[comm_id] |= changed_keys({key: value})
            case ("part", comm_id, key, data):
                world.set(comm_id, {}, ([key], data))
                if comm_id in model:
                    model[comm_id] |= changed_keys({}, [[key]], [data])
            case ("close", comm_id):
                world.comms.closed(comm_id)
                model.pop(comm_id, None)
            case _:
                world.flush()
    world.flush()
    shown = {record.comm_id: record for record in world.reader.records()}
    assert shown.keys() == model.keys()
    for comm_id, changes in model.items():
        found: dict[str, KeyChange] = {}
        for key, value in shown[comm_id].state.items():
            is_blob = isinstance(value, dict)
            found[key] = KeyChange(json.loads(world.blobs[value["blob"]]) if is_blob else value)
        for key, parts in shown[comm_id].buffers.items():
            known = found.setdefault(key, KeyChange())
            known.parts = [(tuple(each["path"]), world.blobs[each["blob"]]) for each in parts]
        assert found == changes
