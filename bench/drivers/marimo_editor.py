"""marimo, as a contender: `marimo edit` without a browser, through the interface its page uses.

It runs cells in a kernel of its own kind. It has one editor and no replicas, and the code comes
along with the request to run it, so there is nothing to confirm and nothing to race with.
"""

from __future__ import annotations

import asyncio
import http.client
import itertools
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

from websockets.asyncio.client import connect

from serving import block_of, peak_bytes, reset_peak, resident_bytes, rest_of, serve

CODE = "1+1"
WARM_UP = 20
START_LIMIT_S = 60.0
LIMIT_S = 120.0
EMPTY = "import marimo\n\napp = marimo.App()\n\n\n@app.cell\ndef _():\n    return\n"


class MarimoEditor:
    """One server with one notebook, and the one session that edits it."""

    async def start(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="marimo-bench-"))
        notebook = self._folder / "notebook.py"
        notebook.write_text(EMPTY)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        flags = ["--headless", "--no-token", "--skip-update-check", "--no-skew-protection"]
        where = ["--host", "127.0.0.1", "--port", str(port)]
        self._server = subprocess.Popen(
            [sys.executable, "-m", "marimo", "-y", "edit", str(notebook), *flags, *where],
            env={**os.environ, "HOME": str(self._folder), "XDG_CONFIG_HOME": str(self._folder)},
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._http = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT_S)
        await self._answers()
        self._page = await connect(
            f"ws://127.0.0.1:{port}/ws?session_id=s_bench1", max_size=None, proxy=None
        )
        while (await self._message())[0] != "kernel-ready":
            pass
        self._post("instantiate", {"objectIds": [], "values": [], "autoRun": True})
        self._names = (f"cell{number}" for number in itertools.count())
        await asyncio.sleep(1)
        await self.execute(WARM_UP)

    async def _answers(self) -> None:
        until_s = time.monotonic() + START_LIMIT_S
        while True:
            try:
                self._http.request("GET", "/health")
                self._http.getresponse().read()
            except OSError:
                self._http.close()
                if time.monotonic() > until_s or self._server.poll() is not None:
                    raise
                await asyncio.sleep(0.05)
            else:
                return

    def _post(self, what: str, body: dict[str, Any]) -> None:
        headers = {"Content-Type": "application/json", "Marimo-Session-Id": "s_bench1"}
        self._http.request("POST", f"/api/kernel/{what}", json.dumps(body), headers)
        response = self._http.getresponse()
        said = response.read()
        if response.status != 200:
            raise RuntimeError(f"{what} was answered {response.status}: {said[:200]!r}")

    async def _message(self) -> tuple[str, dict[str, Any]]:
        message = json.loads(await asyncio.wait_for(self._page.recv(), LIMIT_S))
        return message.get("op", ""), message.get("data", message)

    async def _run(self, code: str) -> Any:
        cell = next(self._names)
        self._post("run", {"cellIds": [cell], "codes": [code]})
        output, ran = None, False
        while True:
            kind, data = await self._message()
            if kind != "cell-op" or data.get("cell_id") != cell:
                continue
            output = data.get("output") or output
            ran = ran or data.get("status") == "running"
            if data.get("status") == "idle" and ran:
                return output

    async def execute(self, count: int, code: str = CODE) -> Any:
        """Add a cell and run it."""
        return await block_of(count, lambda: self._run(code))

    async def flood(self, code: str) -> Any:
        """Add and run a cell with much output: seconds, and the server's peak."""
        reset_peak(self._server.pid)
        before = resident_bytes(self._server.pid)
        # Names that begin with an underscore are the cell's own: no two cells may share others.
        body = code.strip().replace("\n", "\n    ")
        begun = time.perf_counter()
        await self._run(f"def _flood():\n    {body}\n\n\n_flood()")
        taken = time.perf_counter() - begun
        return {"s": taken, "bytes": peak_bytes(self._server.pid) - before}

    async def rest(self, seconds: float) -> Any:
        """What the server does while nobody wants anything."""
        return await rest_of(self._server.pid, seconds)

    async def memory(self) -> Any:
        """Bytes of the server, kernel included: it is a part of it."""
        return resident_bytes(self._server.pid)

    async def close(self) -> None:
        self._server.terminate()
        self._server.wait(10)
        shutil.rmtree(self._folder, ignore_errors=True)


if __name__ == "__main__":
    serve(MarimoEditor())
