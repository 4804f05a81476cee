"""A folder of wheels that a test makes, so that uv installs without a network.

`ipykernel` in it is a wheel that points to the ipykernel of the environment the tests run in.
"""

from __future__ import annotations

import base64
import hashlib
import zipfile
from pathlib import Path

import ipykernel

__all__ = ["make_wheel", "settings_for", "wheelhouse"]


def wheelhouse(folder: Path) -> Path:
    """A folder with `ipykernel`, `greeting` 1.0 and 2.0."""
    folder.mkdir(parents=True, exist_ok=True)
    host = Path(ipykernel.__file__).parents[1]
    make_wheel(folder, "ipykernel", "99.0", {"ipykernel_of_the_tests.pth": f"{host}\n"})
    for version in ("1.0", "2.0"):
        make_wheel(folder, "greeting", version, {"greeting.py": f"WORDS = 'hello {version}'\n"})
    return folder


def settings_for(wheels: Path, cache: Path) -> dict[str, str]:
    """The settings with which uv knows these wheels and nothing else."""
    return {
        "UV_NO_INDEX": "1",
        "UV_FIND_LINKS": str(wheels),
        "UV_OFFLINE": "1",
        "UV_CACHE_DIR": str(cache),
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_NO_CONFIG": "1",
    }


def make_wheel(folder: Path, name: str, version: str, files: dict[str, str]) -> Path:
    """Write a pure Python wheel of these files."""
    info = f"{name}-{version}.dist-info"
    contents = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\n"
        "Tag: py3-none-any\n",
    }
    record = [f"{path},sha256={_digest(text)},{len(text)}" for path, text in contents.items()]
    contents[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,", ""])
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as written:
        for path, text in contents.items():
            written.writestr(path, text)
    return wheel


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
