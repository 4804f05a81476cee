"""What writers were promised about the text of notebooks, kept outside every daemon.

Each edit brings a token that exists once in the world. A token that was confirmed must be there
exactly once ever after; one that was sent and not confirmed, once or never; none that nobody
wrote. Every line is also appended to a file, so that a failure can be studied.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Ledger"]

_TOKEN = re.compile(r"<[a-z]\d+>")


@dataclass
class Ledger:
    """The tokens of one notebook."""

    journal: Path
    name: str
    written: set[str] = field(default_factory=set)
    confirmed: set[str] = field(default_factory=set)
    removed: set[str] = field(default_factory=set)
    """Their removal was asked for."""
    gone: set[str] = field(default_factory=set)
    """Their removal was confirmed."""
    confirmations: int = 0

    def token(self) -> str:
        """A new token."""
        token = f"<{self.name}{len(self.written)}>"
        self.written.add(token)
        return token

    def confirm(self, tokens: Iterable[str], removals: Iterable[str] = ()) -> None:
        """These were promised."""
        self.confirmations += 1
        self.confirmed.update(tokens)
        self.gone.update(removals)
        self._note("confirmed", *tokens, *removals)

    def check(self, sources: Iterable[str]) -> list[str]:
        """Everything that is wrong with the notebook whose cells' sources these are."""
        found = Counter(_TOKEN.findall("\n".join(sources)))
        lost = sorted(self.confirmed - self.removed - found.keys())
        doubled = sorted(token for token, count in found.items() if count > 1)
        strange = sorted(found.keys() - self.written)
        risen = sorted(self.gone & found.keys())
        problems = []
        for tokens, what in (
            (lost, "confirmed and lost"),
            (doubled, "doubled"),
            (strange, "written by nobody"),
            (risen, "there again after its removal was confirmed"),
        ):
            problems += [f"{token} is {what}" for token in tokens[:3]]
        self._note("checked", str(len(found)), *problems)
        return problems

    def _note(self, *words: str) -> None:
        descriptor = os.open(self.journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, (" ".join(words) + "\n").encode())
        finally:
            os.close(descriptor)
