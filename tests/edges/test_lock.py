"""One daemon for one home, whatever becomes of it."""

from __future__ import annotations

import fcntl
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from headway.edges.lock import HomeLock, owner_pid
from headway.errors import AlreadyRunning, StoreError

OWNER = """
import subprocess, sys
from pathlib import Path
from headway.edges.lock import HomeLock

lock = HomeLock.acquire(Path(sys.argv[1]))
child = subprocess.Popen(["sleep", "60"], close_fds=False) if len(sys.argv) > 2 else None
print(child.pid if child else 0, flush=True)
sys.stdin.read()
"""


@contextmanager
def an_owner(path: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Another process that holds the lock, and the number it printed."""
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(path), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "daemon.lock"


def test_the_second_owner_is_refused_and_told_who_the_first_is(path: Path) -> None:
    with HomeLock.acquire(path):
        with pytest.raises(AlreadyRunning, match=f"Process {os.getpid()} ") as caught:
            HomeLock.acquire(path)
        assert caught.value.data == {"pid": os.getpid(), "path": str(path)}
        assert owner_pid(path) == os.getpid()


def test_a_released_lock_can_be_taken_and_its_file_stays(path: Path) -> None:
    lock = HomeLock.acquire(path)
    inode = path.stat().st_ino
    lock.release()
    lock.release()
    assert owner_pid(path) is None
    with HomeLock.acquire(path):
        assert path.stat().st_ino == inode
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_killed_owner_lets_go(path: Path) -> None:
    with an_owner(path) as (process, _):
        assert owner_pid(path) == process.pid
        with pytest.raises(AlreadyRunning) as caught:
            HomeLock.acquire(path)
        assert caught.value.data["pid"] == process.pid
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=10)
        assert path.read_text() == f"{process.pid}\n"
        assert owner_pid(path) is None
        with HomeLock.acquire(path):
            assert owner_pid(path) == os.getpid()


def test_a_child_that_outlives_the_owner_does_not_keep_the_lock(path: Path) -> None:
    with an_owner(path, "with a child") as (process, child):
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=10)
        try:
            os.kill(child, 0)
            HomeLock.acquire(path).release()
        finally:
            os.kill(child, signal.SIGKILL)


def test_someone_who_only_looks_does_not_keep_an_owner_out(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.touch()
    looker = os.open(path, os.O_RDONLY)
    fcntl.flock(looker, fcntl.LOCK_SH)
    monkeypatch.setattr("time.sleep", lambda _: fcntl.flock(looker, fcntl.LOCK_UN))
    try:
        HomeLock.acquire(path).release()
    finally:
        os.close(looker)


def test_a_lock_file_with_nonsense_in_it_is_no_obstacle(path: Path) -> None:
    path.write_bytes(b"\xff" * 100)
    with HomeLock.acquire(path):
        path.write_bytes(b"99999999999999999999999\n")
        assert owner_pid(path) is None
        with pytest.raises(AlreadyRunning, match="Another process") as caught:
            HomeLock.acquire(path)
        assert caught.value.data["pid"] is None


def test_nobody_owns_a_home_without_a_lock_file(path: Path) -> None:
    assert owner_pid(path) is None
    assert not path.exists()


def test_a_lock_file_that_cannot_be_is_refused_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "target")
    for name in ("folder", "link", "missing/daemon.lock"):
        with pytest.raises(StoreError, match=name):
            HomeLock.acquire(tmp_path / name)
    assert not (tmp_path / "target").exists()
