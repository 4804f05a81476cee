"""Bad input gets a clear error and loses nothing: each scenario ends with work going on.

The last line of what the first whole Headway had to do.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

import headway
from headway.core.document.edits import MAX_SOURCE_CHARACTERS
from headway.core.wire import codec
from headway.core.wire.messages import (
    MAX_MESSAGE_BYTES,
    Ack,
    FragmentHeader,
    Join,
    Joined,
    Kind,
    Update,
    UpdateStatus,
)
from headway.daemon.main import EXIT_ALREADY_RUNNING, EXIT_FAILED
from headway.edges.paths import Paths, prepare
from headway.errors import (
    DaemonUnavailable,
    FileNotWritable,
    FolderNotFound,
    KernelNotFound,
    KernelStartFailed,
    NotebookUnreadable,
)
from headway_daemon import DYING_KERNEL, DYING_WORDS, HeadwayDaemon, bounded

CALL_S = 20.0
PROCESS_S = 20.0

PILE_BYTES = 95_000
"""What one edit adds to the pile before a client that does not read: twice that, in hexadecimal."""


@contextlib.contextmanager
def nothing_lost(daemon: HeadwayDaemon, name: str) -> Iterator[headway.Notebook]:
    """A notebook with work in it; after the trouble it is all there, and work goes on."""
    with daemon.open(name) as notebook:
        cell = notebook.add_cell("kept = 'kept'")
        notebook.confirm_sync(CALL_S)
        yield notebook
        assert notebook.source(cell) == "kept = 'kept'"
        notebook.execute_cell(cell, timeout=CALL_S).raise_for_error()
        assert notebook.run("kept", timeout=CALL_S).text == "'kept'"
        with daemon.open(name) as fresh:
            assert fresh.source(cell) == "kept = 'kept'"


def test_an_unknown_cell_is_named_in_the_error(daemon: HeadwayDaemon, name: str) -> None:
    with nothing_lost(daemon, name) as notebook:
        with pytest.raises(headway.CellNotFound, match="0123456789ab"):
            notebook.execute_cell("0123456789ab", timeout=CALL_S)
        with pytest.raises(headway.CellNotFound, match="0123456789ab"):
            notebook.update_source("0123456789ab", "x")
        with pytest.raises(headway.CellNotFound, match="0123456789ab"):
            notebook.add_cell("x", after="0123456789ab")
        assert len(notebook.cells) == 1


def test_a_markdown_cell_is_not_executed_and_the_error_says_why(
    daemon: HeadwayDaemon, name: str
) -> None:
    with nothing_lost(daemon, name) as notebook:
        for cell in (
            notebook.add_cell("words", cell_type="markdown"),
            notebook.add_cell("words", cell_type="raw"),
        ):
            with pytest.raises(headway.NotExecutable, match=cell.cell_type):
                notebook.execute_cell(cell, timeout=CALL_S)


def test_a_kernel_that_does_not_exist_is_refused_with_the_ones_that_do(
    daemon: HeadwayDaemon, name: str
) -> None:
    with nothing_lost(daemon, name) as notebook:
        with pytest.raises(KernelNotFound, match="no-such-kernel") as refused:
            notebook.start_kernel("no-such-kernel", timeout=CALL_S)
        assert "python3" in str(refused.value)
        with pytest.raises(KernelNotFound), daemon.open(name, kernel="no-such-kernel"):
            pass


def test_a_cell_of_a_notebook_whose_kernel_does_not_exist_ends_with_the_reason(
    daemon: HeadwayDaemon, name: str
) -> None:
    with daemon.open(name) as notebook:
        notebook.set_metadata("kernelspec", {"name": "no-such-kernel", "display_name": "?"})
        result = notebook.run("1", timeout=CALL_S)
        assert result.status == "lost"
        assert "no-such-kernel" in str(result.reason)
        notebook.start_kernel("python3", timeout=CALL_S)
        assert notebook.run("2", timeout=CALL_S).text == "2"


def test_a_kernel_that_dies_at_its_start_is_told_with_its_last_words(
    daemon: HeadwayDaemon, name: str
) -> None:
    with nothing_lost(daemon, name) as notebook:
        with pytest.raises(KernelStartFailed) as failed:
            notebook.start_kernel(DYING_KERNEL, timeout=CALL_S)
        assert DYING_WORDS in f"{failed.value} {failed.value.data}"
        notebook.set_metadata("kernelspec", {"name": DYING_KERNEL, "display_name": "Dying"})
        result = notebook.run("1", timeout=CALL_S)
        assert result.status == "lost"
        assert DYING_KERNEL in str(result.reason)
        notebook.set_metadata("kernelspec", {"name": "python3", "display_name": "Python"})


@pytest.mark.parametrize(
    "content", [b"not json {", b"[1, 2]", b'{"cells": 3}', b"\xff\xfe\x00"], ids=repr
)
def test_a_file_that_is_no_notebook_is_refused_and_left_as_it_is(
    daemon: HeadwayDaemon, name: str, content: bytes
) -> None:
    path = daemon.path(name)
    path.write_bytes(content)
    with pytest.raises(NotebookUnreadable) as refused, daemon.open(name):
        pass
    assert path.name in str(refused.value)
    assert path.read_bytes() == content
    path.unlink()
    with daemon.open(name) as notebook:
        assert notebook.cells == []


def test_an_empty_file_is_an_empty_notebook(daemon: HeadwayDaemon, name: str) -> None:
    daemon.path(name).write_bytes(b"")
    with daemon.open(name) as notebook:
        assert notebook.cells == []


def test_a_read_only_folder_is_told_and_the_notebook_can_be_saved_elsewhere(
    daemon: HeadwayDaemon, name: str
) -> None:
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(read_only_folder(daemon, name))
        notebook = stack.enter_context(
            headway.open(folder / name, home=daemon.home, timeout=CALL_S)
        )
        cell = notebook.add_cell("'kept'")
        assert notebook.execute_cell(cell, timeout=CALL_S).text == "'kept'"
        with pytest.raises(FileNotWritable, match="permission"):
            notebook.save(timeout=CALL_S)
        saved = notebook.save(daemon.path(name), timeout=CALL_S)
        assert saved.path == str(daemon.path(name).resolve())
        assert "'kept'" in daemon.path(name).read_text()


@contextlib.contextmanager
def read_only_folder(daemon: HeadwayDaemon, name: str) -> Iterator[Path]:
    if os.geteuid() == 0:
        # Permissions do not stop root; the kernel's own file system does.
        yield Path("/sys/kernel")
        return
    folder = daemon.folder / f"{name}-folder"
    folder.mkdir()
    folder.chmod(0o555)
    try:
        yield folder
    finally:
        folder.chmod(0o755)


def test_a_folder_that_does_not_exist_is_told_before_anything_is_made(
    daemon: HeadwayDaemon, name: str
) -> None:
    folder = daemon.folder / f"{name}-folder"
    path = folder / f"{name}.ipynb"
    with (
        pytest.raises(FolderNotFound, match="does not exist") as refused,
        headway.open(path, home=daemon.home, timeout=CALL_S),
    ):
        pass
    assert refused.value.data == {"path": str(path), "folder": str(folder)}
    assert daemon.post("open", path=str(path)).status == 404
    assert daemon.post("open", path=str(path), create=False).code == "NOTEBOOK_NOT_FOUND"
    folder.write_text("a file")
    with (
        pytest.raises(NotebookUnreadable, match="a file, not a folder"),
        headway.open(path, home=daemon.home, timeout=CALL_S),
    ):
        pass
    folder.unlink()
    folder.mkdir()
    assert daemon.post("open", path=str(path)).body["created"]


def test_a_folder_that_was_removed_is_told_and_saving_works_once_it_is_there(
    daemon: HeadwayDaemon, name: str
) -> None:
    path = daemon.folder / f"{name}-folder" / f"{name}.ipynb"
    path.parent.mkdir()
    with headway.open(path, home=daemon.home, timeout=CALL_S) as notebook:
        notebook.add_cell("'kept'")
        notebook.save(timeout=CALL_S)
        document = notebook.id
    shutil.rmtree(path.parent)
    assert daemon.post("close", document=document).status == 200
    with headway.open(path, home=daemon.home, timeout=CALL_S) as notebook:
        assert (notebook.id, len(notebook.cells)) == (document, 1)
        with pytest.raises(FileNotWritable, match="folder does not exist"):
            notebook.save(timeout=CALL_S)
        result = notebook.run("1", timeout=CALL_S)
        assert result.status == "lost"
        assert "could not be launched" in str(result.reason)
        path.parent.mkdir()
        notebook.save(timeout=CALL_S)
        assert "'kept'" in path.read_text()
        assert notebook.run("2", timeout=CALL_S).text == "2"


def daemon_process(home: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "headway.daemon.main", "--home", str(home)]
    return subprocess.run(command, capture_output=True, text=True, timeout=PROCESS_S, check=False)


def test_a_second_daemon_for_a_home_gives_up_and_the_first_goes_on(
    daemon: HeadwayDaemon, name: str
) -> None:
    with nothing_lost(daemon, name):
        second = daemon_process(daemon.home)
        assert second.returncode == EXIT_ALREADY_RUNNING
        assert str(daemon.post("status").body["pid"]) in second.stderr
        assert "Traceback" not in second.stderr


def test_a_socket_whose_place_is_taken_is_told_and_what_is_there_stays(
    daemon: HeadwayDaemon,
) -> None:
    home = daemon.empty_home()
    place = Paths.of(home).socket
    place.write_text("somebody else's")
    failed = daemon_process(home)
    assert failed.returncode == EXIT_FAILED
    assert str(place) in failed.stderr
    assert "Traceback" not in failed.stderr
    with pytest.raises(DaemonUnavailable, match="no socket of yours"):
        headway.open(daemon.folder / "never", home=home, timeout=CALL_S)
    assert place.read_text() == "somebody else's"


def test_a_home_that_cannot_be_made_is_told(daemon: HeadwayDaemon) -> None:
    place = daemon.folder / "a-file"
    place.write_text("")
    with pytest.raises(headway.HeadwayError, match="a-file"):
        prepare(place / "home")
    with pytest.raises(headway.HeadwayError, match="a-file"):
        headway.open(daemon.folder / "never", home=place / "home", timeout=CALL_S)


@pytest.mark.parametrize(
    "garbage",
    [b"%LOR", b"%LOR\x80\x80\x80\x80\x80\x80", b"%LOR\x05ab", b"%EPH\x02\xff\xfe\x03", b"%RPC{"],
    ids=repr,
)
def test_a_frame_of_garbage_ends_that_connection_and_no_other(
    daemon: HeadwayDaemon, name: str, garbage: bytes
) -> None:
    async def scenario() -> None:
        async with daemon.raw() as peer:
            await peer.send(garbage)
            with pytest.raises(ConnectionClosed) as closed:
                await peer.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 4000

    with nothing_lost(daemon, name):
        bounded(scenario())


def test_an_update_that_is_garbage_is_refused_and_merges_nothing(
    daemon: HeadwayDaemon, name: str
) -> None:
    async def scenario(document: str) -> None:
        async with daemon.raw() as peer:
            await peer.send(codec.encode(Join(Kind.DOCUMENT, document, b"", b"")))
            assert isinstance(codec.decode(_bytes(await peer.recv())), Joined)
            batch = b"\x00" * 7 + b"\x01"
            update = Update(Kind.DOCUMENT, document, (b"\x17garbage" * 20,), batch)
            await peer.send(codec.encode(update))
            assert await status_of(peer, batch) is UpdateStatus.INVALID_UPDATE

    with nothing_lost(daemon, name) as notebook:
        before = notebook.heads
        bounded(scenario(notebook.id))
        assert notebook.heads == before


def _bytes(frame: bytes | str) -> bytes:
    assert isinstance(frame, bytes)
    return frame


async def status_of(peer: object, batch: bytes) -> UpdateStatus:
    while True:
        message = codec.decode(_bytes(await peer.recv()))  # type: ignore[attr-defined]
        if isinstance(message, Ack) and message.batch_id == batch:
            return message.status


def test_an_oversized_update_is_refused_with_its_status(daemon: HeadwayDaemon, name: str) -> None:
    async def announced(document: str) -> None:
        async with daemon.raw() as peer:
            await peer.send(codec.encode(Join(Kind.DOCUMENT, document, b"", b"")))
            assert isinstance(codec.decode(_bytes(await peer.recv())), Joined)
            batch = b"\x00" * 7 + b"\x02"
            header = FragmentHeader(Kind.DOCUMENT, document, batch, 40_000, 4_000_000_000)
            await peer.send(codec.encode(header))
            assert await status_of(peer, batch) is UpdateStatus.PAYLOAD_TOO_LARGE

    async def in_one_frame(document: str) -> None:
        async with daemon.raw() as peer:
            head = codec.encode(Join(Kind.DOCUMENT, document, b"", b""))[:-2]
            await peer.send(head + b"\x03" + b"\x00" * (MAX_MESSAGE_BYTES + 1))
            with pytest.raises(ConnectionClosed) as closed:
                await peer.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code in {1009, 4000}

    with nothing_lost(daemon, name) as notebook:
        bounded(announced(notebook.id))
        bounded(in_one_frame(notebook.id))


def test_an_oversized_edit_is_refused_before_it_is_made_and_the_largest_one_goes_through(
    daemon: HeadwayDaemon, name: str
) -> None:
    with nothing_lost(daemon, name) as notebook:
        with pytest.raises(headway.InvalidEdit) as refused:
            notebook.add_cell("x" * (MAX_SOURCE_CHARACTERS + 1))
        assert refused.value.data["limit"] == MAX_SOURCE_CHARACTERS
        assert len(notebook.cells) == 1
        largest = notebook.add_cell("")
        for _ in range(10):
            notebook.append_source(largest, "#" * (MAX_SOURCE_CHARACTERS // 10))
        with pytest.raises(headway.InvalidEdit):
            notebook.append_source(largest, "#")
        assert notebook.confirm_sync(CALL_S).confirmed
        with daemon.open(name) as fresh:
            assert len(fresh.source(largest)) == MAX_SOURCE_CHARACTERS
        notebook.delete_cell(largest)


def test_a_client_that_stops_reading_is_dropped_and_slows_nobody(
    daemon: HeadwayDaemon, name: str
) -> None:
    async def scenario() -> None:
        async with daemon.open_async(name) as notebook, daemon.raw(max_queue=1) as silent:
            await silent.send(codec.encode(Join(Kind.DOCUMENT, notebook.id, b"", b"")))
            assert isinstance(codec.decode(_bytes(await silent.recv())), Joined)
            await until_peers(daemon, notebook, 2)
            # From here on it reads nothing; what others write piles up for it, up to the bound.
            slowest_s, peers = 0.0, 2
            while peers == 2:
                cell = notebook.add_cell(os.urandom(PILE_BYTES).hex())
                confirmation = await notebook.confirm_sync(CALL_S)
                slowest_s = max(slowest_s, confirmation.elapsed_s)
                notebook.delete_cell(cell)
                peers = await peers_of(daemon, notebook)
            # Its goodbye would wait for an answer that it does not read.
            silent.transport.abort()
            assert peers == 1
            assert slowest_s < CALL_S / 4
            assert (await notebook.run("'still here'", timeout=CALL_S)).text == "'still here'"

    bounded(scenario())


async def peers_of(daemon: HeadwayDaemon, notebook: headway.AsyncNotebook) -> int:
    listed = (await daemon.post_async("list")).body["notebooks"]
    (peers,) = (each["peers"] for each in listed if each["document"] == notebook.id)
    assert isinstance(peers, int)
    return peers


async def until_peers(daemon: HeadwayDaemon, notebook: headway.AsyncNotebook, count: int) -> None:
    async with asyncio.timeout(CALL_S):
        while await peers_of(daemon, notebook) != count:
            pass
