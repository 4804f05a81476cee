"""`headway ps`, `status`, `stop`, `serve` and `open`: a daemon's life, from outside."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from command_line import LIMIT_S, Shell, interrupt, lock_holder, write_notebook
from headway.cli import ask, status
from headway.core.wire.rpc import DaemonStatus
from headway.edges.lock import owner_pid
from headway.edges.paths import Paths


def test_without_a_daemon_everything_says_so_and_starts_none(lonely_shell: Shell) -> None:
    ps, status, stop = (lonely_shell.run(command) for command in ("ps", "status", "stop"))
    assert (ps.returncode, ps.stdout) == (0, "No notebook is open.\n")
    assert (stop.returncode, stop.stdout) == (0, "No daemon runs.\n")
    assert status.returncode == 1
    assert status.stdout.startswith("No daemon runs for ")
    assert lonely_shell.json("ps") == []
    assert lonely_shell.json("stop") == {"stopped": False, "pid": None, "unsaved": []}
    assert lonely_shell.json("status")["running"] is False
    assert list(lonely_shell.home.iterdir()) == []


def test_opening_starts_a_daemon_and_makes_the_file_and_stop_ends_it(lonely_shell: Shell) -> None:
    opened = lonely_shell.json("open", "new.ipynb")
    path = lonely_shell.folder / "new.ipynb"
    assert opened["path"] == str(path)
    assert opened["cells"] == 0
    assert path.exists()
    (listed,) = lonely_shell.json("ps")
    assert listed["document"] == opened["id"]
    status = lonely_shell.json("status")
    assert status["running"]
    assert status["notebooks"] == 1
    assert Path(status["home"]) == lonely_shell.home.resolve()
    assert lonely_shell.run("stop").returncode == 0
    assert owner_pid(Paths.of(lonely_shell.home).lock) is None


def test_ps_and_status_are_columns_for_people(shell: Shell) -> None:
    write_notebook(shell.folder / "shown.ipynb", "1")
    assert shell.run("open", "shown.ipynb").returncode == 0
    title, *rows = shell.run("ps").stdout.splitlines()
    titles = ["NOTEBOOK", "KERNEL", "STATUS", "CELLS", "QUEUED", "PEERS", "SAVED", "ID"]
    assert title.split() == titles
    (row,) = (row for row in rows if row.startswith("shown.ipynb"))
    assert row.index("absent") == title.index("STATUS")
    assert "version" in shell.run("status").stdout


def test_status_says_what_is_not_as_it_should_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = DaemonStatus(
        pid=1,
        version="0",
        home="/h",
        socket="/s",
        http=None,
        started_s=0.0,
        notebooks=0,
        peers=0,
        kernels=0,
        notices=["Nothing can be saved now.\x1b[2J"],
    )
    monkeypatch.setattr(ask, "ask", lambda *_: told)
    status.status()
    assert (
        capsys.readouterr().out.splitlines()[-1] == "notice     Nothing can be saved now.\ufffd[2J"
    )


def test_serve_starts_a_daemon_that_stays_and_refuses_a_second(lonely_shell: Shell) -> None:
    done = lonely_shell.run("serve", "--http", "127.0.0.1:0")
    assert (done.returncode, done.stderr) == (0, "")
    assert "and on http://127.0.0.1:" in done.stdout
    assert lonely_shell.json("status")["http"].startswith("http://127.0.0.1:")
    again = lonely_shell.run("serve")
    assert again.returncode == 1
    assert "A daemon runs" in again.stderr
    assert again.stderr.count("\n") == 1


def test_serve_in_the_foreground_ends_with_ctrl_c(lonely_shell: Shell) -> None:
    process = lonely_shell.begin("serve", "--foreground")
    assert process.stdout is not None
    with process:
        assert process.stdout.readline().startswith(b"Serving ")
        # Whoever opens a notebook waits for the daemon that is starting, and keeps no other.
        assert lonely_shell.run("open", "a.ipynb").returncode == 0
        assert lonely_shell.json("status")["pid"] == process.pid
        interrupt(process)
        assert process.wait(LIMIT_S) == 0
    assert lonely_shell.run("status").returncode == 1


@pytest.mark.parametrize("options", [(), ("--foreground",)])
@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("0.0.0.0:0", "this machine only"),
        ("somewhere", "'somewhere' is not an address"),
        ("127.0.0.1:99999", "Nothing can listen at"),
    ],
)
def test_an_address_that_cannot_be_served_is_refused_before_a_daemon_starts(
    lonely_shell: Shell, address: str, said: str, options: tuple[str, ...]
) -> None:
    done = lonely_shell.run("serve", "--http", address, *options)
    assert done.returncode == 2
    assert done.stderr.startswith("headway: ")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(lonely_shell.home.iterdir()) == []


def test_a_log_level_that_is_none_is_refused_where_it_is_asked_for(
    lonely_shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADWAY_LOG", "loud")
    done = lonely_shell.run("serve")
    assert done.returncode == 2
    assert "HEADWAY_LOG must be one of debug, info, warning, error; it is loud." in done.stderr


def test_what_a_daemon_in_the_foreground_fails_of_is_said_as_every_command_says_it(
    lonely_shell: Shell,
) -> None:
    Paths.of(lonely_shell.home).store.mkdir()
    done = lonely_shell.run("serve", "--foreground")
    assert done.returncode == 1
    assert done.stderr.startswith("headway: The store ")
    assert done.stderr.count("\n") == 1


def test_stop_names_the_notebooks_that_could_not_be_saved(lonely_shell: Shell) -> None:
    path = write_notebook(lonely_shell.folder / "a.ipynb", "1")
    write_notebook(lonely_shell.folder / "b.ipynb", "1")
    for name in ("a.ipynb", "b.ipynb"):
        assert lonely_shell.run("cell", "add", name, "2").returncode == 0
    path.unlink()
    path.mkdir()
    done = lonely_shell.run("stop")
    assert done.returncode == 1
    assert done.stderr.startswith("headway: a.ipynb was not saved; what it lacks is kept in the")
    assert done.stderr.count("\n") == 1
    assert owner_pid(Paths.of(lonely_shell.home).lock) is None


def test_a_daemon_whose_socket_is_gone_is_seen_and_can_be_ended(
    lonely_shell: Shell, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lonely_shell.run("open", "a.ipynb").returncode == 0
    pid = lonely_shell.json("status")["pid"]
    found = Paths.of(lonely_shell.home)
    found.socket.unlink()
    for command in ("ps", "status"):
        done = lonely_shell.run(command)
        assert done.returncode == 1
        assert f"(process {pid}) runs and does not listen" in done.stderr
    assert lonely_shell.run("status", "--json").stdout.startswith('{"running":true,')
    monkeypatch.setenv("HEADWAY_HOME", str(lonely_shell.home))
    monkeypatch.setattr(status, "UNREACHABLE_S", 0.0)
    status.stop()
    assert capsys.readouterr().out == f"The daemon (process {pid}) has ended.\n"
    assert owner_pid(found.lock) is None


def test_stop_waits_for_a_daemon_that_is_ending_already(
    lonely_shell: Shell, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    looks = 0
    with lock_holder(lonely_shell.home) as ending, socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(Paths.of(lonely_shell.home).socket))

        def look(_: float) -> None:
            nonlocal looks
            looks += 1
            if looks == 3:
                ending.kill()
                ending.wait(LIMIT_S)

        monkeypatch.setenv("HEADWAY_HOME", str(lonely_shell.home))
        monkeypatch.setattr("time.sleep", look)
        status.stop()
        assert capsys.readouterr().out == f"The daemon (process {ending.pid}) has ended.\n"
    assert looks >= 3
