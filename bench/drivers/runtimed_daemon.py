"""nteract's runtimed, as a contender: its daemon, and its Python client.

The daemon makes the environments of its kernels itself, with uv and a Python of its choice: the
first start needs the network, and the kernel is not the one of the others.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import runtimed
from runtimed._binary import find_binary

from serving import block_of, resident_bytes, rest_of, serve

CODE = "1+1"
WARM_UP = 5
"""Each run costs more than the one before: few are enough."""

START_LIMIT_S = 80.0
SETTINGS = {
    "telemetry_enabled": False,
    "install_default_data_packages": False,
    "default_python_env": "uv",
    "uv_pool_size": 1,
    "conda_pool_size": 0,
    "pixi_pool_size": 0,
}


class RuntimedDaemon:
    """One daemon with one notebook."""

    async def start(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="runtimed-bench-"))
        configuration = self._folder / "configuration" / "nteract-nightly"
        configuration.mkdir(parents=True)
        (configuration / "settings.json").write_text(json.dumps(SETTINGS))
        (self._folder / "cache" / "nteract-nightly" / "envs").mkdir(parents=True)
        # The client finds the daemon's blobs through the same variables.
        os.environ |= {
            "NTERACT_TELEMETRY_DISABLE": "1",
            "CI": "1",
            "HOME": str(self._folder),
            "XDG_CONFIG_HOME": str(configuration.parent),
            "XDG_CACHE_HOME": str(self._folder / "cache"),
            "RUNTIMED_SOCKET_PATH": str(self._folder / "socket"),
        }
        binary = Path(find_binary("runtimed"))
        binary.chmod(0o755)
        pools = ["--uv-pool-size", "1", "--conda-pool-size", "0", "--pixi-pool-size", "0"]
        places = ["--socket", "socket", "--cache-dir", "envs", "--blob-store-dir", "blobs"]
        self._daemon = subprocess.Popen(
            [binary, "run", "--log-level", "warn", *places, *pools],
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        async with asyncio.timeout(START_LIMIT_S):
            while not (self._folder / "socket").exists():
                await asyncio.sleep(0.02)
            client = runtimed.Client(str(self._folder / "socket"))
            self._notebook = await client.create_notebook()
            await self._notebook.start()
            while self._notebook.runtime.kernel.status != "idle":
                await asyncio.sleep(0.02)
        await self.execute(WARM_UP)

    async def execute(self, count: int, code: str = CODE) -> Any:
        """Add a cell and run it."""
        return await block_of(count, lambda: self._add_and_run(code))

    async def _add_and_run(self, code: str) -> None:
        cell = await self._notebook.cells.create(code)
        assert (await cell.run()).success, "the cell ran well"

    async def flood(self, code: str) -> Any:
        """Add and run a cell with much output."""
        begun = time.perf_counter()
        cell = await self._notebook.cells.create(code)
        await cell.run()
        return {"s": time.perf_counter() - begun}

    async def memory(self) -> Any:
        """Bytes of the daemon."""
        return resident_bytes(self._daemon.pid)

    async def rest(self, seconds: float) -> Any:
        """What the daemon does while nobody wants anything."""
        return await rest_of(self._daemon.pid, seconds)

    async def close(self) -> None:
        self._daemon.terminate()
        self._daemon.wait(10)
        shutil.rmtree(self._folder, ignore_errors=True)


if __name__ == "__main__":
    serve(RuntimedDaemon())
