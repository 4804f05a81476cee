from __future__ import annotations

from pathlib import Path

from headway.cli.doctor import examine
from headway.edges.paths import Paths


def test_the_doctor_says_whether_the_store_is_sound(tmp_path: Path) -> None:
    found = Paths.of(tmp_path)
    assert [each.ok for each in examine(found) if each.name == "store"] == [True]
    found.store.parent.mkdir(parents=True, exist_ok=True)
    found.store.write_bytes(b"a letter to my aunt" * 500)
    (finding,) = [each for each in examine(found) if each.name == "store"]
    assert not finding.ok
    assert "damaged" in finding.what
