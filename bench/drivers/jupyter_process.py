"""A Jupyter Server of a contender's own: its process, its requests, its notebooks' addresses.

`nodelay` switches TCP_NODELAY on for every WebSocket that it accepts. The server leaves it off,
and most of its latency is then a delayed acknowledgement of the socket, not work; nobody runs it
so, but what is left is what its code costs.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

__all__ = ["JupyterServer", "room_address"]

START_LIMIT_S = 60.0
END_LIMIT_S = 15.0
LIMIT_S = 120.0

NODELAY = """
import tornado.websocket as websocket
write = websocket.WebSocketHandler.write_message
def write_at_once(self, *given, **named):
    if self.ws_connection is not None and not getattr(self, "at_once", False):
        self.at_once = True
        self.set_nodelay(True)
    return write(self, *given, **named)
websocket.WebSocketHandler.write_message = write_at_once
"""

EMPTY = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": []}


class JupyterServer:
    """It listens on the loopback address, in a folder of its own."""

    def __init__(self, nodelay: bool) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="jupyter-bench-"))
        self.root = self._folder / "root"
        self.root.mkdir()
        self.token = os.urandom(12).hex()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        configuration = self._folder / "settings.py"
        configuration.write_text(NODELAY if nodelay else "")
        settings = {
            "ServerApp.ip": "127.0.0.1",
            "ServerApp.port": str(self.port),
            "IdentityProvider.token": self.token,
            "ServerApp.open_browser": "False",
            "ServerApp.root_dir": str(self.root),
            "ServerApp.disable_check_xsrf": "True",
            "ServerApp.log_level": "ERROR",
            # Its limits would drop most of a flood, which is then no longer the same work.
            "ZMQChannelsWebsocketConnection.iopub_data_rate_limit": "0",
            "ZMQChannelsWebsocketConnection.iopub_msg_rate_limit": "0",
        }
        flags = [f"--{name}={value}" for name, value in settings.items()]
        own = {
            "JUPYTER_RUNTIME_DIR": str(self._folder / "runtime"),
            "JUPYTER_DATA_DIR": str(self._folder / "data"),
            "JUPYTER_CONFIG_DIR": str(self._folder / "configuration"),
            "IPYTHONDIR": str(self._folder / "ipython"),
        }
        for folder in own.values():
            Path(folder).mkdir()
        self._log = (self._folder / "log").open("wb")
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "jupyter_server",
                "--allow-root",
                "--config",
                str(configuration),
                *flags,
            ],
            env={**os.environ, **own},
            cwd=self.root,
            stdout=self._log,
            stderr=self._log,
        )
        self.pid = self._process.pid
        self._wait()

    def _wait(self) -> None:
        until_s = time.monotonic() + START_LIMIT_S
        while True:
            try:
                if self.request("GET", "/api/status")[0] == 200:
                    return
            except OSError:
                if time.monotonic() > until_s or self._process.poll() is not None:
                    said = (self._folder / "log").read_text()[-300:]
                    raise RuntimeError(f"the server did not start: {said}") from None
            time.sleep(0.05)

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        connection: http.client.HTTPConnection | None = None,
    ) -> tuple[int, Any]:
        """Status and content of an answer; on a kept connection if one is given."""
        through = connection or self.connect()
        headers = {"Authorization": f"token {self.token}", "Content-Type": "application/json"}
        through.request(method, path, None if body is None else json.dumps(body), headers)
        response = through.getresponse()
        said = response.read()
        if connection is None:
            through.close()
        try:
            return response.status, json.loads(said)
        except ValueError:
            return response.status, said

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT_S)

    def new_notebook(self, name: str, source: str | None = None) -> str:
        """An empty notebook, or a copy of a file; gives its path at the server."""
        if source is None:
            (self.root / name).write_text(json.dumps(EMPTY))
        else:
            shutil.copy(source, self.root / name)
        return name

    def close(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(END_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)


def room_address(server: JupyterServer, path: str) -> tuple[str, str]:
    """The WebSocket of a notebook's document, and the document's name."""
    socket_url = f"ws://127.0.0.1:{server.port}/api/collaboration/room"
    body = {"format": "json", "type": "notebook"}
    status, found = server.request("PUT", f"/api/collaboration/session/{quote(path)}", body)
    if status in {200, 201}:
        room = f"{found['format']}:{found['type']}:{found['fileId']}"
        session = f"sessionId={found['sessionId']}&token={server.token}"
        return f"{socket_url}/{room}?{session}", room
    _, found = server.request("POST", f"/api/fileid/index?path={quote(path)}")
    room = f"json:notebook:{found['id']}"
    return f"{socket_url}/{room}?token={server.token}", room
