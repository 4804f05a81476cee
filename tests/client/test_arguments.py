"""What a caller gives that makes no sense is refused where it is given, by an error of the tree."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

import headway
from headway.client.arguments import MAX_NAME_CHARACTERS
from headway.core.document.edits import AddCell
from headway.errors import BadRequest
from mini_daemon import daemon_at

LIMIT_S = 30
HALF_A_CHARACTER = "\ud800"


def run(scenario: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(LIMIT_S):
            await scenario

    asyncio.run(bounded())


ENDING: dict[str, Callable[[headway.AsyncNotebook, Any], Coroutine[Any, Any, Any]]] = {
    "confirm_sync": lambda nb, timeout: nb.confirm_sync(timeout),
    "confirm_sync, forgiving": lambda nb, timeout: nb.confirm_sync(timeout, required=False),
    "interrupt": lambda nb, timeout: nb.interrupt(timeout=timeout),
    "queue_cell": lambda nb, timeout: nb.queue_cell(nb.cells[0], timeout=timeout),
    "fetch_output": lambda nb, timeout: nb.fetch_output({}, timeout=timeout),
    "fetch_blob": lambda nb, timeout: nb.fetch_blob("0" * 64, timeout=timeout),
}
"""Waits that must have an end."""

ENDLESS: dict[str, Callable[[headway.AsyncNotebook, Any], Coroutine[Any, Any, Any]]] = {
    "wait_until": lambda nb, timeout: nb.wait_until(lambda: False, timeout=timeout),
    "run": lambda nb, timeout: nb.run("1", timeout=timeout),
    "execute_cell": lambda nb, timeout: nb.execute_cell(nb.cells[0], timeout=timeout),
    "run_all": lambda nb, timeout: nb.run_all(timeout=timeout),
    "stream_execute": lambda nb, timeout: anext(nb.stream_execute(nb.cells[0], timeout=timeout)),
}
"""Waits that may have none."""

NO_NUMBERS = [math.nan, -math.nan, "3", b"3", True, 1j, [1.0]]


@pytest.mark.parametrize("call", [*ENDING, *ENDLESS])
def test_a_time_out_that_is_no_number_is_refused_at_once_and_changes_nothing(
    tmp_path: Path, call: str
) -> None:
    async def scenario() -> None:
        async with daemon_at(tmp_path) as daemon, headway.open_async("a", home=tmp_path) as nb:
            daemon.hold_updates = True  # so that a confirmation has something to wait for
            nb.add_cell("1")
            heads = nb.heads
            for timeout in NO_NUMBERS:
                with pytest.raises(BadRequest, match="number of seconds"):
                    await (ENDING | ENDLESS)[call](nb, timeout)
            assert nb.heads == heads
            assert daemon.accepted == []
            daemon.hold_updates = False

    run(scenario())


@pytest.mark.parametrize("call", ENDING)
def test_a_wait_that_needs_an_end_is_not_begun_without_one(tmp_path: Path, call: str) -> None:
    async def scenario() -> None:
        async with daemon_at(tmp_path), headway.open_async("a", home=tmp_path) as nb:
            nb.add_cell("1")
            for timeout in (math.inf, None, 10**5000):
                with pytest.raises(BadRequest, match="needs an end"):
                    await ENDING[call](nb, timeout)

    run(scenario())


@pytest.mark.parametrize("timeout", [math.inf, None, 10**5000], ids=["inf", "None", "10**5000"])
def test_a_wait_that_may_last_has_no_limit_if_the_limit_is_infinite(
    tmp_path: Path, timeout: Any
) -> None:
    async def scenario() -> None:
        async with daemon_at(tmp_path), headway.open_async("a", home=tmp_path) as nb:
            assert (await nb.run("1", timeout=timeout)).text == "1"
            (result,) = await nb.run_all(timeout=timeout)
            assert result.text == "1"
            await nb.wait_until(lambda: bool(nb.cells), timeout=timeout)

    run(scenario())


def test_every_kind_of_number_is_a_time_out(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with daemon_at(tmp_path), headway.open_async("a", home=tmp_path) as nb:
            for timeout in (5, 5.5, Fraction(11, 2)):
                nb.add_cell("1")
                await nb.confirm_sync(timeout)  # type: ignore[arg-type]

    run(scenario())


@pytest.mark.parametrize("timeout", [*NO_NUMBERS, math.inf, None], ids=repr)
def test_a_notebook_is_not_opened_with_a_time_out_that_makes_no_sense(timeout: Any) -> None:
    with pytest.raises(BadRequest, match="number of seconds"):
        headway.open("a", timeout=timeout)
    with pytest.raises(BadRequest, match="number of seconds"):
        headway.connect("ws://127.0.0.1:9", "nb-room", timeout=timeout)


def test_closing_with_a_time_out_that_makes_no_sense_closes_all_the_same(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with daemon_at(tmp_path):
            nb = await headway.open_async("a", home=tmp_path)
            with pytest.raises(BadRequest):
                await nb.close(timeout=math.nan)
            assert nb.status == "closed"

    run(scenario())


@pytest.mark.parametrize("name", [5, b"ada", "\ud800"], ids=ascii)
def test_a_name_that_is_no_text_is_refused_at_once(name: Any) -> None:
    with pytest.raises(BadRequest, match="`name`"):
        headway.open("a", name=name, timeout=5)
    with pytest.raises(BadRequest, match="`name`"):
        headway.connect("ws://127.0.0.1:9", "nb-room", name=name, timeout=5)


def test_a_long_name_is_cut_to_what_the_daemon_shows(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            daemon_at(tmp_path),
            headway.open_async("a", home=tmp_path, name="\u1234" * 10_000, timeout=5) as nb,
        ):
            nb.add_cell("1")
            assert nb.history(1)[0].message == "\u1234" * MAX_NAME_CHARACTERS + ": add cell"

    run(scenario())


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        "ws:/127.0.0.1/SECRET",
        "http://127.0.0.1:9/?token=SECRET",
        "ws://127.0.0.1:99999/?token=SECRET",
        "ws://[::1?token=SECRET",
        "ws://127.0.0.1:9/a#SECRET",
        "ws://\ud800/",
        b"ws://127.0.0.1:9/SECRET",
        5,
        None,
    ],
    ids=ascii,
)
def test_what_is_no_address_is_refused_at_once_and_not_repeated(url: Any) -> None:
    with pytest.raises(BadRequest, match="`url`") as refused:
        headway.connect(url, "nb-room", timeout=5)
    assert "SECRET" not in f"{refused.value} {refused.value.data}"
    assert refused.value.__cause__ is None


@pytest.mark.parametrize("room", ["", "x" * 129, HALF_A_CHARACTER, b"nb-room", 5, None], ids=ascii)
def test_what_names_no_document_of_a_server_is_refused_at_once(room: Any) -> None:
    with pytest.raises(BadRequest, match="`room`"):
        headway.connect("ws://127.0.0.1:9", room, timeout=5)


@pytest.mark.parametrize("place", ["\0", HALF_A_CHARACTER], ids=ascii)
def test_what_can_be_no_path_is_refused_as_a_notebook_and_as_a_home(place: str) -> None:
    with pytest.raises(BadRequest):
        headway.open(f"/tmp/{place}.ipynb")
    with pytest.raises(BadRequest, match="`home`"):
        headway.open("a", home=place)


def refused(error: type[Exception], sentence: str, call: Callable[[], Any]) -> None:
    with pytest.raises(error, match=sentence):
        call()


def test_an_edit_that_is_none_is_refused_and_nothing_is_changed(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with daemon_at(tmp_path), headway.open_async("a", home=tmp_path) as nb:
            heads = nb.heads
            edit = AddCell("a")
            refused(headway.InvalidEdit, "NoneType is none", lambda: nb.apply(edit, None))  # type: ignore[arg-type]
            refused(headway.InvalidEdit, "list is none", lambda: nb.apply([edit]))  # type: ignore[arg-type]
            refused(headway.InvalidDependencies, "5", lambda: nb.remove_dependencies(5))  # type: ignore[arg-type]
            assert nb.heads == heads

    run(scenario())


REFUSED: dict[str, Callable[[headway.AsyncNotebook], Coroutine[Any, Any, Any]]] = {
    "`output` has": lambda nb: nb.fetch_output("x"),  # type: ignore[arg-type]
    "`data` has": lambda nb: nb.send_comm("c", "x"),  # type: ignore[arg-type]
    "`data` has ": lambda nb: nb.open_comm("t", "x"),  # type: ignore[arg-type]
    "`metadata` has": lambda nb: nb.open_comm("t", metadata=5),  # type: ignore[arg-type]
    "`state` has": lambda nb: nb.update_widget("c", "x"),  # type: ignore[arg-type]
    "`comm` is text": lambda nb: nb.fetch_state(5),  # type: ignore[arg-type]
    "`comm` is text, not NoneType": lambda nb: nb.close_comm(None),  # type: ignore[arg-type]
    "`sha256` is the SHA-256": lambda nb: nb.fetch_blob("../../etc/passwd"),
    "`sha256` holds half": lambda nb: nb.fetch_blob(HALF_A_CHARACTER),
    "`sha256` is text": lambda nb: nb.fetch_blob(5),  # type: ignore[arg-type]
    "`path` can be no path": lambda nb: nb.save(f"/tmp/{HALF_A_CHARACTER}.ipynb"),
    "`code` is text": lambda nb: nb.complete(5),  # type: ignore[arg-type]
    "`code` is text, not NoneType": lambda nb: nb.inspect(None),  # type: ignore[arg-type]
    "`cell_id` of `execute` is wrong": lambda nb: nb.execute_cell(b"c"),  # type: ignore[arg-type]
    "`name` of `start_kernel` is wrong": lambda nb: nb.start_kernel(b"k"),  # type: ignore[arg-type]
    "`environment` of": lambda nb: nb.start_kernel(environment=b"/e"),  # type: ignore[arg-type]
}
"""The sentence that is wanted, and the call that is to be refused with it."""


@pytest.mark.parametrize("sentence", REFUSED)
def test_a_value_of_another_type_is_refused_with_what_is_expected(
    tmp_path: Path, sentence: str
) -> None:
    async def scenario() -> None:
        async with daemon_at(tmp_path) as daemon, headway.open_async("a", home=tmp_path) as nb:
            with pytest.raises(BadRequest, match=sentence.strip()):
                await REFUSED[sentence](nb)
            assert daemon.requests == []
            assert nb.status == "live"

    run(scenario())


def test_an_output_whose_reference_names_no_blob_keeps_its_reference(tmp_path: Path) -> None:
    reference = {"blob": HALF_A_CHARACTER, "size": 1}
    output = {"output_type": "display_data", "data": {"a/b": reference}, "metadata": {}}

    async def scenario() -> None:
        async with daemon_at(tmp_path), headway.open_async("a", home=tmp_path) as nb:
            assert await nb.fetch_output(output) == output

    run(scenario())


@pytest.mark.parametrize("value", [b"SECRET", "SECRET\n", "a\r\nSECRET", 5, None], ids=repr)
def test_an_answer_that_is_not_one_line_of_text_is_refused_and_not_repeated(
    tmp_path: Path, value: Any
) -> None:
    prompt = headway.Prompt("p", "Password: ", password=True)

    async def scenario() -> None:
        async with daemon_at(tmp_path), headway.open_async("a", home=tmp_path) as nb:
            job = await nb.queue_cell(nb.add_cell("hang"))
            with pytest.raises(BadRequest) as told:
                await job.answer(value, prompt=prompt)
            assert "SECRET" not in f"{told.value} {told.value.data} {told.value.__cause__}"

    run(scenario())


@pytest.mark.parametrize("prompt", ["", "p", 5])
def test_an_answer_to_what_is_no_prompt_is_refused(tmp_path: Path, prompt: Any) -> None:
    async def scenario() -> None:
        async with daemon_at(tmp_path), headway.open_async("a", home=tmp_path) as nb:
            job = await nb.queue_cell(nb.add_cell("hang"))
            with pytest.raises(BadRequest, match="`prompt`"):
                await job.answer("yes", prompt=prompt)

    run(scenario())


@pytest.mark.parametrize("of", [lambda cell: cell.id, lambda _: "", lambda cell: cell, lambda _: 5])
def test_one_cell_in_place_of_a_list_of_cells_is_refused(
    tmp_path: Path, of: Callable[[headway.Cell], Any]
) -> None:
    async def scenario() -> None:
        async with daemon_at(tmp_path) as daemon, headway.open_async("a", home=tmp_path) as nb:
            cell = nb.add_cell("1")
            with pytest.raises(BadRequest, match="list of cells"):
                await nb.run_all(cells=of(cell))
            with pytest.raises(BadRequest, match="list of cells"):
                await nb.queue_all(cells=of(cell))
            assert daemon.accepted == []
            (result,) = await nb.run_all(cells=(each for each in [cell.id]))  # type: ignore[arg-type]
            assert result.text == "1"

    run(scenario())


def test_a_file_that_is_no_notebook_gets_none_beside_it_unless_that_is_named(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        async with daemon_at(tmp_path / "home") as daemon:
            words = tmp_path / "words.txt"
            words.write_text("no notebook")
            with pytest.raises(BadRequest, match=r"no notebook.*words\.txt\.ipynb"):
                await headway.open_async(words, home=tmp_path / "home")
            assert daemon.connections == []
            beside = tmp_path / "words.txt.ipynb"
            async with headway.open_async(beside, home=tmp_path / "home"):
                pass
            beside.write_text("")
            async with headway.open_async(words, home=tmp_path / "home"):
                pass

    run(scenario())
