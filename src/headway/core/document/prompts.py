"""A prompt: the line of text that a running cell asks for, as the runtime document shows it.

Floor 1, pure. It is shown to everybody while the kernel waits; who may answer and which answer
counts is the room's (`core.room.prompts`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

__all__ = ["END_OF_INPUT", "MAX_PROMPT_CHARACTERS", "Prompt", "echo", "prompt_form", "read_prompt"]

MAX_PROMPT_CHARACTERS = 4_096
"""What is shown of the text that a kernel asks with; the rest is left out."""

END_OF_INPUT: Final = "\x04"
"""The answer that makes ipykernel raise EOFError; Jupyter's protocol has no word for it."""

_LEFT_OUT: Final = "…"
_HIDDEN: Final = "········"
"""In place of a password. Always as long, because a length tells something too."""

_END_SHOWN: Final = "^D"


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a cell asks. Answered by its id; a cell that asks again has another one."""

    id: str
    text: str
    password: bool = False
    """Whether the answer must not be seen: it is given to the kernel and is nowhere else."""

    @classmethod
    def of(cls, identity: str, text: str, *, password: bool) -> Prompt:
        """The prompt of a kernel's request, its text cut to `MAX_PROMPT_CHARACTERS`."""
        if len(text) > MAX_PROMPT_CHARACTERS:
            text = text[: MAX_PROMPT_CHARACTERS - 1] + _LEFT_OUT
        return cls(identity, text, password)


def prompt_form(prompt: Prompt) -> dict[str, Any]:
    """The prompt as the document holds it."""
    return {"id": prompt.id, "text": prompt.text, "password": prompt.password}


def read_prompt(value: Any) -> Prompt | None:
    """The prompt in a record; None for anything that has not its form."""
    if not isinstance(value, dict):
        return None
    identity, text = value.get("id"), value.get("text")
    if not isinstance(identity, str) or not isinstance(text, str):
        return None
    return Prompt(identity, text, value.get("password") is True)


def echo(prompt: Prompt, value: str) -> str:
    """What stands in the outputs once it was answered: the prompt, the answer, a line end.

    It goes into a stream named `stdin`, as JupyterLab has it, and not into `stdout`, because no
    program wrote it. A password is not in it.
    """
    written = _END_SHOWN if value == END_OF_INPUT else value
    return f"{prompt.text}{_HIDDEN if prompt.password else written}\n"
