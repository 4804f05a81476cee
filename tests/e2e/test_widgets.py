"""Widgets of a real ipykernel: one state for every peer and the kernel, and no echo that loops."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

import headway
from headway.core.document.comm_records import CommRecord
from headway_daemon import HeadwayDaemon

RUN_S = 30.0
RAISED = "ZeroDivisionError"
SEEN_S = 20.0

SLIDER = """
import ipywidgets as widgets
slider = widgets.IntSlider(description="how many", min=0, max=100, value=3)
slider
"""
STATE_TYPE = "application/vnd.jupyter.widget-state+json"
VIEW_TYPE = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
def ada(daemon: HeadwayDaemon, name: str) -> Iterator[headway.Notebook]:
    with daemon.open(name, name="ada") as notebook:
        yield notebook


@pytest.fixture
def bob(daemon: HeadwayDaemon, name: str, ada: headway.Notebook) -> Iterator[headway.Notebook]:
    assert ada.path is not None
    with daemon.open(name, name="bob") as notebook:
        yield notebook


def run(notebook: headway.Notebook, source: str) -> headway.ExecutionResult:
    result = notebook.run(source, timeout=RUN_S)
    assert result.status == "ok", result
    return result


def widget(notebook: headway.Notebook, **state: Any) -> CommRecord:
    """The one widget whose state has these values."""
    (found,) = [
        each
        for each in notebook.widgets.values()
        if all(each.state.get(key) == value for key, value in state.items())
    ]
    return found


def until(notebook: headway.Notebook, is_true: Callable[[], bool]) -> None:
    notebook.wait_until(is_true, timeout=SEEN_S)


def value_of(notebook: headway.Notebook, comm: CommRecord, key: str = "value") -> Any:
    return notebook.comms[comm.comm_id].state.get(key)


def test_a_slider_that_one_peer_moves_moves_for_the_other_and_in_the_kernel(
    ada: headway.Notebook, bob: headway.Notebook
) -> None:
    result = run(ada, SLIDER)
    slider = widget(ada, description="how many")
    assert result.outputs[-1]["data"][VIEW_TYPE]["model_id"] == slider.comm_id
    until(bob, lambda: slider.comm_id in bob.comms)
    ada.update_widget(slider, {"value": 7})
    assert value_of(ada, slider) == 7
    until(bob, lambda: value_of(bob, slider) == 7)
    assert run(bob, "slider.value").text == "7"
    bob.update_widget(slider, {"value": 8})
    until(ada, lambda: value_of(ada, slider) == 8)
    assert run(ada, "slider.value").text == "8"


def test_the_kernel_has_the_last_word(ada: headway.Notebook) -> None:
    run(ada, SLIDER)
    slider = widget(ada, description="how many")
    ada.update_widget(slider, {"value": 1000})
    until(ada, lambda: value_of(ada, slider) == 100)
    assert run(ada, "slider.value").text == "100"
    run(ada, "slider.value = 12; slider.max = 20")
    assert (value_of(ada, slider), value_of(ada, slider, "max")) == (12, 20)


def test_a_value_that_a_widget_refuses_is_thrown_back_for_everybody(
    ada: headway.Notebook, bob: headway.Notebook
) -> None:
    run(ada, SLIDER)
    slider = widget(ada, description="how many")
    until(bob, lambda: slider.comm_id in bob.comms)
    ada.update_widget(slider, {"value": "zz"})
    until(ada, lambda: value_of(ada, slider) == 3)
    until(bob, lambda: value_of(bob, slider) == 3)
    assert run(ada, "slider.value").text == "3"
    ada.update_widget(slider, {"value": 7})
    assert value_of(ada, slider) == 7
    assert run(ada, "slider.value").text == "7"


def test_linked_widgets_follow_each_other(ada: headway.Notebook, bob: headway.Notebook) -> None:
    run(
        ada,
        "import ipywidgets as widgets\n"
        "one, two = widgets.IntSlider(description='one'), widgets.IntText(description='two')\n"
        "link = widgets.link((one, 'value'), (two, 'value'))",
    )
    one, two = widget(ada, description="one"), widget(ada, description="two")
    ada.update_widget(one, {"value": 31})
    until(bob, lambda: value_of(bob, two) == 31)
    bob.update_widget(two, {"value": 44})
    until(ada, lambda: value_of(ada, one) == 44)
    assert run(bob, "one.value, two.value").text == "(44, 44)"


def test_who_joins_later_sees_the_widgets_as_they_are_now(
    daemon: HeadwayDaemon, name: str, ada: headway.Notebook
) -> None:
    run(ada, SLIDER)
    slider = widget(ada, description="how many")
    ada.update_widget(slider, {"value": 55})
    with daemon.open(name, name="late") as late:
        seen = late.widgets[slider.comm_id]
        assert seen.is_open
        assert seen.state["value"] == 55
        assert late.fetch_state(slider)["value"] == 55
        late.update_widget(slider, {"value": 56})
        until(ada, lambda: value_of(ada, slider) == 56)


def test_what_a_button_prints_is_shown_by_the_cell_that_made_it(
    ada: headway.Notebook, bob: headway.Notebook
) -> None:
    run(
        ada,
        "import ipywidgets as widgets\n"
        "button = widgets.Button(description='press me')\n"
        "button.on_click(lambda _: print('pressed'))\n"
        "button",
    )
    button, cell = widget(ada, description="press me"), ada.cells[-1].id
    bob.send_comm(button, {"method": "custom", "content": {"event": "click"}})

    def printed() -> list[str]:
        outputs = ada.cell(cell).outputs
        return [each["text"] for each in outputs if each["output_type"] == "stream"]

    until(ada, lambda: printed() == ["pressed\n"])
    ada.send_comm(button, {"method": "custom", "content": {"event": "click"}})
    until(ada, lambda: printed() == ["pressed\npressed\n"])


def test_an_error_in_a_callback_is_shown_and_the_kernel_goes_on(ada: headway.Notebook) -> None:
    run(ada, SLIDER + "\nslider.observe(lambda change: 1 / 0, 'value')")
    slider, cell = widget(ada, description="how many"), ada.cells[-1].id
    ada.update_widget(slider, {"value": 9})
    until(ada, lambda: [each.get("ename") for each in ada.cell(cell).outputs] == [RAISED])
    assert run(ada, "slider.value").text == "9"


def test_a_callback_that_does_not_end_can_be_interrupted(ada: headway.Notebook) -> None:
    run(
        ada,
        SLIDER + "\nimport time\n"
        "slider.observe(lambda c: (print('in it', flush=True), time.sleep(600)), 'value')",
    )
    slider, cell = widget(ada, description="how many"), ada.cells[-1].id
    ada.update_widget(slider, {"value": 9})
    until(ada, lambda: bool(ada.cell(cell).outputs))
    assert ada.interrupt().interrupted
    assert run(ada, "slider.value").text == "9"


def test_interact_shows_the_output_of_its_last_call(
    ada: headway.Notebook, bob: headway.Notebook
) -> None:
    run(
        ada,
        "from ipywidgets import interact\n"
        "@interact(x=(0, 10))\n"
        "def doubled(x=2):\n"
        "    print('twice is', 2 * x)\n"
        "    return x",
    )
    slider = widget(ada, description="x")
    output = widget(ada, _model_name="OutputModel")

    def shown(notebook: headway.Notebook) -> list[Any]:
        outputs = notebook.fetch_state(output.comm_id)["outputs"]
        return [each.get("text") or each["data"]["text/plain"] for each in outputs]

    until(ada, lambda: len(value_of(ada, output, "outputs")) == 2)
    assert shown(ada) == ["twice is 4\n", "2"]
    bob.update_widget(slider, {"value": 6})
    until(bob, lambda: bob.comms[output.comm_id].state["outputs"][0]["text"] == "twice is 12\n")
    until(bob, lambda: len(value_of(bob, output, "outputs")) == 2)
    assert shown(bob) == ["twice is 12\n", "6"]
    cell = ada.cells[-1]
    assert not [each for each in cell.outputs if each["output_type"] == "stream"]


def test_an_output_widget_catches_and_the_kernel_knows_what(ada: headway.Notebook) -> None:
    run(
        ada,
        "import ipywidgets as widgets\n"
        "out = widgets.Output()\n"
        "print('before')\n"
        "with out:\n"
        "    print('caught')\n"
        "    print('as well')\n"
        "    display(1)\n"
        "print('after')",
    )
    assert ada.cells[-1].outputs[0]["text"] == "before\nafter\n"
    output = widget(ada, _model_name="OutputModel")
    assert [each["output_type"] for each in value_of(ada, output, "outputs")] == [
        "stream",
        "display_data",
    ]
    # Code that runs later sees what was caught before.
    assert run(ada, "out.outputs[0]['text'], len(out.outputs)").text == "('caught\\nas well\\n', 2)"
    run(ada, "out.append_stdout('more')")
    run(ada, "with out:\n    print('still here')")
    texts = [each.get("text") for each in value_of(ada, output, "outputs")]
    assert texts == ["caught\nas well\n", None, "morestill here\n"]
    run(ada, "out.clear_output()")
    assert value_of(ada, output, "outputs") == []


def test_two_peers_who_move_at_once_agree_with_the_kernel(
    ada: headway.Notebook, bob: headway.Notebook
) -> None:
    run(ada, SLIDER)
    slider = widget(ada, description="how many")
    until(bob, lambda: slider.comm_id in bob.comms)
    for step in range(0, 100, 2):
        ada.update_widget(slider, {"value": step})
        bob.update_widget(slider, {"value": step + 1})
    told = int(run(ada, "slider.value").text)
    assert told == 99
    for peer in (ada, bob):
        until(peer, lambda peer=peer: value_of(peer, slider) == told)  # type: ignore[misc]


def test_nothing_loops_and_a_dragged_slider_is_few_messages(
    ada: headway.Notebook, bob: headway.Notebook
) -> None:
    run(
        ada,
        "import ipywidgets as widgets\n"
        "heard = []\n"
        "one, two = widgets.IntSlider(description='one'), widgets.IntSlider(description='two')\n"
        "link = widgets.link((one, 'value'), (two, 'value'))\n"
        "for each in (one, two):\n"
        "    handle = each.comm._msg_callback\n"
        "    each.comm.on_msg(lambda m, h=handle: (heard.append(m['content']['data']), h(m)))",
    )
    one = widget(ada, description="one")
    until(bob, lambda: one.comm_id in bob.comms)
    seen: list[Any] = []

    def watch() -> bool:
        seen.append(value_of(bob, one))
        return bool(seen[-1] == 50)

    for step in range(1, 51):
        ada.update_widget(one, {"value": step})
    until(bob, watch)
    # One message for each move at most, nothing that a peer or the daemon sent back.
    heard = json.loads(run(ada, "import json; print(json.dumps(heard))").text)
    assert 1 <= len(heard) <= 50
    assert {each["method"] for each in heard} == {"update"}
    values = [each["state"]["value"] for each in heard]
    assert values == sorted(values)
    assert values[-1] == 50
    # Some time later it is still so.
    assert run(bob, f"len(heard) == {len(heard)}").text == "True"
    assert seen == sorted(seen), "a value was thrown back"


def test_moves_over_a_slow_callback_do_not_queue_up(ada: headway.Notebook) -> None:
    run(
        ada,
        SLIDER + "\nimport time\ncalls = []\n"
        "slider.observe(lambda c: (time.sleep(0.3), calls.append(c['new'])), 'value')",
    )
    slider = widget(ada, description="how many")
    for step in range(4, 54):
        ada.update_widget(slider, {"value": step})
    calls = json.loads(run(ada, "print(calls)").text)
    assert calls[-1] == 53
    assert len(calls) < 25


def test_moves_during_a_running_cell_reach_the_kernel_before_the_next_one(
    ada: headway.Notebook,
) -> None:
    run(ada, SLIDER)
    slider = widget(ada, description="how many")
    job = ada.queue_cell(ada.add_cell("import time; print('on', flush=True); time.sleep(1)"))
    until(ada, lambda: bool(job.outputs))
    for step in (20, 30, 40):
        ada.update_widget(slider, {"value": step})
    assert value_of(ada, slider) == 40
    assert run(ada, "slider.value").text == "40"


def test_what_a_running_cell_sets_is_seen_while_it_runs(
    ada: headway.Notebook, bob: headway.Notebook
) -> None:
    run(ada, "import ipywidgets as widgets; bar = widgets.IntProgress(description='bar', max=9)")
    bar = widget(ada, description="bar")
    job = ada.queue_cell(ada.add_cell("bar.value = 5\nimport time\ntime.sleep(600)"))
    until(bob, lambda: value_of(bob, bar) == 5)
    assert job.status == "running"
    ada.interrupt()
    assert job.wait(RUN_S) == "error"


def test_a_large_binary_part_is_a_blob_and_arrives_whole(
    ada: headway.Notebook, bob: headway.Notebook
) -> None:
    run(
        ada,
        "import ipywidgets as widgets\n"
        "image = widgets.Image(value=bytes(range(256)) * 20_000, format='raw')",
    )
    image = widget(ada, _model_name="ImageModel")
    assert "value" not in image.state
    (part,) = image.buffers["value"]
    assert (part["path"], part["size"]) == (["value"], 5_120_000)
    until(bob, lambda: image.comm_id in bob.comms)
    assert bob.fetch_state(image)["value"] == bytes(range(256)) * 20_000
    bob.update_widget(image, {"value": b"small\x00\xff"})
    assert run(bob, "bytes(image.value)").text == repr(b"small\x00\xff")
    until(ada, lambda: ada.comms[image.comm_id].buffers["value"][0]["size"] == 7)
    assert ada.fetch_state(image)["value"] == b"small\x00\xff"


def test_custom_messages_and_comms_that_are_no_widgets_come_as_messages(
    ada: headway.Notebook, bob: headway.Notebook
) -> None:
    run(
        ada,
        "from comm import create_comm, get_comm_manager\n"
        "def opened(comm, message):\n"
        "    def back(m):\n"
        "        comm.send({'back': m['content']['data']}, buffers=m['buffers'])\n"
        "    comm.on_msg(back)\n"
        "    comm.send({'hello': message['content']['data']})\n"
        "get_comm_manager().register_target('parrot', opened)",
    )
    parrot = ada.open_comm("parrot", {"name": "Polly"})
    until(bob, lambda: [m.data for m in bob.comm_messages()] == [{"hello": {"name": "Polly"}}])
    assert bob.comms[parrot].target_name == "parrot"
    assert bob.comms[parrot].data == {"name": "Polly"}
    (first,) = bob.comm_messages()
    bob.send_comm(parrot, {"say": "x" * 3000}, buffers=[b"\x01\x02"])
    until(ada, lambda: len(ada.comm_messages(after=first.number)) == 1)
    (answer,) = ada.comm_messages(after=first.number)
    assert (answer.number, answer.comm_id) == (first.number + 1, parrot)
    assert ada.fetch_blob(answer.buffers[0]["blob"]) == b"\x01\x02"
    assert json.loads(ada.fetch_blob(answer.data["blob"])) == {"back": {"say": "x" * 3000}}
    ada.close_comm(parrot)
    until(bob, lambda: parrot not in bob.comms)
    with pytest.raises(headway.HeadwayError) as refused:
        ada.send_comm(parrot, {})
    assert refused.value.code == "COMM_NOT_FOUND"


def test_a_widget_that_is_closed_is_gone(ada: headway.Notebook, bob: headway.Notebook) -> None:
    run(ada, SLIDER)
    slider = widget(ada, description="how many")
    run(ada, "slider.close()")
    assert slider.comm_id not in ada.comms
    until(bob, lambda: bool(bob.comms) and slider.comm_id not in bob.comms)


def test_a_restart_ends_all_widgets(ada: headway.Notebook, bob: headway.Notebook) -> None:
    run(ada, SLIDER)
    slider = widget(ada, description="how many")
    ada.restart_kernel()
    until(bob, lambda: slider.comm_id in bob.comms and not bob.comms[slider.comm_id].is_open)
    with pytest.raises(headway.HeadwayError) as refused:
        bob.update_widget(slider, {"value": 5})
    assert refused.value.code == "COMM_NOT_FOUND"
    run(ada, SLIDER)
    assert slider.comm_id not in ada.comms
    assert widget(ada, description="how many").is_open


def test_widget_state_is_in_the_file_and_stays_there_when_nothing_runs(
    daemon: HeadwayDaemon, name: str, tmp_path: Path
) -> None:
    with daemon.open(name) as ada:
        run(ada, SLIDER + "\nimage = widgets.Image(value=b'\\x00\\x01', format='raw')")
        slider = widget(ada, description="how many")
        ada.update_widget(slider, {"value": 77})
        ada.save()
        written = saved_widgets(Path(str(ada.path)))
        assert written["state"][slider.comm_id]["state"]["value"] == 77
        assert written["state"][slider.comm_id]["model_name"] == "IntSliderModel"
        assert (written["version_major"], written["version_minor"]) == (2, 0)
        (image,) = [m for m in written["state"].values() if m["model_name"] == "ImageModel"]
        assert image["buffers"] == [{"data": "AAE=", "encoding": "base64", "path": ["value"]}]
        source = Path(str(ada.path)).read_bytes()
    copy = tmp_path / "copy.ipynb"
    copy.write_bytes(source)
    with daemon.open(str(copy)) as again:
        assert not again.comms
        assert "widgets" not in again.metadata
        again.add_cell("not run")
        again.save()
        assert saved_widgets(copy) == written
        again.save(tmp_path / "moved.ipynb")
        assert saved_widgets(tmp_path / "moved.ipynb") == written


def saved_widgets(path: Path) -> Any:
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    nbformat.validate(notebook)
    return notebook.metadata.widgets[STATE_TYPE]


def test_state_beyond_the_bound_is_left_out_by_name_and_the_cell_says_so(
    ada: headway.Notebook,
) -> None:
    result = run(
        ada,
        "import ipywidgets as widgets\n"
        "kept = widgets.Image(value=bytes(1_000_000), format='raw', width=1)\n"
        "large = widgets.Image(value=bytes(66 * 2**20), format='raw', width=2)",
    )
    kept, large = widget(ada, width="1"), widget(ada, width="2")
    assert kept.buffers["value"][0]["size"] == 1_000_000
    assert large.left_out == {"value": 66 * 2**20}
    (told,) = result.outputs
    assert f"left out {66 * 2**20:,} bytes of widget state ('value')" in told["text"]
    run(ada, "large.value = b'small'")
    until(ada, lambda: ada.comms[large.comm_id].left_out == {})
    assert ada.fetch_state(large)["value"] == b"small"


def test_anything_that_speaks_http_can_move_a_slider_and_press_a_button(
    daemon: HeadwayDaemon, ada: headway.Notebook
) -> None:
    run(ada, SLIDER + "\nimage = widgets.Image(format='raw')")
    slider, image = widget(ada, description="how many"), widget(ada, _model_name="ImageModel")
    update = {"method": "update", "state": {"value": 21}}
    moved = daemon.post("comm_message", document=ada.id, comm_id=slider.comm_id, data=update)
    assert (moved.status, moved.body) == (200, {"comm_id": slider.comm_id})
    until(ada, lambda: value_of(ada, slider) == 21)
    binary = {"method": "update", "state": {}, "buffer_paths": [["value"]]}
    told = {"document": ada.id, "comm_id": image.comm_id, "data": binary, "buffers": ["AAH/"]}
    assert daemon.post("comm_message", **told).status == 200
    assert run(ada, "slider.value, bytes(image.value)").text == r"(21, b'\x00\x01\xff')"
    refused = daemon.post("comm_message", document=ada.id, comm_id="none")
    assert (refused.status, refused.code) == (404, "COMM_NOT_FOUND")
